//! The purge of a project: a pass deletes all of its content, and another one, an hour later, what was added meanwhile.
//!
//! It begins an hour after the project was archived, when no request of it is at work any more. A pass leaves a response with
//! work left, and is then made again: the response ends, and its reservation is settled, before it goes. After a pass that
//! left nothing, no item of the project is due and no message has work, so that only processes that were at work already can
//! add something. After an hour there are none.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::app::error::Error;
use crate::app::generation::QUIET_AFTER_MS;
use crate::data::{ProjectContent, ProjectRecords, ProjectWork, ScanPosition, WorkKey, WorkKind, WorkRecords};
use crate::model::audit::{Actor, AuditAction, AuditEntry, audited_project};
use crate::model::clock::Clock;
use crate::model::project::{Project, Purge};

/// How long a pass waits that another work must precede.
const WAIT_MS: u64 = 60_000;

/// Purges projects.
pub(in crate::app) struct Purger {
    pub(in crate::app) content: ProjectContent,
    pub(in crate::app) projects: ProjectRecords,
    pub(in crate::app) work: WorkRecords,
    pub(in crate::app) clock: Clock,
}

/// How far a purge is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    /// Whether this pass is the one after which nothing can be added.
    is_last: bool,
    in_store: Store,
    /// Where the scan of the table goes on.
    position: Option<ScanPosition>,
    /// The scan left a response with work left.
    is_incomplete: bool,
}

/// The store that a pass is at: the table first, because it names bodies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Store {
    #[default]
    Table,
    Bucket,
}

/// The end of a step.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// The purge goes on after so many milliseconds.
    GoOn(Progress, u64),
    Done,
}

impl Purger {
    /// Makes the next step, which begins nothing more after `time`. Every step is safe to repeat.
    ///
    /// # Errors
    /// If a store fails; the step is made again.
    pub(super) async fn go_on(&self, work: &ProjectWork, time: Duration) -> Result<(), Error> {
        let id = &work.key.project_id;
        let project = self.projects.get(id).await?.filter(|project| !project.is_purged());
        let Some(project) = project else { return Ok(self.work.finish(&work.key).await?) };
        let progress = serde_json::from_str(&work.cursor).unwrap_or_default();
        // That work reads the list of jobs.
        let cancels = WorkKey { project_id: id.clone(), kind: WorkKind::CancelJobs };
        let step = match self.work.get(&cancels).await? {
            Some(_) => Step::GoOn(progress, WAIT_MS),
            None => self.step(id, progress, Instant::now() + time).await?,
        };
        match step {
            Step::GoOn(progress, wait_ms) => {
                let cursor = serde_json::to_string(&progress).unwrap_or_default();
                let next = ProjectWork { cursor, due_at: self.clock.now().plus_ms(wait_ms), ..work.clone() };
                Ok(self.work.advance(work, &next).await?)
            }
            Step::Done => self.complete(&project, &work.key).await,
        }
    }

    async fn step(&self, project_id: &str, mut progress: Progress, until: Instant) -> Result<Step, Error> {
        while Instant::now() < until {
            let after = match progress.in_store {
                Store::Table => {
                    let page = self.content.erase_page(project_id, progress.position.as_ref()).await?;
                    progress.after_page(page.unfinished > 0, page.next)
                }
                Store::Bucket => progress.after_bodies(self.content.erase_bodies(project_id).await?),
            };
            match after {
                Step::GoOn(next, 0) => progress = next,
                wait_or_done => return Ok(wait_or_done),
            }
        }
        Ok(Step::GoOn(progress, 1))
    }

    /// Notes the end of a purge, and forgets its work.
    async fn complete(&self, project: &Project, work: &WorkKey) -> Result<(), Error> {
        let now = self.clock.now();
        let purge = project.purge.map(|purge| Purge { completed_at: Some(now.seconds()), ..purge });
        let purged = Project { purge, revision: project.revision + 1, ..project.clone() };
        let entry = AuditEntry::new(&Actor::of_sweep(), AuditAction::ProjectPurgeCompleted, &project.id, now);
        let entry = entry.in_project(&purged).with_change(audited_project(project), audited_project(&purged));
        // A refusal: an administrator changed the project at this moment, or another sweeper noted the end.
        if self.projects.replace(&purged, &entry, None).await?.is_written() {
            self.work.finish(work).await?;
        }
        Ok(())
    }
}

impl Progress {
    /// The step after a page of the table, which left responses or did not.
    fn after_page(self, has_unfinished: bool, next: Option<ScanPosition>) -> Step {
        let is_incomplete = self.is_incomplete || has_unfinished;
        match next {
            Some(_) => Step::GoOn(Self { position: next, is_incomplete, ..self }, 0),
            None if is_incomplete => Step::GoOn(Self::default(), WAIT_MS),
            None => Step::GoOn(Self { in_store: Store::Bucket, position: None, ..self }, 0),
        }
    }

    /// The step after some bodies.
    fn after_bodies(self, has_more: bool) -> Step {
        match (has_more, self.is_last) {
            (true, _) => Step::GoOn(self, 0),
            (false, false) => Step::GoOn(Self { is_last: true, ..Self::default() }, QUIET_AFTER_MS),
            (false, true) => Step::Done,
        }
    }
}
