//! Background responses and dead letters, for those who operate a deployment: of all projects.

use crate::app::{Cursor, Error, Gateway, Page};
use crate::data::{DeadLetter, Queue, ResponseRecord};
use crate::dialects::openai_responses::Status;

/// Jobs that one request looks through in a project.
const LOOKED_THROUGH: usize = 1_000;
const BATCH: usize = 100;
/// Dead letters that one request takes.
const LETTERS: usize = 100;

impl Gateway {
    /// Background responses of one project or of all, the newest first; those with a status, if one is given. Of each
    /// project the newest 1,000 are looked through.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn jobs(
        &self,
        project_id: Option<&str>,
        status: Option<Status>,
        cursor: &Cursor,
    ) -> Result<Page<ResponseRecord>, Error> {
        let projects = match project_id {
            Some(id) => vec![self.project(id).await?.id],
            None => self.stores.table.projects().await?.into_iter().map(|project| project.id).collect(),
        };
        let mut found = Vec::new();
        for project in &projects {
            found.extend(self.jobs_of(project, status, cursor).await?);
        }
        Ok(Page::newest_first(found, cursor, |record| &record.key.response_id))
    }

    async fn jobs_of(
        &self,
        project_id: &str,
        status: Option<Status>,
        cursor: &Cursor,
    ) -> Result<Vec<ResponseRecord>, Error> {
        let (mut found, mut before, mut looked) = (Vec::new(), cursor.after.clone(), 0);
        while found.len() <= cursor.limit && looked < LOOKED_THROUGH {
            let records = self.stores.jobs(project_id, before.as_deref(), BATCH).await?;
            let Some(last) = records.last() else { break };
            looked += BATCH;
            before = Some(last.key.response_id.clone());
            found.extend(records.into_iter().filter(|record| status.is_none_or(|status| record.status == status)));
        }
        Ok(found)
    }

    /// A background response, of whichever project.
    ///
    /// # Errors
    /// `NotFound`, `Internal`.
    pub async fn job(&self, response_id: &str) -> Result<ResponseRecord, Error> {
        let projects = self.stores.table.projects().await?;
        let ids: Vec<&str> = projects.iter().map(|project| project.id.as_str()).collect();
        let found = self.stores.find_job(&ids, response_id).await?;
        found.ok_or_else(|| Error::NotFound { kind: "job", id: response_id.to_owned() })
    }

    /// Cancels a background response, of whichever project.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` if it has ended; `Internal`.
    pub async fn cancel_any_job(&self, response_id: &str) -> Result<ResponseRecord, Error> {
        let ResponseRecord { key, .. } = self.job(response_id).await?;
        self.cancel_job(&key).await?;
        self.job(&key.response_id).await
    }

    /// Messages that no worker could finish.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn dead_letters(&self, queue: Queue) -> Result<Vec<DeadLetter>, Error> {
        Ok(self.stores.queues.dead_letters(queue, LETTERS).await?)
    }

    /// Gives dead letters to their queue again: those that are named, or all, up to 100 at once. How many.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn replay_dead_letters(&self, queue: Queue, named: Option<&[String]>) -> Result<usize, Error> {
        Ok(self.stores.queues.replay_dead_letters(queue, named, LETTERS).await?)
    }
}
