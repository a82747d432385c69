//! `/v1/organization/projects/{project_id}/service_accounts`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::app::projects::{Issued, KeySettings, ServiceAccounts};
use shared::edge::{Admin, Input, List, Params, Path, Rejection, cursor};
use shared::model::invalid::Invalid;
use shared::model::key_rights::KeyRights;
use shared::model::patch::Patch;
use shared::model::project::{Limits, Name, ServiceAccount};

use crate::rights::RightsBody;
use crate::wire::{self, LimitsBody};

/// The role of every service account: it may call models.
pub(crate) const ROLE: &str = "member";

#[derive(Serialize)]
pub(crate) struct AccountObject {
    object: &'static str,
    id: String,
    name: String,
    role: &'static str,
    created_at: u64,
}

impl From<ServiceAccount> for AccountObject {
    fn from(account: ServiceAccount) -> Self {
        let ServiceAccount { id, name, created_at, .. } = account;
        Self { object: "organization.project.service_account", id, name, role: ROLE, created_at }
    }
}

/// A new service account with its key. This is the only answer that shows the key.
#[derive(Serialize)]
pub(crate) struct CreatedObject {
    #[serde(flatten)]
    account: AccountObject,
    api_key: CreatedKey,
}

#[derive(Serialize)]
struct CreatedKey {
    object: &'static str,
    value: String,
    name: String,
    created_at: u64,
    id: String,
}

impl From<Issued> for CreatedObject {
    fn from(Issued { account, key, secret }: Issued) -> Self {
        let api_key = CreatedKey {
            object: "organization.project.service_account.api_key",
            value: secret.secret().expose().to_owned(),
            name: key.name,
            created_at: key.created_at,
            id: key.id,
        };
        Self { account: account.into(), api_key }
    }
}

#[derive(Serialize)]
pub(crate) struct Deleted {
    pub(crate) object: &'static str,
    pub(crate) id: String,
    pub(crate) deleted: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateBody {
    name: String,
    create_service_account_only: Option<bool>,
    /// The limits of its key.
    #[serde(default)]
    limits: Patch<LimitsBody>,
    // The restrictions of its key.
    #[serde(default)]
    scopes: Patch<Vec<String>>,
    #[serde(default)]
    models: Patch<Vec<String>>,
    #[serde(default)]
    expires_at: Patch<u64>,
    /// OpenAI's way to say `expires_at`.
    expires_in_seconds: Option<u64>,
    #[serde(default)]
    allowed_ips: Patch<Vec<String>>,
}

/// Above all lifetimes: a century. Times beyond the year 9999 have no date.
const MAX_LIFETIME_SECONDS: u64 = 100 * 366 * 86_400;

const NEEDS_KEY: &str =
    "A service account is made with its key and cannot be without one; leave `create_service_account_only` out.";

/// Checks `expires_in_seconds`.
fn lifetime(seconds: Option<u64>, expires_at: &Patch<u64>) -> Result<Option<u64>, Invalid> {
    let wrong = |reason: String| Err(Invalid::field("expires_in_seconds", format!("`expires_in_seconds` {reason}.")));
    match seconds {
        Some(0 | MAX_LIFETIME_SECONDS..) => wrong(format!("is not within 1 to {}", MAX_LIFETIME_SECONDS - 1)),
        Some(_) if matches!(expires_at, Patch::Set(_)) => wrong("and `expires_at` say the same; send one".to_owned()),
        seconds => Ok(seconds),
    }
}

pub(crate) async fn create(
    admin: Admin,
    State(accounts): State<Arc<ServiceAccounts>>,
    Path(project_id): Path<String>,
    Input(body): Input<CreateBody>,
) -> Result<Json<CreatedObject>, Rejection> {
    if body.create_service_account_only == Some(true) {
        return Err(Invalid::field("create_service_account_only", NEEDS_KEY).into());
    }
    let CreateBody { scopes, models, expires_at, expires_in_seconds, allowed_ips, .. } = body;
    let lifetime_seconds = lifetime(expires_in_seconds, &expires_at)?;
    let name = Name::try_from(body.name)?;
    let rights = RightsBody { scopes, models, expires_at, allowed_ips }.patch()?;
    let limits = wire::parse_limits(body.limits)?.apply(Limits::default());
    let settings = KeySettings { limits, rights: rights.apply(KeyRights::default()), lifetime_seconds };
    Ok(Json(accounts.create(&project_id, name, settings, admin.actor()).await?.into()))
}

pub(crate) async fn list(
    _: Admin,
    State(accounts): State<Arc<ServiceAccounts>>,
    Path(project_id): Path<String>,
    params: Params,
) -> Result<Json<List<AccountObject>>, Rejection> {
    let page = accounts.list(&project_id, &cursor(&params)?).await?;
    Ok(Json(List::of(page, |account| &account.id, AccountObject::from)))
}

pub(crate) async fn retrieve(
    _: Admin,
    State(accounts): State<Arc<ServiceAccounts>>,
    Path((project_id, id)): Path<(String, String)>,
) -> Result<Json<AccountObject>, Rejection> {
    Ok(Json(accounts.get(&project_id, &id).await?.into()))
}

pub(crate) async fn delete(
    admin: Admin,
    State(accounts): State<Arc<ServiceAccounts>>,
    Path((project_id, id)): Path<(String, String)>,
) -> Result<Json<Deleted>, Rejection> {
    accounts.delete(&project_id, &id, admin.actor()).await?;
    Ok(Json(Deleted { object: "organization.project.service_account.deleted", id, deleted: true }))
}
