//! Projects with their limits and policies, and their service accounts and API keys.
//!
//! A change reads a project and writes it only if the project still has the revision that was read. Without this
//! condition, one of two concurrent changes would be lost. New limits are in force when the change returns; see
//! `Admission::apply_limits`. Each change is in the audit log, by the same transaction.

mod accounts;
mod api_keys;

use std::sync::Arc;

use serde_json::Value;

use super::admission::Admission;
use super::auth::Auth;
use super::error::Error;
use super::generation::QUIET_AFTER_MS;
use super::storage::Storage;
use crate::data::{ProjectRecords, ProjectWork, Stores, WorkKey, WorkKind};
use crate::model::audit::{Actor, AuditAction, AuditEntry, audited_project};
use crate::model::backoff;
use crate::model::clock::{Clock, Timestamp};
use crate::model::id;
use crate::model::invalid::Invalid;
use crate::model::page::{Cursor, Page};
use crate::model::project::{Limits, Name, Policy, Project, Purge};
use crate::model::project_patch::ProjectPatch;
use crate::model::storage::Stored;

pub use accounts::{Issued, ServiceAccounts};
pub use api_keys::{KeyPatch, KeySettings, UsedKey};

/// Number of times that a change is tried while other changes of the same project interfere.
const MAX_TRIES: u32 = 10;

/// The properties of a project that is to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewProject {
    pub name: Name,
    pub limits: Limits,
    pub policy: Policy,
}

/// Administers projects.
pub struct Projects {
    records: ProjectRecords,
    auth: Arc<Auth>,
    admission: Arc<Admission>,
    storage: Storage,
    clock: Clock,
}

impl Projects {
    pub(super) fn new(stores: &Stores, clock: Clock, auth: Arc<Auth>, admission: Arc<Admission>) -> Self {
        let storage = Storage::new(stores, clock.clone());
        Self { records: stores.projects(), auth, admission, storage, clock }
    }

    /// Creates a project. It has no API key yet; see [`ServiceAccounts::create`].
    ///
    /// # Errors
    /// `Contended` if another request took the same id at the same moment.
    pub async fn create(&self, new: NewProject, by: &Actor) -> Result<Project, Error> {
        let now = self.clock.now();
        let project = Project {
            id: id::new_ordered("proj_", now),
            name: new.name.into(),
            created_at: now.seconds(),
            archived_at: None,
            purge: None,
            limits: new.limits,
            revision: 1,
            policy: new.policy,
        };
        let entry = AuditEntry::new(by, AuditAction::ProjectCreated, &project.id, now).in_project(&project);
        let entry = entry.with_change(Value::Null, audited_project(&project));
        let outcome = self.records.create(&project, Some(&entry)).await?;
        if outcome.is_written() { Ok(project) } else { Err(Error::Contended("projects")) }
    }

    /// Returns a project, archived or not.
    ///
    /// # Errors
    /// `NotFound` if there is no project with that id.
    pub async fn get(&self, id: &str) -> Result<Project, Error> {
        load_project(&self.records, id).await
    }

    /// Returns a project and how much it stores in conversations.
    ///
    /// # Errors
    /// `NotFound` if there is no project with that id.
    pub async fn storage(&self, id: &str) -> Result<(Project, Stored), Error> {
        let project = self.get(id).await?;
        let stored = self.storage.of(id).await?;
        Ok((project, stored))
    }

    /// Returns a page of the projects, oldest first.
    pub async fn list(&self, cursor: &Cursor, include_archived: bool) -> Result<Page<Project>, Error> {
        let mut all = self.records.list().await?;
        all.retain(|project| include_archived || project.archived_at.is_none());
        Ok(Page::oldest_first(all, cursor, |project| &project.id))
    }

    /// Changes a project. Its new limits are in force when this returns.
    ///
    /// # Errors
    /// A caller completes a failed update by repeating it.
    /// - `NotFound` if there is no project with that id.
    /// - `Contended` if concurrent changes of the project or of its meter interfered too often.
    pub async fn update(&self, id: &str, patch: &ProjectPatch, by: &Actor) -> Result<Project, Error> {
        self.change(id, |project| patch.apply(project), (by, AuditAction::ProjectUpdated), None).await
    }

    /// Archives a project permanently. Its keys stop working, in this process at once and in others within 30 seconds.
    /// The sweeper cancels its background responses; calls and streams that run end by themselves. Archiving an archived
    /// project changes nothing.
    ///
    /// # Errors
    /// The same as [`Projects::update`].
    pub async fn archive(&self, id: &str, by: &Actor) -> Result<Project, Error> {
        let now = self.clock.now();
        let key = WorkKey { project_id: id.to_owned(), kind: WorkKind::CancelJobs };
        let work = ProjectWork { key, cursor: String::new(), due_at: now };
        let archive = |project: &mut Project| project.archived_at = project.archived_at.or(Some(now.seconds()));
        self.change(id, archive, (by, AuditAction::ProjectArchived), Some(&work)).await
    }

    /// Deletes the content of an archived project: all that its clients sent and got. The sweeper does it, from an hour after
    /// the project was archived. Purging a purged project changes nothing.
    ///
    /// # Errors
    /// The same as [`Projects::update`]; `Invalid` if the project is not archived.
    pub async fn purge(&self, id: &str, by: &Actor) -> Result<Project, Error> {
        let Some(archived_at) = self.get(id).await?.archived_at else { return Err(not_archived(id).into()) };
        let now = self.clock.now();
        let key = WorkKey { project_id: id.to_owned(), kind: WorkKind::Purge };
        // Before that, requests of the project may be at work.
        let due_at = now.max(Timestamp(archived_at * 1_000).plus_ms(QUIET_AFTER_MS));
        let work = ProjectWork { key, cursor: String::new(), due_at };
        let begun = Purge { requested_at: now.seconds(), completed_at: None };
        let purge = |project: &mut Project| project.purge = project.purge.or(Some(begun));
        self.change(id, purge, (by, AuditAction::ProjectPurged), Some(&work)).await
    }

    /// Changes a project, with an entry in the audit log, and begins work with the change. If nothing changes, no entry is
    /// written and no work begins.
    async fn change(
        &self,
        id: &str,
        change: impl Fn(&mut Project),
        (by, action): (&Actor, AuditAction),
        work: Option<&ProjectWork>,
    ) -> Result<Project, Error> {
        for tried in 0..MAX_TRIES {
            let before = self.get(id).await?;
            let mut after = before.clone();
            change(&mut after);
            if after != before {
                after.revision += 1;
                let entry = AuditEntry::new(by, action, id, self.clock.now()).in_project(&after);
                let entry = entry.with_change(audited_project(&before), audited_project(&after));
                if !self.records.replace(&after, &entry, work).await?.is_written() {
                    backoff::pause(tried).await;
                    continue;
                }
            }
            // Also done if nothing changed: an earlier try of the same change may have failed after it wrote the project
            // and before it applied the limits.
            self.auth.forget_project(id);
            self.admission.apply_limits(&after).await?;
            return Ok(after);
        }
        Err(Error::Contended("the project"))
    }
}

fn not_archived(id: &str) -> Invalid {
    let message = format!(
        "Project '{id}' is active, and a purge deletes all of its content for good. Archive it first: POST \
         /v1/organization/projects/{id}/archive."
    );
    Invalid { message, param: None, code: Some("project_not_archived") }
}

/// Reads a project.
///
/// # Errors
/// `NotFound` if there is no project with that id.
pub(super) async fn load_project(records: &ProjectRecords, id: &str) -> Result<Project, Error> {
    records.get(id).await?.ok_or_else(|| Error::not_found("project", id))
}
