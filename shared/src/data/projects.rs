//! Projects: a profile each, and a listing of all.

use super::error::StoreError;
use super::item::{Item, Reader, number, text};
use super::keys;
use super::table::{Table, Write};
use crate::model::money::MicroUsd;
use crate::model::project::{Limits, Policy, Project};

impl Table {
    /// Stores a new project. `false` if its id is taken.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn create_project(&self, project: &Project) -> Result<bool, StoreError> {
        let mut listing = keys::project_listing(project.created_at, &project.id).into_item();
        listing.insert("project_id".to_owned(), text(&project.id));
        self.transact(vec![Write::Create(item(project)), Write::Create(listing)]).await
    }

    /// Replaces a project, if it is still at the revision that `project` follows. `false` if it is not.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn replace_project(&self, project: &Project) -> Result<bool, StoreError> {
        let before = project.revision.saturating_sub(1);
        self.put_if(item(project), "revision = :before", vec![(":before", number(before))]).await
    }

    /// A project by its id.
    ///
    /// # Errors
    /// If the table fails or the item is damaged.
    pub async fn project(&self, id: &str) -> Result<Option<Project>, StoreError> {
        self.get(keys::project(id)).await?.map(|item| project(&item)).transpose()
    }

    /// All projects, oldest first.
    ///
    /// # Errors
    /// If the table fails or an item is damaged.
    pub async fn projects(&self) -> Result<Vec<Project>, StoreError> {
        let listed = self.query(keys::PROJECTS, "0", ":").await?;
        let ids = listed.iter().map(|item| Reader(item).text("project_id")).collect::<Result<Vec<_>, _>>()?;
        let mut projects = Vec::with_capacity(ids.len());
        for hundred in ids.chunks(100) {
            let found = self.get_all(hundred.iter().map(|id| keys::project(id)).collect()).await?;
            projects.extend(found.iter().map(project).collect::<Result<Vec<_>, _>>()?);
        }
        projects.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        Ok(projects)
    }
}

fn item(project: &Project) -> Item {
    let mut item = keys::project(&project.id).into_item();
    let policy = serde_json::to_string(&project.policy).unwrap_or_default();
    item.extend([
        ("id".to_owned(), text(&project.id)),
        ("name".to_owned(), text(&project.name)),
        ("created_at".to_owned(), number(project.created_at)),
        ("revision".to_owned(), number(project.revision)),
        ("policy".to_owned(), text(policy)),
    ]);
    let Limits { requests_per_minute, tokens_per_minute, budget } = project.limits;
    let optional = [
        ("archived_at", project.archived_at),
        ("requests_per_minute", requests_per_minute),
        ("tokens_per_minute", tokens_per_minute),
        ("budget", budget.map(|budget| budget.0)),
    ];
    item.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), number(value?)))));
    item
}

fn project(item: &Item) -> Result<Project, StoreError> {
    let reader = Reader(item);
    let policy: Policy = serde_json::from_str(&reader.text("policy")?).map_err(|_| reader.damaged("policy"))?;
    Ok(Project {
        id: reader.text("id")?,
        name: reader.text("name")?,
        created_at: reader.number("created_at")?,
        archived_at: reader.maybe_number("archived_at")?,
        limits: Limits {
            requests_per_minute: reader.maybe_number("requests_per_minute")?,
            tokens_per_minute: reader.maybe_number("tokens_per_minute")?,
            budget: reader.maybe_number("budget")?.map(MicroUsd),
        },
        revision: reader.number("revision")?,
        policy,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Project {
        Project {
            id: "proj_1".into(),
            name: "Team".into(),
            created_at: 7,
            archived_at: Some(9),
            limits: Limits { requests_per_minute: Some(3), tokens_per_minute: Some(4), budget: Some(MicroUsd(5)) },
            revision: 2,
            policy: Policy { dedupe_retries: true, ..Policy::default() },
        }
    }

    #[test]
    fn a_project_survives_the_table() {
        let bare = Project { archived_at: None, limits: Limits::default(), ..full() };
        for each in [full(), bare] {
            assert_eq!(project(&item(&each)).unwrap(), each);
        }
    }

    #[test]
    fn a_damaged_item_is_named() {
        let mut damaged = item(&full());
        damaged.insert("revision".into(), text("three"));
        assert_eq!(
            project(&damaged).unwrap_err().to_string(),
            "item `PROJECT#proj_1/PROFILE` has no usable `revision`"
        );
    }
}
