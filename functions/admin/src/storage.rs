//! How much a project stores: `/v1/organization/projects/{project_id}/storage`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use shared::app::projects::Projects;
use shared::edge::{Admin, Path, Rejection};
use shared::model::storage::{StorageLimits, Stored};

#[derive(Serialize)]
pub(crate) struct ProjectStorage {
    object: &'static str,
    project_id: String,
    /// Of conversations and files.
    stored: Stored,
    limits: StorageLimits,
}

pub(crate) async fn retrieve(
    _: Admin,
    State(projects): State<Arc<Projects>>,
    Path(id): Path<String>,
) -> Result<Json<ProjectStorage>, Rejection> {
    let (project, stored) = projects.storage(&id).await?;
    let limits = project.storage_limits();
    Ok(Json(ProjectStorage { object: "project.storage", project_id: project.id, stored, limits }))
}
