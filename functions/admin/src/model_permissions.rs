//! OpenAI's model permissions of a project. They are another view of the project's `policy.models`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::app::projects::Projects;
use shared::edge::{Admin, Input, Path, Rejection};
use shared::model::invalid::Invalid;
use shared::model::model_names::{ModelNames, ModelPermissions, PermissionMode};
use shared::model::patch::Patch;
use shared::model::project_patch::{PolicyPatch, ProjectPatch};

#[derive(Serialize)]
pub(crate) struct PermissionsObject {
    object: &'static str,
    #[serde(flatten)]
    permissions: ModelPermissions,
}

impl PermissionsObject {
    /// Without permissions a project may use every model: nothing is denied.
    fn new(permissions: Option<ModelPermissions>) -> Self {
        let none = || ModelPermissions { mode: PermissionMode::DenyList, model_ids: ModelNames::default() };
        Self { object: "project.model_permissions", permissions: permissions.unwrap_or_else(none) }
    }
}

#[derive(Serialize)]
pub(crate) struct PermissionsDeleted {
    object: &'static str,
    deleted: bool,
}

/// Permissions in a request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PermissionsBody {
    mode: PermissionMode,
    model_ids: Vec<String>,
}

impl PermissionsBody {
    /// # Errors
    /// `Invalid`, for `param`, if a name has another form.
    pub(crate) fn parse(self, param: &str) -> Result<ModelPermissions, Invalid> {
        Ok(ModelPermissions { mode: self.mode, model_ids: ModelNames::parse(param, self.model_ids)? })
    }
}

pub(crate) async fn retrieve(
    _: Admin,
    State(projects): State<Arc<Projects>>,
    Path(project_id): Path<String>,
) -> Result<Json<PermissionsObject>, Rejection> {
    Ok(Json(PermissionsObject::new(projects.get(&project_id).await?.policy.models)))
}

pub(crate) async fn update(
    admin: Admin,
    State(projects): State<Arc<Projects>>,
    Path(project_id): Path<String>,
    Input(body): Input<PermissionsBody>,
) -> Result<Json<PermissionsObject>, Rejection> {
    let patch = patch(Patch::Set(body.parse("model_ids")?));
    Ok(Json(PermissionsObject::new(projects.update(&project_id, &patch, admin.actor()).await?.policy.models)))
}

pub(crate) async fn delete(
    admin: Admin,
    State(projects): State<Arc<Projects>>,
    Path(project_id): Path<String>,
) -> Result<Json<PermissionsDeleted>, Rejection> {
    projects.update(&project_id, &patch(Patch::Clear), admin.actor()).await?;
    Ok(Json(PermissionsDeleted { object: "project.model_permissions.deleted", deleted: true }))
}

fn patch(models: Patch<ModelPermissions>) -> ProjectPatch {
    ProjectPatch { policy: PolicyPatch { models, ..PolicyPatch::default() }, ..ProjectPatch::default() }
}
