//! Work on a whole project, which takes many steps: an item that is due until the work is done.

use super::change::{Change, Write};
use super::due::due_shard;
use super::error::StoreError;
use super::item::{Item, Reader, number, text};
use super::keys;
use super::table::Table;
use crate::model::clock::Timestamp;

/// A kind of work on a whole project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkKind {
    /// Cancels the background responses that have not ended.
    CancelJobs,
    /// Deletes all content.
    Purge,
}

impl WorkKind {
    const ALL: [Self; 2] = [Self::CancelJobs, Self::Purge];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::CancelJobs => "cancel_jobs",
            Self::Purge => "purge",
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Identifies the work: a project has each kind once at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkKey {
    pub project_id: String,
    pub kind: WorkKind,
}

/// Work as far as it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectWork {
    pub key: WorkKey,
    /// Where the next step goes on; empty at the begin.
    pub cursor: String,
    /// When the next step is to be made.
    pub due_at: Timestamp,
}

/// The work on projects.
#[derive(Clone, Debug)]
pub struct WorkRecords(pub(super) Table);

impl WorkRecords {
    /// Returns work that is not done.
    pub async fn get(&self, key: &WorkKey) -> Result<Option<ProjectWork>, StoreError> {
        self.0.get(keys::project_work(key)).await?.map(|item| read_work(key, &item)).transpose()
    }

    /// Notes how far the work is: from `seen` to `next`, unless another sweeper noted it already.
    pub async fn advance(&self, seen: &ProjectWork, next: &ProjectWork) -> Result<(), StoreError> {
        // Without the condition, a slow sweeper would set the work back, or bring it back after it was done.
        let change = Change::new("SET step = :next, due_at = :due")
            .only_if("attribute_exists(pk) AND step = :seen AND due_at = :seen_due")
            .values([
                (":next", text(&next.cursor)),
                (":due", number(next.due_at.0)),
                (":seen", text(&seen.cursor)),
                (":seen_due", number(seen.due_at.0)),
            ]);
        self.0.update(keys::project_work(&seen.key), change).await.map(drop)
    }

    /// Forgets work that is done.
    pub async fn finish(&self, key: &WorkKey) -> Result<(), StoreError> {
        self.0.delete(keys::project_work(key)).await
    }
}

/// Returns the write that begins work, or begins it again, for a transaction.
pub(super) fn begin_write(work: &ProjectWork) -> Write {
    let ProjectWork { key, cursor, due_at } = work;
    Write::Put(keys::project_work(key).with([
        ("step", text(cursor)),
        ("due_at", number(due_at.0)),
        ("due_shard", text(due_shard(&key.project_id))),
    ]))
}

fn read_work(key: &WorkKey, item: &Item) -> Result<ProjectWork, StoreError> {
    let reader = Reader(item);
    Ok(ProjectWork { key: key.clone(), cursor: reader.text("step")?, due_at: Timestamp(reader.number("due_at")?) })
}
