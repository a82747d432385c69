//! `/v1/organization/projects`.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::app::admin::{NewProject, Patch, ProjectChange};
use shared::edge::{Admin, Deps, Input, List, Params, Path, Rejection, cursor};
use shared::model::project::{Limits, Name, Policy, Project};

use crate::wire::{self, LimitsBody, LimitsObject, PolicyBody};

#[derive(Serialize)]
pub(crate) struct ProjectObject {
    id: String,
    object: &'static str,
    name: String,
    created_at: u64,
    archived_at: Option<u64>,
    status: &'static str,
    external_key_id: Option<String>,
    limits: LimitsObject,
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
            status: if project.archived_at.is_some() { "archived" } else { "active" },
            external_key_id: None,
            limits: project.limits.into(),
            policy: project.policy,
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct CreateBody {
    name: String,
    #[serde(default)]
    limits: Patch<LimitsBody>,
    #[serde(default)]
    policy: Patch<PolicyBody>,
}

#[derive(Deserialize)]
pub(crate) struct UpdateBody {
    /// `null` keeps it, as absence does: a project has a name.
    name: Option<String>,
    #[serde(default)]
    limits: Patch<LimitsBody>,
    #[serde(default)]
    policy: Patch<PolicyBody>,
}

pub(crate) async fn create(
    _: Admin,
    State(gateway): State<Deps>,
    Input(body): Input<CreateBody>,
) -> Result<Json<ProjectObject>, Rejection> {
    let new = NewProject {
        name: Name::try_from(body.name)?,
        limits: wire::limits(body.limits)?.apply(Limits::default()),
        policy: wire::policy(body.policy)?.apply(&Policy::default()),
    };
    Ok(Json(gateway.create_project(new).await?.into()))
}

pub(crate) async fn list(
    _: Admin,
    State(gateway): State<Deps>,
    params: Params,
) -> Result<Json<List<ProjectObject>>, Rejection> {
    let page = gateway.projects(&cursor(&params)?, params.flag("include_archived")?).await?;
    Ok(Json(List::of(page, |project| &project.id, ProjectObject::from)))
}

pub(crate) async fn retrieve(
    _: Admin,
    State(gateway): State<Deps>,
    Path(id): Path<String>,
) -> Result<Json<ProjectObject>, Rejection> {
    Ok(Json(gateway.project(&id).await?.into()))
}

pub(crate) async fn update(
    _: Admin,
    State(gateway): State<Deps>,
    Path(id): Path<String>,
    Input(body): Input<UpdateBody>,
) -> Result<Json<ProjectObject>, Rejection> {
    let change = ProjectChange {
        name: body.name.map(Name::try_from).transpose()?,
        limits: wire::limits(body.limits)?,
        policy: wire::policy(body.policy)?,
    };
    Ok(Json(gateway.update_project(&id, &change).await?.into()))
}

pub(crate) async fn archive(
    _: Admin,
    State(gateway): State<Deps>,
    Path(id): Path<String>,
) -> Result<Json<ProjectObject>, Rejection> {
    Ok(Json(gateway.archive_project(&id).await?.into()))
}
