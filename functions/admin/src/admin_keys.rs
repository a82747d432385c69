//! `/v1/organization/admin_api_keys`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::app::admin_keys::{AdminKeys, NewAdminKey, UsedAdminKey};
use shared::edge::{Admin, Input, List, Params, Path, Rejection, cursor};
use shared::model::admin_key::{AdminKey, AdminScope};
use shared::model::invalid::Invalid;
use shared::model::project::Name;

use crate::accounts::Deleted;

/// OpenAI's object, and weir's `scope`.
#[derive(Serialize)]
pub(crate) struct AdminKeyObject {
    object: &'static str,
    id: String,
    name: String,
    redacted_value: String,
    created_at: u64,
    expires_at: Option<u64>,
    /// To the hour.
    last_used_at: Option<u64>,
    owner: Owner,
    scope: &'static str,
    /// Only in the answer to the request that made the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
}

/// weir has no users: a key belongs to itself.
#[derive(Serialize)]
struct Owner {
    r#type: &'static str,
    object: &'static str,
    id: String,
    name: String,
    created_at: u64,
    role: &'static str,
}

impl AdminKeyObject {
    fn new(key: AdminKey, last_used_at: Option<u64>, value: Option<String>) -> Self {
        let owner = Owner {
            r#type: "service_account",
            object: "organization.service_account",
            id: key.id.clone(),
            name: key.name.clone(),
            created_at: key.created_at,
            role: "owner",
        };
        Self {
            object: "organization.admin_api_key",
            id: key.id,
            name: key.name,
            redacted_value: key.redacted_value,
            created_at: key.created_at,
            expires_at: key.expires_at,
            last_used_at,
            owner,
            scope: key.scope.name(),
            value,
        }
    }
}

impl From<UsedAdminKey> for AdminKeyObject {
    fn from(used: UsedAdminKey) -> Self {
        Self::new(used.key, used.last_used_at, None)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateBody {
    name: String,
    expires_in_seconds: Option<u64>,
    /// `all` if absent, as OpenAI's keys.
    scope: Option<String>,
}

/// OpenAI's limit: a year.
const MAX_LIFETIME_SECONDS: u64 = 31_536_000;

impl CreateBody {
    fn parse(self) -> Result<NewAdminKey, Invalid> {
        let wrong_scope =
            |name| Invalid::field("scope", format!("`scope` is `{name}`, expected `read`, `keys` or `all`."));
        let scope = self.scope.map(|name| AdminScope::parse(&name).ok_or_else(|| wrong_scope(name)));
        let lifetime_seconds = match self.expires_in_seconds {
            Some(seconds) if !(1..=MAX_LIFETIME_SECONDS).contains(&seconds) => {
                let param = "expires_in_seconds";
                let message = format!("`{param}` is {seconds}, expected 1 to {MAX_LIFETIME_SECONDS}.");
                return Err(Invalid::field(param, message));
            }
            lifetime => lifetime,
        };
        Ok(NewAdminKey {
            name: Name::try_from(self.name)?,
            scope: scope.transpose()?.unwrap_or(AdminScope::All),
            lifetime_seconds,
        })
    }
}

pub(crate) async fn create(
    admin: Admin,
    State(keys): State<Arc<AdminKeys>>,
    Input(body): Input<CreateBody>,
) -> Result<Json<AdminKeyObject>, Rejection> {
    let (key, secret) = keys.create(body.parse()?, admin.actor()).await?;
    Ok(Json(AdminKeyObject::new(key, None, Some(secret.secret().expose().to_owned()))))
}

pub(crate) async fn list(
    _: Admin,
    State(keys): State<Arc<AdminKeys>>,
    params: Params,
) -> Result<Json<List<AdminKeyObject>>, Rejection> {
    if let Some(order) = params.text("order").filter(|order| *order != "asc") {
        return Err(
            Invalid::field("order", format!("`order` is `{order}`, expected `asc`: the oldest come first.")).into()
        );
    }
    let page = keys.list(&cursor(&params)?).await?;
    Ok(Json(List::of(page, |used| &used.key.id, AdminKeyObject::from)))
}

pub(crate) async fn retrieve(
    _: Admin,
    State(keys): State<Arc<AdminKeys>>,
    Path(id): Path<String>,
) -> Result<Json<AdminKeyObject>, Rejection> {
    Ok(Json(keys.get(&id).await?.into()))
}

pub(crate) async fn delete(
    admin: Admin,
    State(keys): State<Arc<AdminKeys>>,
    Path(id): Path<String>,
) -> Result<Json<Deleted>, Rejection> {
    keys.delete(&id, admin.actor()).await?;
    Ok(Json(Deleted { object: "organization.admin_api_key.deleted", id, deleted: true }))
}
