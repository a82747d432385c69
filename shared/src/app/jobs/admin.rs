//! Background responses and dead letters of all projects, for operators.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Canceller;
use crate::app::error::Error;
use crate::app::projects::load_project;
use crate::data::{AuditRecords, DeadLetter, JobRecords, ProjectRecords, Queue, Queues, ResponseRecord};
use crate::model::audit::{Actor, AuditAction, AuditEntry};
use crate::model::clock::Clock;
use crate::model::page::{Cursor, Page};
use crate::model::project::Project;
use crate::model::response::Status;

/// Jobs of a project that one request looks through.
const LOOKED_THROUGH: usize = 1_000;
const BATCH: usize = 100;
/// Dead letters that one request takes.
const LETTERS: usize = 100;

/// Shows and cancels the jobs of all projects, and replays dead letters.
pub struct JobAdmin {
    pub(in crate::app) jobs: JobRecords,
    pub(in crate::app) projects: ProjectRecords,
    pub(in crate::app) queues: Queues,
    pub(in crate::app) canceller: Arc<Canceller>,
    pub(in crate::app) audit: AuditRecords,
    pub(in crate::app) clock: Clock,
}

impl JobAdmin {
    /// Background responses of one project or of all, the newest first; with a status, if one is given. Of each project the
    /// newest 1,000 are looked through.
    ///
    /// # Errors
    /// `NotFound` if there is no such project.
    pub async fn list(
        &self,
        project_id: Option<&str>,
        status: Option<Status>,
        cursor: &Cursor,
    ) -> Result<Page<ResponseRecord>, Error> {
        let projects = match project_id {
            Some(id) => vec![load_project(&self.projects, id).await?.id],
            None => self.projects.list().await?.into_iter().map(|project| project.id).collect(),
        };
        let mut found = Vec::new();
        for project in &projects {
            found.extend(self.list_of(project, status, cursor).await?);
        }
        Ok(Page::newest_first(found, cursor, |record| &record.key.response_id))
    }

    async fn list_of(
        &self,
        project_id: &str,
        status: Option<Status>,
        cursor: &Cursor,
    ) -> Result<Vec<ResponseRecord>, Error> {
        let (mut found, mut before, mut looked) = (Vec::new(), cursor.after.clone(), 0);
        while found.len() <= cursor.limit && looked < LOOKED_THROUGH {
            let page = self.jobs.list(project_id, before.as_deref(), BATCH).await?;
            looked += BATCH;
            let now = self.clock.now();
            let wanted = |record: &ResponseRecord| {
                !record.is_expired(now) && status.is_none_or(|status| record.status == status)
            };
            found.extend(page.records.into_iter().filter(wanted));
            let Some(next) = page.next else { break };
            before = Some(next);
        }
        Ok(found)
    }

    /// A background response of any project.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn get(&self, response_id: &str) -> Result<ResponseRecord, Error> {
        self.find(response_id).await.map(|(_, record)| record)
    }

    async fn find(&self, response_id: &str) -> Result<(Project, ResponseRecord), Error> {
        let projects = self.projects.list().await?;
        let ids: Vec<&str> = projects.iter().map(|project| project.id.as_str()).collect();
        let now = self.clock.now();
        let found = self.jobs.find(&ids, response_id).await?.filter(|record| !record.is_expired(now));
        let not_found = || Error::not_found("job", response_id);
        let record = found.ok_or_else(not_found)?;
        let project = projects.into_iter().find(|project| project.id == record.key.project_id);
        Ok((project.ok_or_else(not_found)?, record))
    }

    /// Cancels a background response of any project.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` if it has ended.
    pub async fn cancel(&self, response_id: &str, by: &Actor) -> Result<ResponseRecord, Error> {
        let (project, ResponseRecord { key, status, .. }) = self.find(response_id).await?;
        if !status.is_terminal() {
            // The entry comes first, because a cancellation is no transaction: no change is without an entry.
            let entry = AuditEntry::new(by, AuditAction::JobCancelled, response_id, self.clock.now());
            let (before, after) = (json!({"status": status.name()}), json!({"status": Status::Cancelled.name()}));
            self.audit.put(&entry.in_project(&project).with_change(before, after)).await?;
        }
        self.canceller.cancel(&key).await?;
        self.get(&key.response_id).await
    }

    /// Messages that no worker could finish.
    pub async fn dead_letters(&self, queue: Queue) -> Result<Vec<DeadLetter>, Error> {
        Ok(self.queues.dead_letters(queue, LETTERS).await?)
    }

    /// Returns dead letters to their queue: the named ones, or all, up to 100 at once. Returns how many.
    pub async fn replay_dead_letters(
        &self,
        queue: Queue,
        named: Option<&[String]>,
        by: &Actor,
    ) -> Result<usize, Error> {
        let entry = AuditEntry::new(by, AuditAction::DeadLettersReplayed, queue.name(), self.clock.now());
        self.audit.put(&entry.with_change(Value::Null, json!({"ids": named}))).await?;
        Ok(self.queues.replay_dead_letters(queue, named, LETTERS).await?)
    }
}
