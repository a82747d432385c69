//! The audit log: an entry for each change that an administrator makes.

use serde_json::{Value, json};

use super::clock::Timestamp;
use super::id;
use super::project::Project;

/// Who makes a change, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The id of the admin key.
    pub key_id: String,
    /// The address that the request came from, as API Gateway saw it; `None` where there is no API Gateway.
    pub address: Option<String>,
    pub request_id: String,
}

impl Actor {
    /// The sweep, which ends work that an administrator began.
    #[must_use]
    pub fn of_sweep() -> Self {
        Self { key_id: "sweep".to_owned(), address: None, request_id: String::new() }
    }
}

/// A kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditAction {
    ProjectCreated,
    ProjectUpdated,
    ProjectArchived,
    ProjectPurged,
    ProjectPurgeCompleted,
    ServiceAccountCreated,
    ServiceAccountDeleted,
    ApiKeyCreated,
    ApiKeyUpdated,
    ApiKeyDeleted,
    AdminKeyCreated,
    AdminKeyDeleted,
    JobCancelled,
    DeadLettersReplayed,
}

impl AuditAction {
    pub const ALL: [Self; 14] = [
        Self::ProjectCreated,
        Self::ProjectUpdated,
        Self::ProjectArchived,
        Self::ProjectPurged,
        Self::ProjectPurgeCompleted,
        Self::ServiceAccountCreated,
        Self::ServiceAccountDeleted,
        Self::ApiKeyCreated,
        Self::ApiKeyUpdated,
        Self::ApiKeyDeleted,
        Self::AdminKeyCreated,
        Self::AdminKeyDeleted,
        Self::JobCancelled,
        Self::DeadLettersReplayed,
    ];

    /// OpenAI's name of the type of event, where OpenAI has one.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ProjectCreated => "project.created",
            Self::ProjectUpdated => "project.updated",
            Self::ProjectArchived => "project.archived",
            Self::ProjectPurged => "project.purged",
            Self::ProjectPurgeCompleted => "project.purge_completed",
            Self::ServiceAccountCreated => "service_account.created",
            Self::ServiceAccountDeleted => "service_account.deleted",
            Self::ApiKeyCreated => "api_key.created",
            Self::ApiKeyUpdated => "api_key.updated",
            Self::ApiKeyDeleted => "api_key.deleted",
            Self::AdminKeyCreated => "tenant.admin_api_key.created",
            Self::AdminKeyDeleted => "tenant.admin_api_key.deleted",
            Self::JobCancelled => "job.cancelled",
            Self::DeadLettersReplayed => "dead_letters.replayed",
        }
    }

    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }
}

/// One change. It never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// `audit_log-...`; ids sort by time.
    pub id: String,
    pub at: Timestamp,
    pub action: AuditAction,
    pub actor: Actor,
    /// Id and name of the project that the change is in.
    pub project: Option<(String, String)>,
    /// The id of what was changed.
    pub subject: String,
    /// What was changed, as it was before and is after. `Null`: it did not exist.
    pub before: Value,
    pub after: Value,
}

/// The begin of each entry's id.
pub const AUDIT_ID: &str = "audit_log-";

impl AuditEntry {
    /// An entry about a thing that is in no project, and says no more than what was done to it.
    #[must_use]
    pub fn new(actor: &Actor, action: AuditAction, subject: &str, at: Timestamp) -> Self {
        Self {
            id: id::new_ordered(AUDIT_ID, at),
            at,
            action,
            actor: actor.clone(),
            project: None,
            subject: subject.to_owned(),
            before: Value::Null,
            after: Value::Null,
        }
    }

    #[must_use]
    pub fn in_project(self, project: &Project) -> Self {
        Self { project: Some((project.id.clone(), project.name.clone())), ..self }
    }

    /// What was changed, before and after. Of two objects, the entry has the members that differ.
    #[must_use]
    pub fn with_change(self, mut before: Value, mut after: Value) -> Self {
        if let (Value::Object(before), Value::Object(after)) = (&mut before, &mut after) {
            let same: Vec<String> = before
                .iter()
                .filter(|(name, value)| after.get(*name) == Some(value))
                .map(|(name, _)| name.clone())
                .collect();
            for name in same {
                before.remove(&name);
                after.remove(&name);
            }
        }
        Self { before, after, ..self }
    }
}

/// A project as an entry shows it.
#[must_use]
pub fn audited_project(project: &Project) -> Value {
    let Project { name, archived_at, purge, limits, policy, .. } = project;
    json!({"name": name, "archived_at": archived_at, "purge": purge, "limits": limits, "policy": policy})
}

/// The entries that a reader wants. A list that is empty wants all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Unix seconds, both included.
    pub first_second: Option<u64>,
    pub last_second: Option<u64>,
    pub project_ids: Vec<String>,
    pub actions: Vec<String>,
    pub actor_ids: Vec<String>,
    pub subjects: Vec<String>,
}

impl AuditFilter {
    /// Whether a reader wants an entry.
    #[must_use]
    pub fn wants(&self, entry: &AuditEntry) -> bool {
        let is_in = |list: &[String], value: Option<&str>| {
            list.is_empty() || value.is_some_and(|value| list.iter().any(|wanted| wanted == value))
        };
        let second = entry.at.seconds();
        self.first_second.is_none_or(|first| first <= second)
            && self.last_second.is_none_or(|last| second <= last)
            && is_in(&self.project_ids, entry.project.as_ref().map(|(id, _)| id.as_str()))
            && is_in(&self.actions, Some(entry.action.name()))
            && is_in(&self.actor_ids, Some(&entry.actor.key_id))
            && is_in(&self.subjects, Some(&entry.subject))
    }
}

/// Where a page of the log begins, which is listed newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditCursor {
    /// The page has entries older than the one with this id.
    pub after: Option<String>,
    /// The page has entries newer than the one with this id: without `after`, those next to it.
    pub before: Option<String>,
    pub limit: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_action_reads_back() {
        for action in AuditAction::ALL {
            assert_eq!(AuditAction::parse(action.name()), Some(action));
        }
        assert_eq!(AuditAction::parse("project.exploded"), None);
    }

    #[test]
    fn an_entry_shows_what_differs() {
        let actor = Actor { key_id: "admin".into(), address: None, request_id: "req_1".into() };
        let entry = AuditEntry::new(&actor, AuditAction::ProjectUpdated, "proj_1", Timestamp(1));
        let changed = entry.clone().with_change(json!({"a": 1, "b": {"c": 2}}), json!({"a": 1, "b": {"c": 3}}));
        assert_eq!((changed.before, changed.after), (json!({"b": {"c": 2}}), json!({"b": {"c": 3}})));
        let created = entry.with_change(Value::Null, json!({"a": 1}));
        assert_eq!((created.before, created.after), (Value::Null, json!({"a": 1})));
    }
}
