//! `/v1/organization/projects/{project_id}/api_keys`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::app::Page;
use shared::app::projects::{KeyPatch, ServiceAccounts, UsedKey};
use shared::edge::{Admin, Input, List, Params, Path, Rejection, cursor};
use shared::model::invalid::Invalid;
use shared::model::key_rights::KeyRights;
use shared::model::patch::Patch;
use shared::model::project::{Limits, Project};

use crate::accounts::{Deleted, ROLE};
use crate::rights::RightsBody;
use crate::wire::{self, LimitsBody};

#[derive(Serialize)]
pub(crate) struct KeyObject {
    object: &'static str,
    id: String,
    name: String,
    redacted_value: String,
    created_at: u64,
    /// To the hour.
    last_used_at: Option<u64>,
    owner_project_access: &'static str,
    owner: Owner,
    limits: Limits,
    #[serde(flatten)]
    rights: KeyRights,
}

#[derive(Serialize)]
struct Owner {
    r#type: &'static str,
    service_account: OwnerAccount,
}

#[derive(Serialize)]
struct OwnerAccount {
    id: String,
    name: String,
    created_at: u64,
    role: &'static str,
}

impl KeyObject {
    /// The owner has the name and the time of its key, because the two are created together.
    fn new(project: &Project, UsedKey { key, last_used_at }: UsedKey) -> Self {
        let owner =
            OwnerAccount { id: key.service_account_id, name: key.name.clone(), created_at: key.created_at, role: ROLE };
        Self {
            object: "organization.project.api_key",
            id: key.id,
            name: key.name,
            redacted_value: key.redacted_value,
            created_at: key.created_at,
            last_used_at,
            owner_project_access: owner_access(project),
            owner: Owner { r#type: "service_account", service_account: owner },
            limits: key.limits,
            rights: key.rights,
        }
    }
}

/// Whether the owners of a project's keys may use the project.
fn owner_access(project: &Project) -> &'static str {
    if project.archived_at.is_some() { "inactive" } else { "active" }
}

/// The access that the parameter `owner_project_access` asks for; `None`: any.
fn access(params: &Params) -> Result<Option<&str>, Invalid> {
    let name = "owner_project_access";
    match params.text(name) {
        None | Some("any") => Ok(None),
        Some(access @ ("active" | "inactive")) => Ok(Some(access)),
        Some(other) => {
            Err(Invalid::field(name, format!("`{name}` is `{other}`, expected `active`, `inactive` or `any`.")))
        }
    }
}

pub(crate) async fn list(
    _: Admin,
    State(accounts): State<Arc<ServiceAccounts>>,
    Path(project_id): Path<String>,
    params: Params,
) -> Result<Json<List<KeyObject>>, Rejection> {
    let wanted = access(&params)?;
    let (project, mut page) = accounts.api_keys(&project_id, &cursor(&params)?).await?;
    if wanted.is_some_and(|wanted| wanted != owner_access(&project)) {
        page = Page { items: Vec::new(), has_more: false };
    }
    Ok(Json(List::of(page, |used| &used.key.id, |used| KeyObject::new(&project, used))))
}

pub(crate) async fn retrieve(
    _: Admin,
    State(accounts): State<Arc<ServiceAccounts>>,
    Path((project_id, id)): Path<(String, String)>,
) -> Result<Json<KeyObject>, Rejection> {
    let (project, key) = accounts.api_key(&project_id, &id).await?;
    Ok(Json(KeyObject::new(&project, key)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateBody {
    #[serde(default)]
    limits: Patch<LimitsBody>,
    #[serde(default)]
    scopes: Patch<Vec<String>>,
    #[serde(default)]
    models: Patch<Vec<String>>,
    #[serde(default)]
    expires_at: Patch<u64>,
    #[serde(default)]
    allowed_ips: Patch<Vec<String>>,
}

pub(crate) async fn update(
    admin: Admin,
    State(accounts): State<Arc<ServiceAccounts>>,
    Path((project_id, id)): Path<(String, String)>,
    Input(body): Input<UpdateBody>,
) -> Result<Json<KeyObject>, Rejection> {
    let UpdateBody { limits, scopes, models, expires_at, allowed_ips } = body;
    let rights = RightsBody { scopes, models, expires_at, allowed_ips }.patch()?;
    let patch = KeyPatch { limits: wire::parse_limits(limits)?, rights };
    let (project, key) = accounts.update_api_key(&project_id, &id, &patch, admin.actor()).await?;
    Ok(Json(KeyObject::new(&project, key)))
}

pub(crate) async fn delete(
    admin: Admin,
    State(accounts): State<Arc<ServiceAccounts>>,
    Path((project_id, id)): Path<(String, String)>,
) -> Result<Json<Deleted>, Rejection> {
    accounts.revoke_api_key(&project_id, &id, admin.actor()).await?;
    Ok(Json(Deleted { object: "organization.project.api_key.deleted", id, deleted: true }))
}
