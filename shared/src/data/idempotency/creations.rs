//! Which object a request made whose key makes it safe to repeat. The record names the object, and nothing of its answer: a repetition
//! reads the object as it is then.

use super::RecordKey;
use crate::data::change::Write;
use crate::data::error::{Contended, StoreError};
use crate::data::item::{Item, Reader, number, text};
use crate::data::table::{Table, conflict_pause};
use crate::model::clock::Timestamp;
use crate::model::id::Fingerprint;

/// The objects that keys made, of all projects.
#[derive(Clone, Debug)]
pub struct CreationRecords {
    pub(in crate::data) table: Table,
}

/// What a key says of the object that it makes.
#[derive(Debug, Clone)]
pub struct NewCreation {
    pub key: RecordKey,
    pub fingerprint: Fingerprint,
    /// How long the key stands for the object.
    pub kept_seconds: u64,
    /// The request is known to be new: its object takes the place of an earlier one.
    pub replace: bool,
}

/// The object that a key made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Creation {
    /// Of the request that made it.
    pub fingerprint: String,
    pub object_id: String,
}

/// The outcome of making an object with a key.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreateOutcome {
    Made,
    /// An earlier request with the key made this one. Nothing was written.
    Earlier(Creation),
}

impl CreationRecords {
    /// Returns the object that a key stands for.
    pub async fn find(&self, key: &RecordKey, now: Timestamp) -> Result<Option<Creation>, StoreError> {
        find(&self.table, key, now).await
    }
}

/// Makes an object whose id is new, together with the record of its key if it has one.
pub(in crate::data) async fn create(
    table: &Table,
    object_id: &str,
    item: Item,
    by: Option<&NewCreation>,
    now: Timestamp,
) -> Result<CreateOutcome, StoreError> {
    let Some(by) = by else {
        // The id is new, so only an attempt of this same write can have been there before. A late attempt must not undo what followed.
        return table.put_new(item).await.map(|_| CreateOutcome::Made);
    };
    for tried in 0..MAX_TRIES {
        let writes = vec![Write::Create(item.clone()), record(by, object_id, now)];
        if table.transact(writes).await?.is_written() {
            return Ok(CreateOutcome::Made);
        }
        match find(table, &by.key, now).await? {
            // The SDK repeats a write whose answer was lost.
            Some(creation) if creation.object_id == object_id => return Ok(CreateOutcome::Made),
            Some(creation) if !by.replace => return Ok(CreateOutcome::Earlier(creation)),
            // Another transaction was in the way.
            Some(_) | None => conflict_pause(tried).await,
        }
    }
    Err(StoreError::table("make the object")(Contended("its transactions were cancelled")))
}

/// Without its condition two requests with one key would both make an object.
fn record(by: &NewCreation, object_id: &str, now: Timestamp) -> Write {
    let item = by.key.key().with([
        ("fingerprint", text(by.fingerprint.as_str())),
        ("object_id", text(object_id)),
        ("expires_at", number(now.seconds() + by.kept_seconds)),
    ]);
    if by.replace {
        return Write::Put(item);
    }
    let condition = "attribute_not_exists(pk) OR expires_at <= :now";
    Write::PutIf(item, condition, vec![(":now", number(now.seconds()))])
}

async fn find(table: &Table, key: &RecordKey, now: Timestamp) -> Result<Option<Creation>, StoreError> {
    let Some(item) = table.get(key.key()).await? else { return Ok(None) };
    let reader = Reader(&item);
    let expires_at: u64 = reader.number("expires_at")?;
    // DynamoDB deletes it some time later.
    if expires_at <= now.seconds() {
        return Ok(None);
    }
    Ok(Some(Creation { fingerprint: reader.text("fingerprint")?, object_id: reader.text("object_id")? }))
}

/// Times that the transaction is tried while others come first.
const MAX_TRIES: u32 = 12;
