//! The keys that the local server prints: made at the first start, kept in the data folder, the same ever after.

use std::path::Path;

use serde::{Deserialize, Serialize};
use shared::app::Gateway;
use shared::data::StoreError;
use shared::model::id;
use shared::model::project::{ApiKey, ApiKeySecret, Limits, Policy, Project, ServiceAccount};
use shared::model::secret::Secret;

use crate::LocalError;

/// The keys in clear, in a file that only its owner can read.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Keys {
    pub(crate) admin_key: String,
    pub(crate) project_key: String,
}

impl Keys {
    fn generate() -> Self {
        let project = ApiKeySecret::generate(&id::new("proj_"));
        Self {
            admin_key: format!("sk-weir-admin-{}", id::random(40)),
            project_key: project.secret().expose().to_owned(),
        }
    }

    /// The keys of a data folder, made if there are none; of no folder: new ones.
    pub(crate) fn load(folder: Option<&Path>, admin_key: Option<&Secret>) -> Result<Self, LocalError> {
        let mut keys = match folder {
            None => Self::generate(),
            Some(folder) => Self::of_folder(folder)?,
        };
        if let Some(given) = admin_key {
            given.expose().clone_into(&mut keys.admin_key);
        }
        Ok(keys)
    }

    /// The keys of a data folder, if there are any.
    pub(crate) fn kept(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(folder.join("keys.json")).ok()?).ok()
    }

    fn of_folder(folder: &Path) -> Result<Self, LocalError> {
        let path = folder.join("keys.json");
        let shown = path.display().to_string();
        match std::fs::read(&path) {
            Ok(json) => serde_json::from_slice(&json)
                .map_err(|error| LocalError::Keys { path: shown, reason: error.to_string() }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let keys = Self::generate();
                write_private(&path, &serde_json::to_vec_pretty(&keys).unwrap_or_default())
                    .map_err(|source| LocalError::Write { path: shown, source })?;
                Ok(keys)
            }
            Err(source) => Err(LocalError::Read { path: shown, source }),
        }
    }
}

fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(content)
}

/// Makes `key` a valid key of its project, and the project if it does not exist. Does nothing the second time.
pub(crate) async fn admit_key(gateway: &Gateway, key: &ApiKeySecret, name: &str) -> Result<(), StoreError> {
    let table = &gateway.stores().table;
    let created_at = gateway.clock().now().seconds();
    let project = Project {
        id: key.project_id().to_owned(),
        name: name.to_owned(),
        created_at,
        archived_at: None,
        limits: Limits { requests_per_minute: Some(60_000), tokens_per_minute: Some(60_000_000), budget: None },
        revision: 1,
        policy: Policy::default(),
    };
    if table.project(&project.id).await?.is_none() {
        table.create_project(&project).await?;
    }
    if table.api_key(&key.hash()).await?.is_none() {
        let account = ServiceAccount {
            id: id::new("svc_acct_"),
            project_id: project.id.clone(),
            name: name.to_owned(),
            created_at,
        };
        let stored = ApiKey {
            id: id::new("key_"),
            hash: key.hash(),
            project_id: project.id,
            name: name.to_owned(),
            redacted_value: key.redact(),
            created_at,
            service_account_id: account.id.clone(),
        };
        table.create_service_account(&account, &stored).await?;
    }
    Ok(())
}
