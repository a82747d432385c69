//! The deletion of a response: nothing that can be read stays, in the table, in the bucket and under its idempotency key.
//!
//! A deletion is an item of its own, which is due: whatever dies, the sweeper erases the response again. By then no process
//! that was at work when the deletion began can add anything.

use futures_util::future::try_join_all;

use super::{ResponseRecords, folder};
use crate::data::change::Change;
use crate::data::due::due_shard;
use crate::data::error::StoreError;
use crate::data::idempotency::{KeyClaim, RecordKey};
use crate::data::item::{Item, Reader, insert, number, text};
use crate::data::keys::{self, Key};
use crate::data::table::Table;
use crate::model::clock::Timestamp;
use crate::model::id::Fingerprint;
use crate::model::message::ResponseKey;

/// A response that is to be erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    pub key: ResponseKey,
    /// The claim of the idempotency key whose answer is the response. `None` spares the key.
    pub claim: Option<KeyClaim>,
}

/// A deleted response is remembered this long, so that a worker that runs it learns of the deletion.
const TOMBSTONE_SECONDS: u64 = 2 * 86_400;

/// The most writes that one deletion makes at the same time.
const MAX_CONCURRENT: usize = 50;

/// The deletions of responses that are noted and not done.
pub struct ErasureRecords<'a> {
    table: &'a Table,
}

impl ErasureRecords<'_> {
    /// Notes a deletion: the sweeper erases the response at `due_at`, whatever happens before.
    pub async fn begin(&self, erasure: &Erasure, due_at: Timestamp) -> Result<(), StoreError> {
        self.table.put(to_item(erasure, due_at)).await
    }

    /// Lets the sweeper erase a response sooner, if a deletion is noted.
    pub async fn hasten(&self, key: &ResponseKey, due_at: Timestamp) -> Result<(), StoreError> {
        // Without the condition, this would note a deletion that is done, or delay one.
        let change = Change::new("SET due_at = :due")
            .only_if("attribute_exists(pk) AND due_at > :due")
            .values([(":due", number(due_at.0))]);
        self.table.update(keys::response_erasure(key), change).await.map(drop)
    }

    /// Returns the noted deletion of a response if it is due by `now`.
    pub async fn due(&self, key: &ResponseKey, now: Timestamp) -> Result<Option<Erasure>, StoreError> {
        let Some(item) = self.table.get(keys::response_erasure(key)).await? else { return Ok(None) };
        let is_due = Timestamp(Reader(&item).number("due_at")?) <= now;
        let claim = read_claim(&item, &key.project_id)?;
        Ok(is_due.then(|| Erasure { key: key.clone(), claim }))
    }

    /// Forgets a deletion that is done.
    pub async fn end(&self, key: &ResponseKey) -> Result<(), StoreError> {
        self.table.delete(keys::response_erasure(key)).await
    }
}

impl ResponseRecords {
    #[must_use]
    pub fn erasures(&self) -> ErasureRecords<'_> {
        ErasureRecords { table: &self.table }
    }

    /// Erases a response. Its record stays for a while, so that the rest of its work is done. Erasing again is safe.
    pub async fn erase(&self, erasure: &Erasure, now: Timestamp) -> Result<(), StoreError> {
        let Erasure { key, claim } = erasure;
        if let Some(claim) = claim {
            self.idempotency.erase(claim, &key.response_id).await?;
        }
        let state = keys::response(key);
        // Without the condition, a deletion of an absent response would create a record without a status.
        let tombstone = Change::new("SET deleted = :one, expires_at = :expires")
            .only_if("attribute_exists(pk)")
            .values([(":one", number(1)), (":expires", number(now.seconds() + TOMBSTONE_SECONDS))]);
        self.table.update(state.clone(), tombstone).await.map(drop)?;
        let items = self.table.query_partition(&state.pk).await?;
        for some in items.chunks(MAX_CONCURRENT) {
            let deletions = some.iter().map(async |item| {
                let sk = Reader(item).text("sk")?;
                if [keys::RESPONSE_STATE, keys::RESPONSE_ERASURE].contains(&&*sk) {
                    return Ok(());
                }
                self.bodies.delete_packed(item).await?;
                self.table.delete(Key { pk: state.pk.clone(), sk }).await
            });
            try_join_all(deletions).await?;
        }
        self.table.delete(keys::job(&key.project_id, &key.response_id)).await
    }

    /// Deletes the bodies of an erased response that no item refers to: those of writes that were refused.
    pub async fn erase_lost_bodies(&self, key: &ResponseKey) -> Result<(), StoreError> {
        self.bodies.delete_expiring(&folder(key)).await
    }
}

/// Makes the item of a deletion.
pub(super) fn to_item(erasure: &Erasure, due_at: Timestamp) -> Item {
    let mut item = keys::response_erasure(&erasure.key)
        .with([("due_at", number(due_at.0)), ("due_shard", text(due_shard(&erasure.key.response_id)))]);
    insert_claim(&mut item, erasure.claim.as_ref());
    item
}

/// Adds the claim of an idempotency key to an item.
pub(super) fn insert_claim(item: &mut Item, claim: Option<&KeyClaim>) {
    if let Some(KeyClaim { key, fence }) = claim {
        insert(item, [("claim_hash", text(key.hash.as_str())), ("claim_fence", number(*fence))]);
    }
}

/// Reads the claim that [`insert_claim`] added, if there is one.
pub(super) fn read_claim(item: &Item, project_id: &str) -> Result<Option<KeyClaim>, StoreError> {
    let reader = Reader(item);
    let Some(hash) = reader.maybe_text("claim_hash") else { return Ok(None) };
    let key = RecordKey { project_id: project_id.to_owned(), hash: Fingerprint::from_hex(hash) };
    Ok(Some(KeyClaim { key, fence: reader.number("claim_fence")? }))
}
