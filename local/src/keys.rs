//! The keys that the local server prints. It makes them at its first start and keeps them in the data folder.

use std::path::Path;

use serde::{Deserialize, Serialize};
use shared::model::id;
use shared::model::project::ApiKeySecret;
use shared::model::secret::Secret;

use crate::LocalError;

/// The keys in clear text. Only the owner of their file can read it.
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

    /// Reads the keys of a data folder, and makes them if there are none. Without a folder all keys are new.
    /// `admin_key` replaces the admin key.
    ///
    /// # Errors
    /// `Read` or `Write` if the file cannot be read or written; `Keys` if it is damaged.
    pub(crate) fn load(folder: Option<&Path>, admin_key: Option<&Secret>) -> Result<Self, LocalError> {
        let mut keys = match folder {
            None => Self::generate(),
            Some(folder) => Self::load_or_create(folder)?,
        };
        if let Some(key) = admin_key {
            key.expose().clone_into(&mut keys.admin_key);
        }
        Ok(keys)
    }

    /// Reads the keys of a data folder; `None` if there are none or the file is damaged.
    pub(crate) fn read(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(folder.join("keys.json")).ok()?).ok()
    }

    fn load_or_create(folder: &Path) -> Result<Self, LocalError> {
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

/// Writes a new file that only its owner can read. It has its name only when it is whole: a process may be killed meanwhile.
fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    let unfinished = path.with_extension("unfinished");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(&unfinished)?.write_all(content)?;
    std::fs::rename(&unfinished, path)
}
