//! Requests that make an object and call no model: a repetition gets the object that the first one made, as it is then.

use super::KeyPlan;
use crate::app::error::Error;
use crate::data::{CreateOutcome, Creation, CreationRecords, NewCreation};
use crate::model::clock::Clock;
use crate::model::object::Object;
use crate::model::project::Project;

/// An object that a request made, now or before.
#[derive(Debug, Clone)]
pub struct Made<T> {
    pub object: T,
    /// An earlier request with the same key made it.
    pub is_repeated: bool,
}

impl<T> Made<T> {
    pub(in crate::app) fn now(object: T) -> Self {
        Self { object, is_repeated: false }
    }

    pub(in crate::app) fn before(object: T) -> Self {
        Self { object, is_repeated: true }
    }
}

/// Finds the objects that requests with a key made.
#[derive(Clone)]
pub(in crate::app) struct CreationKeys {
    pub(in crate::app) records: CreationRecords,
    pub(in crate::app) clock: Clock,
}

impl CreationKeys {
    /// What makes a request to `path` safe to repeat; `None`: nothing. See [`KeyPlan::new`].
    pub(in crate::app) fn plan(
        project: &Project,
        path: &str,
        key: Option<&str>,
        retry_count: u32,
        body: &Object,
    ) -> Option<NewCreation> {
        let plan = KeyPlan::new(project, path, key, retry_count, || body.fingerprint())?;
        let KeyPlan { key, fingerprint, is_new, kept_seconds } = plan;
        Some(NewCreation { key, fingerprint, kept_seconds, replace: is_new })
    }

    /// The id of the object that an earlier request with this key made.
    ///
    /// # Errors
    /// `KeyReused` if that request had another body.
    pub(in crate::app) async fn find(&self, by: Option<&NewCreation>) -> Result<Option<String>, Error> {
        let Some(by) = by.filter(|by| !by.replace) else { return Ok(None) };
        let found = self.records.find(&by.key, self.clock.now()).await?;
        found.map(|creation| object_of(creation, by)).transpose()
    }

    /// The id of the object that an earlier request made, if one came first since the key was looked up.
    ///
    /// # Errors
    /// As [`CreationKeys::find`].
    pub(in crate::app) fn earlier(outcome: CreateOutcome, by: Option<&NewCreation>) -> Result<Option<String>, Error> {
        match (outcome, by) {
            (CreateOutcome::Earlier(creation), Some(by)) => object_of(creation, by).map(Some),
            _ => Ok(None),
        }
    }
}

fn object_of(creation: Creation, by: &NewCreation) -> Result<String, Error> {
    let is_same = creation.fingerprint == by.fingerprint.as_str();
    if is_same { Ok(creation.object_id) } else { Err(Error::KeyReused) }
}

/// The answer for an object of an earlier request: that it is not found says that it is gone.
pub(in crate::app) fn gone(error: Error) -> Error {
    match error {
        Error::NotFound { kind, id } => Error::MadeAndGone { kind, id },
        error => error,
    }
}
