//! The keys that the local server prints. It makes them at its first start and keeps them in the data folder.

use std::path::Path;

use serde::{Deserialize, Serialize};
use shared::model::id;
use shared::model::key_check::KeyCheck;
use shared::model::key_text::ApiKeySecret;
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
    fn generate(check: &KeyCheck) -> Self {
        let project = ApiKeySecret::generate(&id::new("proj_"), check);
        Self {
            admin_key: format!("sk-weir-admin-{}", id::random(40)),
            project_key: project.secret().expose().to_owned(),
        }
    }

    /// Reads the keys of a data folder, and makes them if there are none. Without a folder all keys are new.
    /// `admin_key` replaces the admin key. A project's key that other stores made, because those of the folder were deleted
    /// since, is replaced by another of the same project.
    ///
    /// # Errors
    /// `Read` or `Write` if the file cannot be read or written; `Keys` if it is damaged.
    pub(crate) fn load(
        folder: Option<&Path>,
        admin_key: Option<&Secret>,
        check: &KeyCheck,
    ) -> Result<Self, LocalError> {
        let mut keys = match folder {
            None => Self::generate(check),
            Some(folder) => Self::load_or_create(folder, check)?,
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

    fn load_or_create(folder: &Path, check: &KeyCheck) -> Result<Self, LocalError> {
        let path = folder.join("keys.json");
        let shown = path.display().to_string();
        let known = match std::fs::read(&path) {
            Ok(json) => Some(Self::parse(&json).map_err(|reason| LocalError::Keys { path: shown.clone(), reason })?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(source) => return Err(LocalError::Read { path: shown, source }),
        };
        let keys = known.clone().unwrap_or_else(|| Self::generate(check)).fitting(check);
        if known.as_ref() != Some(&keys) {
            let json = serde_json::to_vec_pretty(&keys).unwrap_or_default();
            write_private(&path, &json).map_err(|source| LocalError::Write { path: shown, source })?;
        }
        Ok(keys)
    }

    fn parse(json: &[u8]) -> Result<Self, String> {
        let keys: Self = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        match ApiKeySecret::parse(&keys.project_key) {
            Some(_) => Ok(keys),
            None => Err("`project_key` is no key".to_owned()),
        }
    }

    /// The same keys, the project's one with the check of these stores.
    fn fitting(self, check: &KeyCheck) -> Self {
        match ApiKeySecret::parse(&self.project_key) {
            Some(key) if !key.fits(check) => {
                let project_key = ApiKeySecret::generate(key.project_id(), check).secret().expose().to_owned();
                Self { project_key, ..self }
            }
            _ => self,
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
