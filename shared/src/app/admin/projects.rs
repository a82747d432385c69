//! Projects: create, read, change, archive.

use super::ProjectChange;
use crate::app::admission::pause;
use crate::app::page::{Cursor, LONGEST_ID, Page};
use crate::app::{Error, Gateway};
use crate::model::id;
use crate::model::project::{Limits, Name, Policy, Project};

/// Times that a change may meet somebody faster before it gives up.
const MAX_TRIES: u32 = 10;

/// A project to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewProject {
    pub name: Name,
    pub limits: Limits,
    pub policy: Policy,
}

impl Gateway {
    /// Makes a project. It has no key yet; see [`Gateway::create_service_account`].
    ///
    /// # Errors
    /// `Contended` if its id was taken at the same moment; `Internal` if the table failed.
    pub async fn create_project(&self, new: NewProject) -> Result<Project, Error> {
        let now = self.clock.now();
        let project = Project {
            id: id::new_ordered("proj_", now),
            name: new.name.into(),
            created_at: now.seconds(),
            archived_at: None,
            limits: new.limits,
            revision: 1,
            policy: new.policy,
        };
        if self.stores.table.create_project(&project).await? { Ok(project) } else { Err(Error::Contended("projects")) }
    }

    /// A project by its id, archived or not.
    ///
    /// # Errors
    /// `NotFound` if there is none; `Internal` if the table failed.
    pub async fn project(&self, id: &str) -> Result<Project, Error> {
        if id.len() > LONGEST_ID {
            return Err(Error::NotFound { kind: "project", id: id.to_owned() });
        }
        self.reload_project(id).await
    }

    /// A page of the projects, oldest first.
    ///
    /// # Errors
    /// `Internal` if the table failed.
    pub async fn projects(&self, cursor: &Cursor, include_archived: bool) -> Result<Page<Project>, Error> {
        let mut all = self.stores.table.projects().await?;
        all.retain(|project| include_archived || project.archived_at.is_none());
        Ok(Page::of(all, cursor, |project| &project.id))
    }

    /// Changes a project; its new limits are in force when this returns.
    ///
    /// # Errors
    /// `NotFound` if there is no such project; `Contended` if others changed it too often meanwhile, or its meter;
    /// `Internal` if the table failed. Repeating the same change completes it.
    pub async fn update_project(&self, id: &str, change: &ProjectChange) -> Result<Project, Error> {
        self.change_project(id, |project| change.apply(project)).await
    }

    /// Archives a project for good: its keys stop working, in this process at once and elsewhere within 30 seconds.
    /// An archived project stays as it is.
    ///
    /// # Errors
    /// As [`Gateway::update_project`].
    pub async fn archive_project(&self, id: &str) -> Result<Project, Error> {
        let now = self.clock.now().seconds();
        self.change_project(id, |project| project.archived_at = project.archived_at.or(Some(now))).await
    }

    async fn change_project(&self, id: &str, change: impl Fn(&mut Project)) -> Result<Project, Error> {
        for tried in 0..MAX_TRIES {
            let before = self.project(id).await?;
            let mut after = before.clone();
            change(&mut after);
            if after != before {
                after.revision += 1;
                if !self.stores.table.replace_project(&after).await? {
                    pause(tried).await;
                    continue;
                }
            }
            // Also if nothing changed: an earlier try of the same change may have ended between the two.
            self.forget_keys(id);
            self.apply_limits(&after).await?;
            return Ok(after);
        }
        Err(Error::Contended("the project"))
    }
}
