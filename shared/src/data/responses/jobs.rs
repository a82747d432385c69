//! Background responses as jobs: listed, cancelled, postponed and finalized from outside their runs.

use super::ResponseRecord;
use super::record::{read_record, read_unexpired};
use crate::data::change::{Change, Returning, UpdateOutcome, WriteOutcome};
use crate::data::due::due_shard;
use crate::data::error::StoreError;
use crate::data::item::{Reader, number, text};
use crate::data::keys::{self, Key};
use crate::data::table::Table;
use crate::model::clock::Timestamp;
use crate::model::message::ResponseKey;
use crate::model::response::Status;

/// The outcome of a cancellation.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CancelOutcome {
    /// The response is cancelled. Contains the record after that.
    Cancelled(Box<ResponseRecord>),
    /// The response has ended, and stays as it is.
    Ended,
    NotInBackground,
    /// The response does not exist or has expired.
    Absent,
}

/// A page of background responses, newest first.
#[derive(Debug, Clone)]
pub struct JobPage {
    pub records: Vec<ResponseRecord>,
    /// The next page has the responses older than the one with this id; `None`: there is no next page.
    pub next: Option<String>,
}

/// The background responses of all projects, seen from outside their runs.
#[derive(Clone, Debug)]
pub struct JobRecords(pub(in crate::data) Table);

impl JobRecords {
    /// Cancels a background response that has not ended.
    pub async fn cancel(
        &self,
        key: &ResponseKey,
        now: Timestamp,
        due_at: Timestamp,
    ) -> Result<CancelOutcome, StoreError> {
        // Without the condition, a late cancellation would overwrite the end of a response.
        let change = Change::new(
            "SET run_status = :cancelled, finished_ms = :now, due_at = :due, due_shard = :shard, end_owner = :mark",
        )
        .only_if("attribute_exists(pk) AND background = :one AND run_status IN (:queued, :running)")
        .values([
            (":cancelled", text(Status::Cancelled.name())),
            (":queued", text(Status::Queued.name())),
            (":running", text(Status::InProgress.name())),
            (":one", number(1)),
            (":now", number(now.0)),
            (":due", number(due_at.0)),
            (":shard", text(due_shard(&key.response_id))),
        ])
        .marked("end_owner")
        .returning(Returning::All);
        match self.0.update(keys::response(key), change).await? {
            UpdateOutcome::Written(item) => Ok(CancelOutcome::Cancelled(Box::new(read_record(&item)?))),
            UpdateOutcome::Refused(item) => {
                Ok(match item.map(|item| read_unexpired(&item, now)).transpose()?.flatten() {
                    None => CancelOutcome::Absent,
                    Some(found) if found.background => CancelOutcome::Ended,
                    Some(_) => CancelOutcome::NotInBackground,
                })
            }
        }
    }

    /// Marks that no work is left for a response that has ended.
    pub async fn mark_finalized(&self, key: &ResponseKey) -> Result<(), StoreError> {
        // Without the condition, a response that still waits or runs would disappear from the sweeper's sight.
        let change = Change::new("REMOVE due_at, due_shard")
            .only_if("attribute_exists(pk) AND NOT run_status IN (:queued, :running)")
            .values([(":queued", text(Status::Queued.name())), (":running", text(Status::InProgress.name()))]);
        self.0.update(keys::response(key), change).await.map(drop)
    }

    /// Moves the time at which the sweeper looks again. `Refused`: the response is not due, or no longer at the time that
    /// the caller read, because another sweep or its run moved it.
    pub async fn postpone(&self, seen: &ResponseRecord, until: Timestamp) -> Result<WriteOutcome, StoreError> {
        let Some(due_at) = seen.due_at else { return Ok(WriteOutcome::Refused) };
        // Without the condition, two sweeps would handle the same response, or undo the renewal of its lease.
        let change = Change::new("SET due_at = :until")
            .only_if("due_at = :seen")
            .values([(":until", number(until.0)), (":seen", number(due_at.0))]);
        Ok(self.0.update(keys::response(&seen.key), change).await?.into())
    }

    /// Returns a page of up to `limit` background responses of a project: those older than `before`. It has fewer if
    /// DynamoDB deleted some that expired.
    pub async fn list(&self, project_id: &str, before: Option<&str>, limit: usize) -> Result<JobPage, StoreError> {
        let to = keys::job(project_id, before.unwrap_or("~"));
        let pointers = self.0.query_newest(&to.pk, &to.sk, limit).await?;
        let ids = pointers.iter().map(|pointer| Reader(pointer).text("sk")).collect::<Result<Vec<_>, _>>()?;
        let next = ids.last().filter(|_| ids.len() >= limit).cloned();
        let mut records = self.load_records(ids.into_iter().map(|id| job_state(project_id, id)).collect()).await?;
        records.sort_by(|one, other| other.key.response_id.cmp(&one.key.response_id));
        Ok(JobPage { records, next })
    }

    /// Returns the background response with an id, if one of the projects has it.
    pub async fn find(&self, projects: &[&str], response_id: &str) -> Result<Option<ResponseRecord>, StoreError> {
        for some in projects.chunks(100) {
            let states = some.iter().map(|project| job_state(project, response_id.to_owned())).collect();
            let found = self.load_records(states).await?.into_iter().find(|record| record.background);
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    async fn load_records(&self, keys: Vec<Key>) -> Result<Vec<ResponseRecord>, StoreError> {
        self.0.get_all(keys).await?.iter().map(read_record).collect()
    }
}

fn job_state(project_id: &str, response_id: String) -> Key {
    keys::response(&ResponseKey { project_id: project_id.to_owned(), response_id })
}
