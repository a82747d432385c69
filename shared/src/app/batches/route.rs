//! The way of lines to the batch API of a provider.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::timeout;

use super::line::LineContext;
use super::terms::PreparedLine;
use crate::app::error::{Attempts, Error};
use crate::app::models::ServedModels;
use crate::app::pipeline::find_model;
use crate::data::NativeWave;
use crate::model::batch::BatchEndpoint;
use crate::model::catalog::{BatchMode, Model, Target};
use crate::model::provider::{Failure, Provider};
use crate::model::provider_batch::{BatchState, EndedBatch, Exchange, NewBatch, ProviderBatches};
use crate::model::tokens::Unreported;

/// The time to delete what a provider has. Nobody has to wait for it.
const FORGET_TIME: Duration = Duration::from_secs(30);

/// Why nobody knows how far a batch is.
pub(super) enum Unknown {
    /// The provider never got it.
    NotThere,
    /// The provider does not have it any more, or cannot tell.
    Lost,
    Failed(Failure),
}

/// Where the lines of a batch go.
pub(super) struct Route<'a> {
    pub(super) provider: &'a Arc<dyn Provider>,
    pub(super) batches: &'a dyn ProviderBatches,
    pub(super) target: &'a Target,
    pub(super) unreported: Unreported,
}

impl<'a> Route<'a> {
    /// The provider's batch API for a model; `None`: its lines run here.
    pub(super) fn of(served: &'a ServedModels, model: &'a Model) -> Option<Self> {
        let target = model.targets.first().filter(|_| model.batch == BatchMode::Native)?;
        Self::at(served, target)
    }

    pub(super) fn at(served: &'a ServedModels, target: &'a Target) -> Option<Self> {
        let provider = served.providers.get(&target.provider)?;
        let unreported = served.catalog.provider(&target.provider).map(|config| config.unreported).unwrap_or_default();
        Some(Self { provider, batches: provider.batches()?, target, unreported })
    }

    pub(super) fn provider_name(&self) -> &'a str {
        &self.target.provider
    }

    /// Asks how far a batch is. `is_over`: no further line is to be run.
    pub(super) async fn ask(&self, native: &NativeWave, is_over: bool) -> Result<(NativeWave, BatchState), Unknown> {
        let id = match &native.id {
            Some(id) => id.clone(),
            None => match self.batches.find(&native.tag, native.since).await {
                Ok(found) => found.ok_or(Unknown::NotThere)?,
                Err(Failure::Unsupported { .. }) => return Err(Unknown::Lost),
                Err(failure) => return Err(Unknown::Failed(failure)),
            },
        };
        let mut native = NativeWave { id: Some(id.clone()), ..native.clone() };
        let state = self.batches.state(&id).await.map_err(|failure| match failure {
            Failure::Refused { status: 404 | 410, .. } => Unknown::Lost,
            failure => Unknown::Failed(failure),
        })?;
        if state == BatchState::Running && is_over && !native.is_cancelled {
            // One that has ended meanwhile may refuse. The next question tells.
            match self.batches.cancel(&id).await {
                Ok(()) | Err(Failure::Refused { .. }) => native.is_cancelled = true,
                Err(failure) => return Err(Unknown::Failed(failure)),
            }
        }
        Ok((native, state))
    }

    /// Deletes what the provider has of a batch that is settled.
    pub(super) async fn forget(&self, ended: &EndedBatch) {
        let deleted = timeout(FORGET_TIME, self.batches.delete(ended)).await;
        if let Err(failure) = deleted.unwrap_or(Err(Failure::OutOfTime)) {
            let provider = self.provider_name();
            tracing::warn!(provider, error = failure.summary(), "a provider keeps an ended batch");
        }
    }

    /// A failure of this provider.
    pub(super) fn failed(&self, source: Failure) -> Error {
        Error::Provider { tried: Attempts::free(self.provider_name().to_owned(), 1), source }
    }
}

/// Whether the lines of a model go to a provider's batch API.
pub(super) fn is_native(served: &ServedModels, model: &str, endpoint: BatchEndpoint) -> bool {
    find_model(served, model, endpoint.called()).is_ok_and(|model| Route::of(served, model).is_some())
}

impl LineContext<'_> {
    /// Writes down what a provider gets for lines. Returns the numbers of those that it cannot get with the others, too.
    pub(super) async fn write(
        &self,
        route: &Route<'_>,
        lines: &[PreparedLine],
        budgeted: bool,
        tag: String,
    ) -> (NewBatch, Vec<u64>) {
        let (mut new, mut refused) = (NewBatch { tag, path: String::new(), requests: Vec::new() }, Vec::new());
        for line in lines {
            let place = Arc::new(OnceLock::new());
            let exchange = Exchange::Written(Arc::clone(&place));
            // It fails: nothing is sent. Only what was written counts.
            let _ = route.provider.send(&self.batched(line, route.target, budgeted, exchange)).await;
            match place.get() {
                Some(written) if new.path.is_empty() || new.path == written.path => {
                    new.path.clone_from(&written.path);
                    new.requests.push((line.line.number.to_string(), written.body.clone()));
                }
                _ => refused.push(line.line.number),
            }
        }
        (new, refused)
    }
}
