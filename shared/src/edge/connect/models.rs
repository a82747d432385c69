//! Reads the models from a file, or from the object that the settings name, and notices when they change.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use aws_sdk_s3::Client;

use super::Builtin;
use crate::app::{ModelsError, ModelsSource, ServedModels};
use crate::model::catalog::{Catalog, CatalogError};
use crate::model::error_chain::ErrorChain;
use crate::model::id::Fingerprint;
use crate::model::keys::MakeProvider;

/// Where the text of the models is.
pub enum ModelsPlace {
    File(PathBuf),
    Object { client: Client, bucket: String, key: String },
}

/// A place that is read again, but only if it holds another text than before.
pub struct ModelsFile {
    place: ModelsPlace,
    /// The models that are served beside those of the file.
    builtin: Option<Builtin>,
    /// `None` in functions that call no provider.
    make: Option<MakeProvider>,
    seen: Mutex<Option<Seen>>,
}

/// The text that was served last.
struct Seen {
    version: Option<Version>,
    text: Fingerprint,
}

/// What tells one text at a place from the next.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Version {
    Modified(SystemTime, u64),
    Tag(String),
}

/// The text of a place, with its version; `None` if the version is the known one.
type Text = Option<(String, Option<Version>)>;

impl ModelsFile {
    #[must_use]
    pub fn new(place: ModelsPlace, builtin: Option<Builtin>, make: Option<MakeProvider>) -> Self {
        Self { place, builtin, make, seen: Mutex::default() }
    }

    fn error(&self, problem: String, source: Option<Box<dyn std::error::Error + Send + Sync>>) -> ModelsError {
        let place = match &self.place {
            ModelsPlace::File(path) => path.display().to_string(),
            ModelsPlace::Object { bucket, key, .. } => format!("s3://{bucket}/{key}"),
        };
        ModelsError { place, problem, source }
    }

    fn seen(&self) -> MutexGuard<'_, Option<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn text(&self, seen: Option<Version>) -> Result<Text, ModelsError> {
        match &self.place {
            ModelsPlace::File(path) => self.file_text(path, seen.as_ref()),
            ModelsPlace::Object { client, bucket, key } => self.object_text(client, bucket, key, seen).await,
        }
    }

    fn file_text(&self, path: &PathBuf, seen: Option<&Version>) -> Result<Text, ModelsError> {
        let wrong = |error: std::io::Error| self.error("the file cannot be read".to_owned(), Some(error.into()));
        let about = std::fs::metadata(path).map_err(wrong)?;
        let version = about.modified().ok().map(|at| Version::Modified(at, about.len()));
        if version.is_some() && version.as_ref() == seen {
            return Ok(None);
        }
        Ok(Some((std::fs::read_to_string(path).map_err(wrong)?, version)))
    }

    async fn object_text(
        &self,
        client: &Client,
        bucket: &str,
        key: &str,
        seen: Option<Version>,
    ) -> Result<Text, ModelsError> {
        let tag = seen.and_then(|version| if let Version::Tag(tag) = version { Some(tag) } else { None });
        let sent = Box::pin(client.get_object().bucket(bucket).key(key).set_if_none_match(tag).send()).await;
        let object = match sent {
            Ok(object) => object,
            Err(error) if error.raw_response().is_some_and(|response| response.status().as_u16() == 304) => {
                return Ok(None);
            }
            Err(error) => {
                let absent = error.as_service_error().is_some_and(|error| error.is_no_such_key());
                let problem = if absent { "the object does not exist" } else { "the object cannot be read" };
                return Err(self.error(problem.to_owned(), Some(error.into())));
            }
        };
        let version = object.e_tag.map(Version::Tag);
        let broke = |error| self.error("the object cannot be read".to_owned(), Some(error));
        let bytes = object.body.collect().await.map_err(|error| broke(error.into()))?.to_vec();
        let text = String::from_utf8(bytes).map_err(|error| broke(error.into()))?;
        Ok(Some((text, version)))
    }

    fn serve(&self, text: &str, before: Option<&ServedModels>) -> Result<ServedModels, ModelsError> {
        let mut catalog = Catalog::read(text).map_err(|problems| self.error(not_toml(&problems), None))?;
        if let Some(builtin) = &self.builtin {
            catalog = catalog.merged_with(builtin());
        }
        Ok(match &self.make {
            Some(make) => ServedModels::connect(catalog, make, before),
            None => ServedModels { catalog, ..ServedModels::default() },
        })
    }
}

#[async_trait]
impl ModelsSource for ModelsFile {
    async fn read(&self, before: Option<&ServedModels>) -> Result<Option<ServedModels>, ModelsError> {
        // Without models to go on with, an unchanged text is of no use.
        let version = before.and_then(|_| self.seen().as_ref()?.version.clone());
        let Some((text, version)) = self.text(version).await? else { return Ok(None) };
        let fingerprint = Fingerprint::of([text.as_bytes()]);
        // A place without versions, or one whose version changes without its text.
        let is_same = before.is_some() && self.seen().as_ref().is_some_and(|seen| seen.text == fingerprint);
        let served = if is_same { None } else { Some(self.serve(&text, before)?) };
        // A wrong text does not get here: it is read and reported again until it changes.
        *self.seen() = Some(Seen { version, text: fingerprint });
        Ok(served)
    }
}

fn not_toml(problems: &[CatalogError]) -> String {
    let first = problems.first().map(|error| ErrorChain(error).to_string()).unwrap_or_default();
    match problems.len() {
        0 | 1 => format!("the models file is not TOML: {first}"),
        more => format!("the models file is not TOML: {first} (and {} more)", more - 1),
    }
}

#[cfg(test)]
mod tests;
