//! The files of vector stores: attached, taken up by a worker, and detached.
//!
//! Each change of a status changes the counters of the store in the same transaction. A detached file stays as a mark until every worker
//! has ended that may still write chunks of it.

use super::file_record::{json, new_record, read_store_file, shard};
use super::record::{DELETED, counter_of};
use super::{IS_OPEN, IS_THERE, ListQuery, list};
use crate::data::change::{Change, Returning, UpdateOutcome, Write, WriteOutcome};
use crate::data::error::{Contended, StoreError};
use crate::data::item::{Item, Reader, number, text};
use crate::data::keys;
use crate::data::stored::{Expiry, StoredChange};
use crate::data::table::{Table, conflict_pause};
use crate::model::clock::Timestamp;
use crate::model::file;
use crate::model::page::Page;
use crate::model::vector_store::{Attributes, FileProblem, FileStatus, StoreFile, StoreFileKey, VectorStoreKey};

/// The files of all vector stores.
#[derive(Clone, Debug)]
pub struct StoreFileRecords(pub(in crate::data) Table);

/// How the ingestion of a file ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IngestEnd {
    /// Its newest generation is searched from now on.
    Completed { chunks: u32, usage_bytes: u64 },
    /// An earlier generation stays.
    Failed(FileProblem),
}

impl StoreFileRecords {
    /// Returns a file that is in a store.
    pub async fn get(&self, key: &StoreFileKey) -> Result<Option<StoreFile>, StoreError> {
        Ok(self.find(key).await?.filter(|file| !file.is_detached()))
    }

    /// Returns a file, also one that was detached and whose chunks are being deleted.
    pub async fn find(&self, key: &StoreFileKey) -> Result<Option<StoreFile>, StoreError> {
        let item = self.0.get(keys::store_file(key)).await?;
        item.map(|item| read_store_file(&key.store, &item)).transpose()
    }

    /// Returns those of the files that are in their stores, in any order.
    pub async fn get_all(&self, store: &VectorStoreKey, file_ids: &[String]) -> Result<Vec<StoreFile>, StoreError> {
        let key = |file_id: &String| keys::store_file(&StoreFileKey { store: store.clone(), file_id: file_id.clone() });
        let mut files = Vec::new();
        for some in file_ids.chunks(crate::data::table::MAX_BATCH) {
            for item in self.0.get_all(some.iter().map(key).collect()).await? {
                files.push(read_store_file(store, &item)?);
            }
        }
        files.retain(|file| !file.is_detached());
        Ok(files)
    }

    /// Returns the page of a store's files that `query` asks for.
    pub async fn list(
        &self,
        store: &VectorStoreKey,
        status: Option<FileStatus>,
        query: &ListQuery,
    ) -> Result<Page<StoreFile>, StoreError> {
        let is_listed = |item: &Item| {
            let found = Reader(item).maybe_text("file_status");
            !item.contains_key(DELETED) && status.is_none_or(|status| found.as_deref() == Some(status.name()))
        };
        let (partition, read) = (keys::store_files_partition(store), |item: &Item| read_store_file(store, item));
        list(&self.0, &partition, file::ID_PREFIX, query, is_listed, read).await
    }

    /// Attaches a file that is not in the store. `before`: the generation of the detached file that it takes the place of.
    ///
    /// `Refused`: the store or the file is gone, or the file was attached meanwhile, or another transaction came first.
    pub async fn attach(
        &self,
        file: &StoreFile,
        before: Option<u32>,
        due_at: Timestamp,
    ) -> Result<WriteOutcome, StoreError> {
        let is_free = "attribute_not_exists(pk) OR attribute_exists(deleted) AND generation = :before";
        let before = vec![(":before", number(before.unwrap_or(0)))];
        let record = Write::PutIf(new_record(file, due_at), is_free, before);
        let store = keys::store_of_file(&file.key).with([]);
        let counted = counted(&file.key.store, IS_OPEN, &[(file.status, 1)], 0, Some(file.created_at));
        self.0.transact(vec![record, Write::Put(store), is_complete(&file.key), counted]).await
    }

    /// Begins a new generation of a file that is in the store, as `after` says. `Refused`: as [`StoreFileRecords::attach`].
    pub async fn restart(
        &self,
        before: &StoreFile,
        after: &StoreFile,
        due_at: Timestamp,
    ) -> Result<WriteOutcome, StoreError> {
        let change = Change::new(
            "SET file_status = :status, generation = :generation, chunking = :chunking, attributes = :attributes, \
             api_key_id = :key, begun_at = :begun, lease_until = :none, due_at = :due, due_shard = :shard REMOVE problem",
        )
        .only_if("generation = :before AND file_status = :was AND attribute_not_exists(deleted)")
        .values([
            (":status", text(after.status.name())),
            (":generation", number(after.generation)),
            (":chunking", text(json(&after.chunking))),
            (":attributes", text(json(&after.attributes))),
            (":key", text(&after.api_key_id)),
            (":begun", number(after.begun_at.0)),
            (":none", number(0)),
            (":due", number(due_at.0)),
            (":shard", text(shard(&after.key))),
            (":before", number(before.generation)),
            (":was", text(before.status.name())),
        ]);
        let moved = [(before.status, -1), (after.status, 1)];
        let counted = counted(&after.key.store, IS_OPEN, &moved, 0, Some(after.begun_at));
        self.0
            .transact(vec![Write::Change(keys::store_file(&after.key), change), is_complete(&after.key), counted])
            .await
    }

    /// Sets the attributes of a file. Returns it as it is then; `None`: it is not in the store.
    pub async fn set_attributes(
        &self,
        key: &StoreFileKey,
        attributes: &Attributes,
    ) -> Result<Option<StoreFile>, StoreError> {
        let change = Change::new("SET attributes = :attributes")
            .only_if(IS_THERE)
            .values([(":attributes", text(json(attributes)))])
            .returning(Returning::All);
        match self.0.update(keys::store_file(key), change).await? {
            UpdateOutcome::Written(item) => read_store_file(&key.store, &item).map(Some),
            UpdateOutcome::Refused(_) => Ok(None),
        }
    }

    /// Takes up a file that nobody works on. `None`: another process has it, or nothing is left to do.
    pub async fn take(
        &self,
        key: &StoreFileKey,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Option<StoreFile>, StoreError> {
        // A lease that ends later than it could have been set is from before the clock was set back, and has ended.
        let change = Change::new("SET fence = fence + :one, lease_until = :lease, lease_owner = :mark")
            .only_if("attribute_exists(due_at) AND NOT lease_until BETWEEN :next AND :latest")
            .values([
                (":one", number(1)),
                (":lease", number(lease_until.0)),
                (":next", number(now.plus_ms(1).0)),
                (":latest", number(now.latest_end(now.until(lease_until)).0)),
            ])
            .marked("lease_owner")
            .returning(Returning::All);
        match self.0.update(keys::store_file(key), change).await? {
            UpdateOutcome::Written(item) => read_store_file(&key.store, &item).map(Some),
            UpdateOutcome::Refused(_) => Ok(None),
        }
    }

    /// Renews the lease of a file. `Refused`: another process took it up, or it was detached or attached anew.
    pub async fn renew(
        &self,
        file: &StoreFile,
        lease_until: Timestamp,
        due_at: Timestamp,
    ) -> Result<WriteOutcome, StoreError> {
        let change = Change::new("SET lease_until = :lease, due_at = :due")
            .values([(":lease", number(lease_until.0)), (":due", number(due_at.0))]);
        self.change(file, change).await
    }

    /// Leaves a file to the process that takes it up when it is due. `Refused`: as [`StoreFileRecords::renew`], or another process detached
    /// it or attached it anew since it was taken up.
    pub async fn leave(&self, file: &StoreFile, due_at: Timestamp) -> Result<WriteOutcome, StoreError> {
        let change = Change::new("SET lease_until = :none, due_at = :due")
            .values([(":none", number(0)), (":due", number(due_at.0))]);
        self.change(file, change).await
    }

    /// Notes that nothing is left to do for a file. `Refused`: as [`StoreFileRecords::renew`].
    pub async fn clear_due(&self, file: &StoreFile) -> Result<WriteOutcome, StoreError> {
        let change = Change::new("SET lease_until = :none REMOVE due_at, due_shard").values([(":none", number(0))]);
        self.change(file, change).await
    }

    /// Makes a due file due later, for the one sweeper that wakes a worker for it. `Refused`: another did.
    pub async fn postpone(&self, file: &StoreFile, until: Timestamp) -> Result<WriteOutcome, StoreError> {
        let change = Change::new("SET due_at = :until")
            .only_if("due_at = :before")
            .values([(":until", number(until.0)), (":before", number(file.due_at.unwrap_or_default().0))]);
        Ok(self.0.update(keys::store_file(&file.key), change).await?.into())
    }

    /// Changes a file that this process has taken up. A file that was detached since then is due for its erasure, which this must not put
    /// off; only the process that took the mark up may change it.
    async fn change(&self, file: &StoreFile, change: Change) -> Result<WriteOutcome, StoreError> {
        let is_as_taken =
            if file.is_detached() { "attribute_exists(deleted)" } else { "attribute_not_exists(deleted)" };
        let change = change.only_if(format!("{OWNED} AND {is_as_taken}")).values(owned(file));
        Ok(self.0.update(keys::store_file(&file.key), change).await?.into())
    }

    /// Ends the ingestion of a file. It stays due until the chunks of other generations are deleted.
    ///
    /// `Refused`: the file was detached, attached anew or taken up by another process, or its store was deleted.
    pub async fn end(&self, file: &StoreFile, end: &IngestEnd) -> Result<WriteOutcome, StoreError> {
        for tried in 0..MAX_TRIES {
            if self.0.transact(Self::ending(file, end)).await?.is_written() {
                return Ok(WriteOutcome::Written);
            }
            match self.find(&file.key).await? {
                Some(found)
                    if found.fence == file.fence && found.generation == file.generation && !found.is_detached() =>
                {
                    // The SDK repeats a write whose answer was lost: this call itself may have ended it.
                    if found.status != FileStatus::InProgress {
                        return Ok(WriteOutcome::Written);
                    }
                }
                _ => return Ok(WriteOutcome::Refused),
            }
            conflict_pause(tried).await;
        }
        Ok(WriteOutcome::Refused)
    }

    fn ending(file: &StoreFile, end: &IngestEnd) -> Vec<Write> {
        let in_progress = (":in_progress", text(FileStatus::InProgress.name()));
        let (status, change, more_bytes) = match end {
            IngestEnd::Completed { chunks, usage_bytes } => {
                let change = Change::new(
                    "SET file_status = :status, live = generation, chunk_count = :chunks, usage_bytes = :bytes REMOVE problem",
                );
                let change = change.values([(":chunks", number(chunks)), (":bytes", number(usage_bytes))]);
                (FileStatus::Completed, change, signed(*usage_bytes) - signed(file.usage_bytes))
            }
            IngestEnd::Failed(problem) => {
                let change = Change::new("SET file_status = :status, problem = :problem");
                (FileStatus::Failed, change.values([(":problem", text(json(problem)))]), 0)
            }
        };
        let change = change
            .only_if(format!("{OWNED} AND file_status = :in_progress AND attribute_not_exists(deleted)"))
            .values(owned(file))
            .values([(":status", text(status.name())), in_progress]);
        let moved = [(FileStatus::InProgress, -1), (status, 1)];
        let counted = counted(&file.key.store, IS_THERE, &moved, more_bytes, None);
        let mut writes = vec![Write::Change(keys::store_file(&file.key), change), counted];
        if let IngestEnd::Completed { .. } = end {
            let objects = i64::from(file.live.is_none());
            let stored = StoredChange { expiry: Expiry::Never, bytes: more_bytes, objects };
            writes.push(stored.write(&file.key.store.project_id));
        }
        writes
    }

    /// Detaches a file: it is not searched from now on. It is due until its chunks are deleted. `Refused`: it is not in the store.
    pub async fn detach(&self, key: &StoreFileKey, now: Timestamp) -> Result<WriteOutcome, StoreError> {
        for tried in 0..MAX_TRIES {
            let Some(file) = self.get(key).await? else {
                // This call itself may have detached it, if the answer was lost.
                return Ok(if tried == 0 { WriteOutcome::Refused } else { WriteOutcome::Written });
            };
            // A store that is deleted counts nothing any more.
            let store = self.0.get(keys::vector_store(&key.store)).await?;
            let is_counted = store.is_some_and(|store| !store.contains_key(DELETED));
            if self.0.transact(Self::detaching(&file, is_counted, now)).await?.is_written() {
                return Ok(WriteOutcome::Written);
            }
            conflict_pause(tried).await;
        }
        Err(StoreError::table("detach the file")(Contended("its transactions were cancelled")))
    }

    fn detaching(file: &StoreFile, is_counted: bool, now: Timestamp) -> Vec<Write> {
        let mark = Change::new("SET deleted = :now, due_at = :now, due_shard = :shard")
            .only_if("file_status = :was AND generation = :generation AND attribute_not_exists(deleted)")
            .values([
                (":now", number(now.0)),
                (":shard", text(shard(&file.key))),
                (":was", text(file.status.name())),
                (":generation", number(file.generation)),
            ]);
        let mut writes = vec![Write::Change(keys::store_file(&file.key), mark)];
        if is_counted {
            writes.push(counted(&file.key.store, IS_THERE, &[(file.status, -1)], -signed(file.usage_bytes), None));
        }
        if file.live.is_some() {
            let removed = StoredChange { expiry: Expiry::Never, bytes: -signed(file.usage_bytes), objects: -1 };
            writes.push(removed.write(&file.key.store.project_id));
        }
        writes
    }

    /// Removes the mark of a detached file. `Refused`: it was attached again, or another process erases it.
    pub async fn remove(&self, file: &StoreFile) -> Result<WriteOutcome, StoreError> {
        let is_erased = "attribute_exists(deleted) AND generation = :generation AND fence = :fence";
        let record = Write::RemoveIf(keys::store_file(&file.key), is_erased, owned(file).into());
        self.0.transact(vec![record, Write::Delete(keys::store_of_file(&file.key))]).await
    }

    /// The stores that a file is or was in.
    pub async fn stores_of(&self, project_id: &str, file_id: &str) -> Result<Vec<VectorStoreKey>, StoreError> {
        let items = self.0.query_partition(&keys::stores_of_file_partition(project_id, file_id)).await?;
        let key = |item| Ok(VectorStoreKey { project_id: project_id.to_owned(), store_id: Reader(item).text("sk")? });
        items.iter().map(key).collect()
    }
}

/// The write that changes the counters of a store; refuses if the store does not fulfil the condition.
fn counted(
    store: &VectorStoreKey,
    condition: &'static str,
    changes: &[(FileStatus, i64)],
    more_bytes: i64,
    active_at: Option<Timestamp>,
) -> Write {
    let names = [":one", ":other"];
    let added: Vec<String> =
        changes.iter().zip(names).map(|((status, _), name)| format!("{} {name}", counter_of(*status))).collect();
    let mut change = Change::new(format!("ADD {}, usage_bytes :bytes", added.join(", ")))
        .only_if(condition)
        .values(changes.iter().zip(names).map(|((_, count), name)| (name, number(count))))
        .values([(":bytes", number(more_bytes))]);
    if let Some(active_at) = active_at {
        change.push(" SET last_active_at = :now", ":now", number(active_at.0));
    }
    Write::Change(keys::vector_store(store), change)
}

/// Times that a transaction is tried while others come first.
const MAX_TRIES: u32 = 12;

/// The condition of all writes of a process that took a file up.
const OWNED: &str = "fence = :fence AND generation = :generation AND attribute_exists(pk)";

fn owned(file: &StoreFile) -> [(&'static str, aws_sdk_dynamodb::types::AttributeValue); 2] {
    [(":fence", number(file.fence)), (":generation", number(file.generation))]
}

/// Refuses if the file itself is not there any more: who deletes a file looks for its stores after this.
fn is_complete(key: &StoreFileKey) -> Write {
    let condition = "attribute_exists(pk) AND attribute_not_exists(begun) AND attribute_not_exists(deleted)";
    Write::Check(keys::file(&key.file()), condition, Vec::new())
}

fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}
