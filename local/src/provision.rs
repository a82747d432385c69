//! Projects and API keys that exist without a request to the admin API.

use shared::data::{StoreError, Stores, WriteOutcome};
use shared::model::clock::Clock;
use shared::model::id;
use shared::model::key_rights::KeyRights;
use shared::model::key_text::ApiKeySecret;
use shared::model::project::{ApiKey, Limits, Policy, Project, ServiceAccount};

/// Makes `key` valid and creates its project for trials, unless they exist. The project has rate limits that a trial
/// does not reach, and no budget.
pub(crate) async fn provision_trial(
    stores: &Stores,
    clock: &Clock,
    key: &ApiKeySecret,
    name: &str,
) -> Result<(), StoreError> {
    let project = Project {
        id: key.project_id().to_owned(),
        name: name.to_owned(),
        created_at: clock.now().seconds(),
        archived_at: None,
        purge: None,
        limits: Limits {
            requests_per_minute: Some(60_000),
            tokens_per_minute: Some(60_000_000),
            concurrent_requests: Some(10_000),
            budget: None,
        },
        revision: 1,
        policy: Policy { concurrent_jobs: Some(500), ..Policy::default() },
    };
    provision_project(stores, &project).await?;
    provision_key(stores, clock, key, name).await
}

/// Creates a project, unless one with its id exists.
///
/// # Errors
/// If the table fails.
pub async fn provision_project(stores: &Stores, project: &Project) -> Result<(), StoreError> {
    match stores.projects().create(project, None).await? {
        // Refused: the project exists, and may have been changed since. It stays as it is.
        WriteOutcome::Written | WriteOutcome::Refused => Ok(()),
    }
}

/// Makes `key` a valid key of the project that it names, owned by a new service account. Both are named `name`. Does
/// nothing if the key is valid already. The project need not exist.
///
/// # Errors
/// If the table fails.
pub async fn provision_key(stores: &Stores, clock: &Clock, key: &ApiKeySecret, name: &str) -> Result<(), StoreError> {
    let api_keys = stores.api_keys();
    if api_keys.by_hash(&key.hash()).await?.is_some() {
        return Ok(());
    }
    let created_at = clock.now().seconds();
    let account = ServiceAccount {
        id: id::new("svc_acct_"),
        project_id: key.project_id().to_owned(),
        name: name.to_owned(),
        created_at,
    };
    let stored = ApiKey {
        id: id::new("key_"),
        hash: key.hash(),
        project_id: key.project_id().to_owned(),
        name: name.to_owned(),
        redacted_value: key.redact(),
        created_at,
        service_account_id: account.id.clone(),
        limits: Limits::default(),
        rights: KeyRights::default(),
        revision: 1,
    };
    match api_keys.create_service_account(&account, &stored, &[]).await? {
        // Refused: another process provisioned the same key since the look-up, so it is valid.
        WriteOutcome::Written | WriteOutcome::Refused => Ok(()),
    }
}
