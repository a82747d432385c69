//! `/v1/organization/audit_logs`, in OpenAI's shape.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, Value, json};
use shared::app::AuditLog;
use shared::edge::{Admin, List, Params, Rejection, cursor};
use shared::model::audit::{AuditCursor, AuditEntry, AuditFilter};
use shared::model::invalid::Invalid;

/// An entry. Like OpenAI's, it has a member with the name of its type.
#[derive(Serialize)]
pub(crate) struct EntryObject {
    id: String,
    object: &'static str,
    r#type: &'static str,
    effective_at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<ProjectOfEntry>,
    actor: Value,
    /// weir's: where the request came from, and its `x-request-id`.
    ip_address: Option<String>,
    request_id: String,
    #[serde(flatten)]
    details: Map<String, Value>,
}

#[derive(Serialize)]
struct ProjectOfEntry {
    id: String,
    name: String,
}

impl From<AuditEntry> for EntryObject {
    fn from(entry: AuditEntry) -> Self {
        let AuditEntry { id, at, action, actor, project, subject, before, after } = entry;
        let mut details = json!({"id": subject, "before": before, "after": after});
        // OpenAI's names for what the request asked for.
        if let Some(openai) = openai_member(action.name())
            && !after.is_null()
        {
            details[openai] = after;
        }
        Self {
            id,
            object: "organization.audit_log",
            r#type: action.name(),
            effective_at: at.seconds(),
            project: project.map(|(id, name)| ProjectOfEntry { id, name }),
            actor: json!({
                "type": "api_key",
                "api_key": {"id": actor.key_id, "type": "service_account", "service_account": {"id": actor.key_id}},
            }),
            ip_address: actor.address,
            request_id: actor.request_id,
            details: Map::from_iter([(action.name().to_owned(), details)]),
        }
    }
}

fn openai_member(action: &str) -> Option<&'static str> {
    match action.rsplit_once('.')?.1 {
        "created" => Some("data"),
        "updated" => Some("changes_requested"),
        _ => None,
    }
}

pub(crate) async fn list(
    _: Admin,
    State(log): State<Arc<AuditLog>>,
    params: Params,
) -> Result<Json<List<EntryObject>>, Rejection> {
    let page = log.list(&filter(&params)?, &audit_cursor(&params)?).await?;
    Ok(Json(List::of(page, |entry| &entry.id, EntryObject::from)))
}

fn filter(params: &Params) -> Result<AuditFilter, Invalid> {
    let list = |name| params.list(name).into_iter().map(str::to_owned).collect::<Vec<_>>();
    let after = |name: &str, by| Ok::<_, Invalid>(params.number(name)?.map(|second: u64| second.saturating_add(by)));
    let before = |name: &str, by| Ok::<_, Invalid>(params.number(name)?.map(|second: u64| second.saturating_sub(by)));
    let mut actor_ids = list("actor_ids");
    // weir has no users, so no entry is one of theirs.
    actor_ids.extend(list("actor_emails"));
    Ok(AuditFilter {
        first_second: after("effective_at[gt]", 1)?.max(after("effective_at[gte]", 0)?),
        last_second: earliest(before("effective_at[lt]", 1)?, before("effective_at[lte]", 0)?),
        project_ids: list("project_ids"),
        actions: list("event_types"),
        actor_ids,
        subjects: list("resource_ids"),
    })
}

fn earliest(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).min()
}

fn audit_cursor(params: &Params) -> Result<AuditCursor, Invalid> {
    let forwards = cursor(params)?;
    Ok(AuditCursor { after: forwards.after, before: params.text("before").map(str::to_owned), limit: forwards.limit })
}
