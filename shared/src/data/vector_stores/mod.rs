//! Vector stores: a record with counters, a record for each of its files, and chunks with their vectors.
//!
//! A file's record decides which chunks are searched: those of its live generation. Whatever else the index finds is left out.

mod chunks;
mod file_record;
mod files;
mod record;

pub use chunks::{Chunk, ChunkKey, ChunkRecords, Found, NewChunk};
pub use files::{IngestEnd, StoreFileRecords};

use super::change::{Change, Returning, UpdateOutcome, WriteOutcome};
use super::due::{LONGEST_DUE_MS, due_shard};
use super::error::StoreError;
use super::idempotency::{self, CreateOutcome, NewCreation};
use super::item::{Item, Reader, number, text};
use super::keys;
use super::table::{ItemStream, Table};
use crate::model::clock::Timestamp;
use crate::model::page::Page;
use crate::model::vector_store::{ID_PREFIX, VectorStore, VectorStoreKey};
use record::{DELETED, new_record, read_store};

/// Which objects a list has, and from where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListQuery {
    /// The list begins after this id.
    pub after: Option<String>,
    /// The list ends before this id.
    pub before: Option<String>,
    pub oldest_first: bool,
    pub limit: usize,
}

/// The vector stores of all projects.
#[derive(Clone, Debug)]
pub struct VectorStoreRecords(pub(super) Table);

/// A change of a store by a client.
#[derive(Debug, Clone, Default)]
pub struct StoreChange {
    pub name: Option<String>,
    /// As JSON.
    pub metadata: Option<String>,
    /// `Some(None)`: it does not expire any more.
    pub expires_after_days: Option<Option<u64>>,
}

/// What is to be done about a store that is due.
#[derive(Debug, Clone, PartialEq)]
pub enum DueStore {
    /// There is none, or it is not due.
    Nothing,
    /// It does not expire.
    Kept,
    /// Its time is not over.
    Later(Timestamp),
    /// It has expired or was deleted: its files are to be detached.
    Empty { is_deleted: bool },
}

impl VectorStoreRecords {
    /// Makes the record of a new store. A store that is made `by` a key is made once for it.
    pub async fn create(
        &self,
        store: &VectorStore,
        by: Option<&NewCreation>,
        due_at: Option<Timestamp>,
    ) -> Result<CreateOutcome, StoreError> {
        idempotency::create(&self.0, &store.key.store_id, new_record(store, due_at), by, store.created_at).await
    }

    /// Returns a store that was not deleted.
    pub async fn get(&self, key: &VectorStoreKey) -> Result<Option<VectorStore>, StoreError> {
        let item = self.0.get(keys::vector_store(key)).await?.filter(is_there);
        item.map(|item| read_store(&key.project_id, &item)).transpose()
    }

    /// Returns the page of a project's stores that `query` asks for.
    pub async fn list(&self, project_id: &str, query: &ListQuery) -> Result<Page<VectorStore>, StoreError> {
        let partition = keys::vector_stores_partition(project_id);
        list(&self.0, &partition, ID_PREFIX, query, is_there, |item| read_store(project_id, item)).await
    }

    /// Changes a store, which is active now. Returns it as it is then; `None`: there is none.
    pub async fn change(
        &self,
        key: &VectorStoreKey,
        change: &StoreChange,
        now: Timestamp,
    ) -> Result<Option<VectorStore>, StoreError> {
        let mut update = Change::new("SET last_active_at = :now").values([(":now", number(now.0))]);
        if let Some(name) = &change.name {
            update.push(", store_name = :name", ":name", text(name));
        }
        if let Some(metadata) = &change.metadata {
            update.push(", metadata = :metadata", ":metadata", text(metadata));
        }
        match change.expires_after_days {
            Some(Some(days)) => {
                update.push(", expires_days = :days", ":days", number(days));
                update.push(", due_at = :now, due_shard = :shard", ":shard", text(due_shard(&key.store_id)));
            }
            // The sweeper clears what is due once it sees that the store does not expire.
            Some(None) => update.update.push_str(" REMOVE expires_days"),
            None => {}
        }
        let update = update.only_if(IS_OPEN).returning(Returning::All);
        match self.0.update(keys::vector_store(key), update).await? {
            UpdateOutcome::Written(item) => read_store(&key.project_id, &item).map(Some),
            UpdateOutcome::Refused(_) => Ok(None),
        }
    }

    /// Notes that a store is active.
    pub async fn touch(&self, key: &VectorStoreKey, now: Timestamp) -> Result<(), StoreError> {
        let change = Change::new("SET last_active_at = :now").only_if(IS_OPEN).values([(":now", number(now.0))]);
        self.0.update(keys::vector_store(key), change).await.map(drop)
    }

    /// Marks a store as deleted: it is not found from now on. It is due until its files are detached. `Refused`: there is none.
    pub async fn delete(&self, key: &VectorStoreKey, due_at: Timestamp) -> Result<WriteOutcome, StoreError> {
        let change = Change::new("SET deleted = :one, due_at = :due, due_shard = :shard, deleted_by = :mark")
            .only_if(IS_THERE)
            .values([(":one", number(1)), (":due", number(due_at.0)), (":shard", text(due_shard(&key.store_id)))])
            .marked("deleted_by")
            .returning(Returning::All);
        Ok(self.0.update(keys::vector_store(key), change).await?.into())
    }

    /// What is to be done about a store that is due.
    pub async fn due(&self, key: &VectorStoreKey, now: Timestamp) -> Result<DueStore, StoreError> {
        let Some(item) = self.0.get(keys::vector_store(key)).await? else { return Ok(DueStore::Nothing) };
        let due_at = Reader(&item).maybe_number("due_at")?.map(Timestamp);
        // The index lags behind the table by moments.
        if due_at.is_none_or(|due_at| now.is_before(due_at, LONGEST_DUE_MS)) {
            return Ok(DueStore::Nothing);
        }
        Self::left_to_do(key, &item, now)
    }

    /// What is to be done about a store, whether or not it is due.
    pub async fn left_to_do_for(&self, key: &VectorStoreKey, now: Timestamp) -> Result<DueStore, StoreError> {
        let item = self.0.get(keys::vector_store(key)).await?;
        item.map_or(Ok(DueStore::Nothing), |item| Self::left_to_do(key, &item, now))
    }

    fn left_to_do(key: &VectorStoreKey, item: &Item, now: Timestamp) -> Result<DueStore, StoreError> {
        if item.contains_key(DELETED) {
            return Ok(DueStore::Empty { is_deleted: true });
        }
        let store = read_store(&key.project_id, item)?;
        Ok(match store.expires_at() {
            _ if store.has_expired => DueStore::Empty { is_deleted: false },
            Some(expires_at) if expires_at <= now => DueStore::Empty { is_deleted: false },
            Some(expires_at) => DueStore::Later(expires_at),
            None => DueStore::Kept,
        })
    }

    /// Marks a store as expired, whose files are detached then. `Refused`: it was active or changed meanwhile.
    pub async fn expire(&self, key: &VectorStoreKey, now: Timestamp) -> Result<WriteOutcome, StoreError> {
        let Some(store) = self.get(key).await? else { return Ok(WriteOutcome::Refused) };
        if store.has_expired {
            return Ok(WriteOutcome::Written);
        }
        let (Some(days), true) = (store.expires_after_days, store.expires_at().is_some_and(|at| at <= now)) else {
            return Ok(WriteOutcome::Refused);
        };
        let change = Change::new("SET expired = :one")
            .only_if("attribute_not_exists(deleted) AND last_active_at = :active AND expires_days = :days")
            .values([(":one", number(1)), (":active", number(store.last_active_at.0)), (":days", number(days))]);
        Ok(self.0.update(keys::vector_store(key), change).await?.into())
    }

    /// Makes a due store due later. `Refused`: another sweeper did, or nothing is left to do.
    pub async fn put_off(
        &self,
        key: &VectorStoreKey,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<WriteOutcome, StoreError> {
        // An entry further ahead than weir sets them is from before the clock was set back.
        let change = Change::new("SET due_at = :until").only_if("due_at <= :now OR due_at > :latest").values([
            (":until", number(until.0)),
            (":now", number(now.0)),
            (":latest", number(now.latest_end(LONGEST_DUE_MS).0)),
        ]);
        Ok(self.0.update(keys::vector_store(key), change).await?.into())
    }

    /// Notes that a worker is at work on a store that is to be emptied.
    pub async fn keep_due(&self, key: &VectorStoreKey, until: Timestamp) -> Result<(), StoreError> {
        let change = Change::new("SET due_at = :until")
            .only_if("attribute_exists(due_at)")
            .values([(":until", number(until.0))]);
        self.0.update(keys::vector_store(key), change).await.map(drop)
    }

    /// Notes that nothing is left to do for a store that does not expire, or that has expired and is empty.
    pub async fn clear_due(&self, key: &VectorStoreKey) -> Result<(), StoreError> {
        let is_done =
            "attribute_not_exists(deleted) AND (attribute_not_exists(expires_days) OR attribute_exists(expired))";
        let change = Change::new("REMOVE due_at, due_shard").only_if(format!("attribute_exists(pk) AND {is_done}"));
        self.0.update(keys::vector_store(key), change).await.map(drop)
    }

    /// Removes the record of a deleted store that has no files any more.
    pub async fn remove(&self, key: &VectorStoreKey) -> Result<(), StoreError> {
        self.0.delete(keys::vector_store(key)).await
    }
}

/// Condition of what may be added to a store: one that has expired is being emptied.
pub(super) const IS_OPEN: &str =
    "attribute_exists(pk) AND attribute_not_exists(deleted) AND attribute_not_exists(expired)";
/// Condition of changes of a store: a deleted one stays as it is.
pub(super) const IS_THERE: &str = "attribute_exists(pk) AND attribute_not_exists(deleted)";

fn is_there(item: &Item) -> bool {
    !item.contains_key(DELETED)
}

/// Reads the page of a partition that `query` asks for, of items whose sort keys begin with `prefix`.
async fn list<T>(
    table: &Table,
    partition: &str,
    prefix: &str,
    query: &ListQuery,
    is_listed: impl Fn(&Item) -> bool,
    read: impl Fn(&Item) -> Result<T, StoreError>,
) -> Result<Page<T>, StoreError> {
    let ends = [&query.after, &query.before].map(|id| id.as_deref().unwrap_or_default());
    let last = format!("{prefix}~");
    // Both ends are ids that are not listed themselves.
    let bound = |id: &str, open: &str| if id.is_empty() { open.to_owned() } else { id.to_owned() };
    let (from, to) = if query.oldest_first {
        (bound(ends[0], prefix), bound(ends[1], &last))
    } else {
        (bound(ends[1], prefix), bound(ends[0], &last))
    };
    if from > to {
        return Ok(Page { items: Vec::new(), has_more: false });
    }
    // A page before an id has those next to it: they are read from there, and put in order afterwards.
    let is_backwards = query.before.is_some() && query.after.is_none();
    let limit = i32::try_from(query.limit).unwrap_or(i32::MAX).saturating_add(3);
    let request = table.query_between(partition, &from, &to).scan_index_forward(query.oldest_first != is_backwards);
    let (mut found, mut listed) = (ItemStream::of(request.limit(limit)), Vec::new());
    while listed.len() <= query.limit
        && let Some(item) = found.next().await?
    {
        let id = Reader(&item).text("sk")?;
        if !ends.contains(&id.as_str()) && is_listed(&item) {
            listed.push(read(&item)?);
        }
    }
    let mut page = Page::cut(listed, query.limit);
    if is_backwards {
        page.items.reverse();
    }
    Ok(page)
}
