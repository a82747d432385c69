//! The admin API: projects with their limits, service accounts and API keys, background jobs, the health of targets, and
//! the log of all changes that are made here. Every route requires an admin key.

mod accounts;
mod admin_keys;
mod audit;
mod jobs;
mod keys;
mod limits;
mod model_permissions;
mod projects;
mod providers;
mod rights;
mod storage;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use axum::routing::{get, post};
use shared::app::admin_keys::AdminKeys;
use shared::app::projects::{Projects, ServiceAccounts};
use shared::app::{AuditLog, Auth, JobAdmin, TargetStates};

#[derive(Clone, FromRef)]
struct AdminApi {
    auth: Arc<Auth>,
    projects: Arc<Projects>,
    service_accounts: Arc<ServiceAccounts>,
    jobs: Arc<JobAdmin>,
    targets: Arc<TargetStates>,
    audit_log: Arc<AuditLog>,
    admin_keys: Arc<AdminKeys>,
}

/// The routes of this function.
pub fn router(
    auth: Arc<Auth>,
    projects: Arc<Projects>,
    service_accounts: Arc<ServiceAccounts>,
    jobs: Arc<JobAdmin>,
    targets: Arc<TargetStates>,
    audit_log: Arc<AuditLog>,
    admin_keys: Arc<AdminKeys>,
) -> Router {
    let project = Router::new()
        .route("/", get(projects::retrieve).post(projects::update))
        .route("/archive", post(projects::archive))
        .route("/purge", post(projects::purge))
        .route("/service_accounts", get(accounts::list).post(accounts::create))
        .route("/service_accounts/{account_id}", get(accounts::retrieve).delete(accounts::delete))
        .route("/api_keys", get(keys::list))
        .route("/api_keys/{key_id}", get(keys::retrieve).post(keys::update).delete(keys::delete))
        .route(
            "/spend_limit",
            get(limits::spend_limit).post(limits::set_spend_limit).delete(limits::delete_spend_limit),
        )
        .route(
            "/model_permissions",
            get(model_permissions::retrieve).post(model_permissions::update).delete(model_permissions::delete),
        )
        .route("/storage", get(storage::retrieve))
        .route("/rate_limits", get(limits::rate_limits))
        .route("/rate_limits/{rate_limit_id}", post(limits::set_rate_limit));
    Router::new()
        .route("/v1/organization/projects", get(projects::list).post(projects::create))
        .route("/v1/organization/admin_api_keys", get(admin_keys::list).post(admin_keys::create))
        .route("/v1/organization/admin_api_keys/{admin_key_id}", get(admin_keys::retrieve).delete(admin_keys::delete))
        .route("/v1/organization/audit_logs", get(audit::list))
        .route("/v1/organization/jobs", get(jobs::list))
        .route("/v1/organization/jobs/{id}", get(jobs::retrieve))
        .route("/v1/organization/jobs/{id}/cancel", post(jobs::cancel))
        .route("/v1/organization/providers", get(providers::list))
        .route("/v1/organization/dead_letters", get(jobs::dead_letters))
        .route("/v1/organization/dead_letters/replay", post(jobs::replay))
        .nest("/v1/organization/projects/{project_id}", project)
        .with_state(AdminApi { auth, projects, service_accounts, jobs, targets, audit_log, admin_keys })
}
