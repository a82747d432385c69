//! The models that a process serves: read again while requests come, and swapped as a whole.
//!
//! A call takes one [`ServedModels`] when it begins and keeps it to its end. So its prices, its targets and its providers
//! belong together, and do not change between its reservation and its settlement.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;

use super::error::Error;
use crate::model::catalog::{Catalog, Model};
use crate::model::clock::{Clock, Timestamp};
use crate::model::error_chain::ErrorChain;
use crate::model::keys::MakeProvider;
use crate::model::project::Caller;
use crate::model::provider::Provider;

/// Providers by their name in the catalog.
pub type Providers = HashMap<String, Arc<dyn Provider>>;

/// How old the models may be before they are read again.
const FRESH_MS: u64 = 60_000;
/// The same, while there are none that could be served.
const RETRY_MS: u64 = 5_000;
/// How long a request waits for the models to be read again, while there are some that can be served.
const WAIT: Duration = Duration::from_secs(2);

/// One version of the models, and their providers.
#[derive(Default)]
pub struct ServedModels {
    pub catalog: Catalog,
    pub providers: Providers,
}

impl ServedModels {
    /// The model with that name or alias.
    ///
    /// # Errors
    /// `UnknownModel`, or `WrongModel` if the entry of the model is wrong.
    pub fn model(&self, name: &str) -> Result<&Model, Error> {
        let absent = || match self.catalog.wrong_model(name) {
            Some(wrong) => Error::WrongModel { model: name.to_owned(), line: wrong.line },
            None => Error::UnknownModel(name.to_owned()),
        };
        self.catalog.model(name).ok_or_else(absent)
    }

    /// The model with that name or alias, if the caller may use it.
    ///
    /// # Errors
    /// `Forbidden`, or as [`ServedModels::model`].
    pub fn model_for(&self, caller: &Caller, name: &str) -> Result<&Model, Error> {
        caller.check_model(name)?;
        self.model(name)
    }

    /// Makes the providers of a catalog. A provider whose entry is the same as `before` stays, with its connections.
    #[must_use]
    pub fn connect(catalog: Catalog, make: &MakeProvider, before: Option<&Self>) -> Self {
        let unchanged = |name: &str, config| {
            let before = before.filter(|before| before.catalog.provider(name) == Some(config))?;
            before.providers.get(name).cloned()
        };
        let providers = catalog.providers().iter().map(|config| {
            let provider = unchanged(&config.name, config).unwrap_or_else(|| make(config));
            (config.name.clone(), provider)
        });
        Self { providers: providers.collect(), catalog }
    }
}

/// Why the models cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("could not read the models from `{place}`: {problem}")]
pub struct ModelsError {
    /// The file or the object. Callers do not see it.
    pub place: String,
    /// What is wrong, in words that callers may see.
    pub problem: String,
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The place that the models come from.
#[async_trait]
pub trait ModelsSource: Send + Sync {
    /// Reads the models; `None` if they are still the ones that it returned last. `before` are those.
    ///
    /// # Errors
    /// `ModelsError` if the place cannot be read, or if its text is no `models.toml`.
    async fn read(&self, before: Option<&ServedModels>) -> Result<Option<ServedModels>, ModelsError>;
}

/// The models of a process.
pub struct Models {
    source: Option<Arc<dyn ModelsSource>>,
    clock: Clock,
    known: RwLock<Known>,
    due: Mutex<Due>,
}

#[derive(Default)]
struct Known {
    served: Arc<ServedModels>,
    /// Why there are no models that can be served.
    problem: Option<String>,
}

#[derive(Default)]
struct Due {
    at: Timestamp,
    /// A failure is logged once a minute.
    log_at: Timestamp,
}

impl Models {
    /// Models that stay as they are.
    #[must_use]
    pub fn fixed(served: ServedModels) -> Self {
        let known = Known { served: Arc::new(served), problem: None };
        Self { source: None, clock: Clock::system(), known: RwLock::new(known), due: Mutex::default() }
    }

    /// The models of `source`, read now and then again at most once a minute. A failure is no error here: it is the answer
    /// to each call until the models can be read.
    pub async fn read(source: Arc<dyn ModelsSource>, clock: Clock) -> Self {
        let known = Known { problem: Some("they were not read yet".to_owned()), ..Known::default() };
        let models = Self { source: Some(source), clock, known: RwLock::new(known), due: Mutex::default() };
        models.refresh().await;
        models
    }

    /// The models for a call that begins now. Reads them again if they are a minute old; if that fails, the last good ones
    /// remain.
    ///
    /// # Errors
    /// `NoModels` if the models could never be read.
    pub async fn current(&self) -> Result<Arc<ServedModels>, Error> {
        self.refresh().await;
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        match &known.problem {
            Some(problem) => Err(Error::NoModels(problem.clone())),
            None => Ok(Arc::clone(&known.served)),
        }
    }

    /// The models as they were last read; none if they could never be read.
    #[must_use]
    pub fn known(&self) -> Arc<ServedModels> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner).served)
    }

    /// Reads the models again if that is due. Other requests use the known ones meanwhile.
    async fn refresh(&self) {
        let Some(source) = self.source.as_ref().filter(|_| self.is_due()) else { return };
        let before = self.known.read().unwrap_or_else(PoisonError::into_inner).usable();
        let read = source.read(before.as_deref());
        let read = match &before {
            None => read.await,
            Some(_) => tokio::time::timeout(WAIT, read).await.unwrap_or_else(|_| Err(late())),
        };
        match read {
            Ok(None) => {}
            Ok(Some(served)) => self.serve(served),
            Err(error) => self.note(&error, before.is_some()),
        }
    }

    /// Whether the caller is to read the models again. Of several callers, one is.
    fn is_due(&self) -> bool {
        let now = self.clock.now();
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = !now.is_before(due.at, FRESH_MS);
        if is_due {
            due.at = now.plus_ms(FRESH_MS);
        }
        is_due
    }

    fn serve(&self, served: ServedModels) {
        let wrong = served.catalog.problems().len();
        for problem in served.catalog.problems() {
            tracing::error!(line = problem.line, reason = problem.reason, "wrong entry in the models file");
        }
        tracing::info!(models = served.catalog.models().len(), wrong, "models read");
        let known = Known { served: Arc::new(served), problem: None };
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
    }

    fn note(&self, error: &ModelsError, others_remain: bool) {
        let now = self.clock.now();
        let is_logged = {
            let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
            if !others_remain {
                due.at = now.plus_ms(RETRY_MS);
            }
            let is_logged = !now.is_before(due.log_at, FRESH_MS);
            if is_logged {
                due.log_at = now.plus_ms(FRESH_MS);
            }
            is_logged
        };
        if is_logged {
            tracing::error!(error = %ErrorChain(error), others_remain, "models not read");
        }
        if !others_remain {
            self.known.write().unwrap_or_else(PoisonError::into_inner).problem = Some(error.problem.clone());
        }
    }
}

impl Known {
    fn usable(&self) -> Option<Arc<ServedModels>> {
        self.problem.is_none().then(|| Arc::clone(&self.served))
    }
}

fn late() -> ModelsError {
    let problem = format!("no answer within {} s", WAIT.as_secs());
    ModelsError { place: "their source".to_owned(), problem, source: None }
}
