//! Projects: one profile each, and one list of all.

use super::audit::entry_write;
use super::change::{Write, WriteOutcome};
use super::error::StoreError;
use super::item::{Item, Reader, insert_present, number, text};
use super::keys;
use super::project_work::{ProjectWork, begin_write};
use super::table::Table;
use crate::model::audit::AuditEntry;
use crate::model::money::MicroUsd;
use crate::model::project::{Limits, Policy, Project, Purge};

/// The projects.
#[derive(Clone, Debug)]
pub struct ProjectRecords(pub(super) Table);

impl ProjectRecords {
    /// Stores a new project, its entry in the list and the one in the audit log, or none of them. `Refused`: its id is
    /// taken.
    pub async fn create(&self, project: &Project, audited: Option<&AuditEntry>) -> Result<WriteOutcome, StoreError> {
        let listing = keys::project_listing(project.created_at, &project.id).with([("project_id", text(&project.id))]);
        let writes = [Write::Create(to_item(project)), Write::Create(listing)];
        self.0.transact(writes.into_iter().chain(audited.map(entry_write)).collect()).await
    }

    /// Replaces a project, writes the entry in the audit log, and begins the work that the change asks for. `Refused`: the
    /// table does not have the revision just before `project.revision`, or another transaction came first.
    pub async fn replace(
        &self,
        project: &Project,
        audited: &AuditEntry,
        work: Option<&ProjectWork>,
    ) -> Result<WriteOutcome, StoreError> {
        let before = number(project.revision.saturating_sub(1));
        // Without the condition, a change that another caller made meanwhile would be lost.
        let replacement = Write::PutIf(to_item(project), "revision = :before", vec![(":before", before)]);
        let writes = [replacement, entry_write(audited)];
        self.0.transact(writes.into_iter().chain(work.map(begin_write)).collect()).await
    }

    /// Returns a project by its id.
    pub async fn get(&self, id: &str) -> Result<Option<Project>, StoreError> {
        self.0.get(keys::project(id)).await?.map(|item| read_project(&item)).transpose()
    }

    /// Returns all projects, oldest first.
    pub async fn list(&self) -> Result<Vec<Project>, StoreError> {
        let listed = self.0.query(keys::PROJECTS, "0", ":").await?;
        let ids = listed.iter().map(|item| Reader(item).text("project_id")).collect::<Result<Vec<_>, _>>()?;
        let mut projects = Vec::with_capacity(ids.len());
        for hundred in ids.chunks(100) {
            let found = self.0.get_all(hundred.iter().map(|id| keys::project(id)).collect()).await?;
            projects.extend(found.iter().map(read_project).collect::<Result<Vec<_>, _>>()?);
        }
        projects.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        Ok(projects)
    }
}

fn to_item(project: &Project) -> Item {
    let policy = serde_json::to_string(&project.policy).unwrap_or_default();
    let mut item = keys::project(&project.id).with([
        ("id", text(&project.id)),
        ("name", text(&project.name)),
        ("created_at", number(project.created_at)),
        ("revision", number(project.revision)),
        ("policy", text(policy)),
    ]);
    let purge = [
        ("purge_requested_at", project.purge.map(|purge| number(purge.requested_at))),
        ("purge_completed_at", project.purge.and_then(|purge| purge.completed_at).map(number)),
    ];
    insert_present(&mut item, [("archived_at", project.archived_at.map(number))]);
    insert_present(&mut item, purge);
    insert_limits(&mut item, &project.limits);
    item
}

/// Writes limits into an item; a limit that is not set has no attribute.
pub(super) fn insert_limits(item: &mut Item, limits: &Limits) {
    let Limits { requests_per_minute, tokens_per_minute, concurrent_requests, budget } = limits;
    let optional = [
        ("requests_per_minute", *requests_per_minute),
        ("tokens_per_minute", *tokens_per_minute),
        ("concurrent_requests", *concurrent_requests),
        ("budget", budget.map(|budget| budget.0)),
    ];
    insert_present(item, optional.map(|(name, value)| (name, value.map(number))));
}

/// Reads limits that [`insert_limits`] wrote.
pub(super) fn read_limits(reader: &Reader) -> Result<Limits, StoreError> {
    Ok(Limits {
        requests_per_minute: reader.maybe_number("requests_per_minute")?,
        tokens_per_minute: reader.maybe_number("tokens_per_minute")?,
        concurrent_requests: reader.maybe_number("concurrent_requests")?,
        budget: reader.maybe_number("budget")?.map(MicroUsd),
    })
}

fn read_project(item: &Item) -> Result<Project, StoreError> {
    let reader = Reader(item);
    let policy: Policy = serde_json::from_str(&reader.text("policy")?).map_err(|_| reader.damaged("policy"))?;
    let completed_at = reader.maybe_number("purge_completed_at")?;
    let requested_at: Option<u64> = reader.maybe_number("purge_requested_at")?;
    Ok(Project {
        id: reader.text("id")?,
        name: reader.text("name")?,
        created_at: reader.number("created_at")?,
        archived_at: reader.maybe_number("archived_at")?,
        purge: requested_at.map(|requested_at| Purge { requested_at, completed_at }),
        limits: read_limits(&reader)?,
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
            purge: Some(Purge { requested_at: 10, completed_at: Some(11) }),
            limits: Limits {
                requests_per_minute: Some(3),
                tokens_per_minute: Some(4),
                concurrent_requests: Some(6),
                budget: Some(MicroUsd(5)),
            },
            revision: 2,
            policy: Policy { dedupe_retries: true, ..Policy::default() },
        }
    }

    #[test]
    fn a_project_reads_back() {
        let bare = Project { archived_at: None, purge: None, limits: Limits::default(), ..full() };
        for each in [full(), bare] {
            assert_eq!(read_project(&to_item(&each)).unwrap(), each);
        }
    }

    #[test]
    fn the_error_names_a_damaged_item() {
        let mut damaged = to_item(&full());
        damaged.insert("revision".into(), text("three"));
        assert_eq!(
            read_project(&damaged).unwrap_err().to_string(),
            "item `PROJECT#proj_1/PROFILE` has no usable `revision`"
        );
    }
}
