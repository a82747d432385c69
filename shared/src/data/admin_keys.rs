//! Admin keys. The table has each twice: under its hash, and in the list of all.

use super::audit::entry_write;
use super::change::{Write, WriteOutcome};
use super::error::StoreError;
use super::item::{Item, Reader, insert_present, number, text};
use super::keys::{self, Key};
use super::table::Table;
use crate::model::admin_key::{AdminKey, AdminScope};
use crate::model::audit::AuditEntry;
use crate::model::id::Fingerprint;

/// The admin keys that administrators made.
#[derive(Clone, Debug)]
pub struct AdminKeyRecords(pub(super) Table);

/// The owner of admin keys in [`super::LastUses`].
pub const ADMIN_OWNER: &str = "admin";

impl AdminKeyRecords {
    /// Stores a new key with the entry in the audit log, or nothing. `Refused`: it exists.
    pub async fn create(&self, key: &AdminKey, audited: Option<&AuditEntry>) -> Result<WriteOutcome, StoreError> {
        let writes = places(key).map(|place| Write::Create(to_item(place, key)));
        self.0.transact(writes.into_iter().chain(audited.map(entry_write)).collect()).await
    }

    /// Returns the key with a hash.
    pub async fn by_hash(&self, hash: &Fingerprint) -> Result<Option<AdminKey>, StoreError> {
        self.0.get(keys::admin_key(hash.as_str())).await?.map(|item| read_key(&item)).transpose()
    }

    /// Returns a key by its id.
    pub async fn by_id(&self, id: &str) -> Result<Option<AdminKey>, StoreError> {
        self.0.get(keys::admin_key_listing(id)).await?.map(|item| read_key(&item)).transpose()
    }

    /// Returns all keys, in the order of their ids.
    pub async fn list(&self) -> Result<Vec<AdminKey>, StoreError> {
        self.0.query_partition(keys::ADMIN_KEYS).await?.iter().map(read_key).collect()
    }

    /// Deletes a key with the record of its last use, with an entry in the audit log. `Refused`: the key does not exist, or
    /// another transaction came first.
    pub async fn delete(&self, key: &AdminKey, audited: &AuditEntry) -> Result<WriteOutcome, StoreError> {
        let [by_hash, listed] = places(key).map(Write::Remove);
        let used = Write::Delete(keys::last_use(ADMIN_OWNER, &key.id));
        self.0.transact(vec![by_hash, listed, used, entry_write(audited)]).await
    }
}

fn places(key: &AdminKey) -> [Key; 2] {
    [keys::admin_key(key.hash.as_str()), keys::admin_key_listing(&key.id)]
}

fn to_item(place: Key, key: &AdminKey) -> Item {
    let mut item = place.with([
        ("id", text(&key.id)),
        ("hash", text(key.hash.as_str())),
        ("name", text(&key.name)),
        ("redacted_value", text(&key.redacted_value)),
        ("created_at", number(key.created_at)),
        ("scope", text(key.scope.name())),
    ]);
    // Not `expires_at`, by which the table deletes items: an expired key stays in the list.
    insert_present(&mut item, [("key_expires_at", key.expires_at.map(number))]);
    item
}

fn read_key(item: &Item) -> Result<AdminKey, StoreError> {
    let reader = Reader(item);
    Ok(AdminKey {
        id: reader.text("id")?,
        hash: Fingerprint::from_hex(reader.text("hash")?),
        name: reader.text("name")?,
        redacted_value: reader.text("redacted_value")?,
        created_at: reader.number("created_at")?,
        expires_at: reader.maybe_number("key_expires_at")?,
        scope: AdminScope::parse(&reader.text("scope")?).ok_or_else(|| reader.damaged("scope"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_admin_key_reads_back() {
        let key = AdminKey {
            id: "key_1".into(),
            hash: Fingerprint::of([b"k".as_slice()]),
            name: "Dashboard".into(),
            redacted_value: "sk-weir-admin-...abcd".into(),
            created_at: 7,
            expires_at: Some(9),
            scope: AdminScope::Read,
        };
        for key in [AdminKey { expires_at: None, ..key.clone() }, key] {
            assert_eq!(read_key(&to_item(keys::admin_key("1"), &key)).unwrap(), key);
        }
    }
}
