//! `/v1/organization/projects`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use shared::app::projects::{NewProject, Projects};
use shared::edge::{Admin, Input, List, Params, Path, Rejection, cursor};
use shared::model::invalid::Invalid;
use shared::model::patch::Patch;
use shared::model::project::{Limits, Name, Policy, Project, Purge};
use shared::model::project_patch::ProjectPatch;

use crate::wire::{self, LimitsBody, PolicyBody};

#[derive(Serialize)]
pub(crate) struct ProjectObject {
    id: String,
    object: &'static str,
    name: String,
    created_at: u64,
    archived_at: Option<u64>,
    /// weir's: `null` unless the project is purged.
    purge: Option<PurgeObject>,
    status: &'static str,
    external_key_id: Option<String>,
    limits: Limits,
    policy: Policy,
}

impl From<Project> for ProjectObject {
    fn from(project: Project) -> Self {
        Self {
            id: project.id,
            object: "organization.project",
            name: project.name,
            created_at: project.created_at,
            archived_at: project.archived_at,
            purge: project.purge.map(PurgeObject::from),
            status: if project.archived_at.is_some() { "archived" } else { "active" },
            external_key_id: None,
            limits: project.limits,
            policy: project.policy,
        }
    }
}

#[derive(Serialize)]
struct PurgeObject {
    status: &'static str,
    requested_at: u64,
    completed_at: Option<u64>,
}

impl From<Purge> for PurgeObject {
    fn from(Purge { requested_at, completed_at }: Purge) -> Self {
        let status = if completed_at.is_some() { "completed" } else { "in_progress" };
        Self { status, requested_at, completed_at }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateBody {
    name: String,
    #[serde(default)]
    limits: Patch<LimitsBody>,
    #[serde(default)]
    policy: Patch<PolicyBody>,
    /// OpenAI's. weir has none, so only `null` is accepted.
    external_key_id: Option<IgnoredAny>,
    residency: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateBody {
    /// Absent or `null` keeps the name: a project always has one.
    name: Option<String>,
    #[serde(default)]
    limits: Patch<LimitsBody>,
    #[serde(default)]
    policy: Patch<PolicyBody>,
    /// OpenAI's. weir has none, so only `null` is accepted.
    external_key_id: Option<IgnoredAny>,
}

/// Refuses a member of OpenAI's projects that has no effect here.
fn refuse(name: &str, value: Option<IgnoredAny>) -> Result<(), Invalid> {
    match value {
        Some(_) => Err(Invalid::field(name, format!("weir's projects have no `{name}`; leave it out."))),
        None => Ok(()),
    }
}

pub(crate) async fn create(
    admin: Admin,
    State(projects): State<Arc<Projects>>,
    Input(body): Input<CreateBody>,
) -> Result<Json<ProjectObject>, Rejection> {
    refuse("external_key_id", body.external_key_id)?;
    refuse("residency", body.residency)?;
    let new = NewProject {
        name: Name::try_from(body.name)?,
        limits: wire::parse_limits(body.limits)?.apply(Limits::default()),
        policy: wire::parse_policy(body.policy)?.apply(&Policy::default()),
    };
    Ok(Json(projects.create(new, admin.actor()).await?.into()))
}

pub(crate) async fn list(
    _: Admin,
    State(projects): State<Arc<Projects>>,
    params: Params,
) -> Result<Json<List<ProjectObject>>, Rejection> {
    let page = projects.list(&cursor(&params)?, params.flag("include_archived")?.unwrap_or(false)).await?;
    Ok(Json(List::of(page, |project| &project.id, ProjectObject::from)))
}

pub(crate) async fn retrieve(
    _: Admin,
    State(projects): State<Arc<Projects>>,
    Path(id): Path<String>,
) -> Result<Json<ProjectObject>, Rejection> {
    Ok(Json(projects.get(&id).await?.into()))
}

pub(crate) async fn update(
    admin: Admin,
    State(projects): State<Arc<Projects>>,
    Path(id): Path<String>,
    Input(body): Input<UpdateBody>,
) -> Result<Json<ProjectObject>, Rejection> {
    refuse("external_key_id", body.external_key_id)?;
    let patch = ProjectPatch {
        name: body.name.map(Name::try_from).transpose()?,
        limits: wire::parse_limits(body.limits)?,
        policy: wire::parse_policy(body.policy)?,
    };
    Ok(Json(projects.update(&id, &patch, admin.actor()).await?.into()))
}

pub(crate) async fn archive(
    admin: Admin,
    State(projects): State<Arc<Projects>>,
    Path(id): Path<String>,
) -> Result<Json<ProjectObject>, Rejection> {
    Ok(Json(projects.archive(&id, admin.actor()).await?.into()))
}

pub(crate) async fn purge(
    admin: Admin,
    State(projects): State<Arc<Projects>>,
    Path(id): Path<String>,
) -> Result<Json<ProjectObject>, Rejection> {
    Ok(Json(projects.purge(&id, admin.actor()).await?.into()))
}
