//! The targets of all models and the state of their breakers, for operators.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::try_join_all;

use crate::app::error::Error;
use crate::app::models::Models;
use crate::data::{BreakerRecords, BreakerState, Stores};
use crate::model::catalog::Target;
use crate::model::clock::{Clock, Timestamp};

/// Whether a breaker lets calls through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerPhase {
    Closed,
    /// It refuses calls.
    Open,
    /// Some calls probe the target.
    HalfOpen,
}

/// A target and its breaker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetStatus {
    pub provider: String,
    /// The provider's name of the model.
    pub model: String,
    /// The models of the catalog that the target serves.
    pub serves: Vec<String>,
    pub phase: BreakerPhase,
    /// `None` while the breaker is closed.
    pub breaker: Option<BreakerState>,
}

/// Shows targets and their breakers.
pub struct TargetStates {
    models: Arc<Models>,
    records: BreakerRecords,
    clock: Clock,
}

impl TargetStates {
    pub(in crate::app) fn new(stores: &Stores, models: Arc<Models>, clock: Clock) -> Self {
        Self { models, records: stores.breakers(), clock }
    }

    /// The targets of all models, in the order of the catalog.
    ///
    /// # Errors
    /// `NoModels`; if the table fails.
    pub async fn list(&self) -> Result<Vec<TargetStatus>, Error> {
        let served = self.models.current().await?;
        let now = self.clock.now();
        let providers = served.catalog.providers().iter().map(|provider| self.breakers(&provider.name, now));
        let mut breakers: HashMap<_, _> = try_join_all(providers).await?.into_iter().flatten().collect();
        let mut listed: Vec<TargetStatus> = Vec::new();
        for model in served.catalog.models() {
            for Target { provider, model: name, .. } in &model.targets {
                let is_same = |known: &&mut TargetStatus| known.provider == *provider && known.model == *name;
                if let Some(known) = listed.iter_mut().find(is_same) {
                    known.serves.push(model.name.clone());
                    continue;
                }
                let (provider, name, serves) = (provider.clone(), name.clone(), vec![model.name.clone()]);
                let breaker = breakers.remove(&(provider.clone(), name.clone()));
                let phase = phase(breaker.as_ref(), now);
                listed.push(TargetStatus { provider, model: name, serves, phase, breaker });
            }
        }
        Ok(listed)
    }

    /// The breakers of a provider that are not closed, by provider and model.
    async fn breakers(&self, provider: &str, now: Timestamp) -> Result<Vec<((String, String), BreakerState)>, Error> {
        let found = self.records.of_provider(provider, now).await?;
        Ok(found.into_iter().map(|(model, state)| ((provider.to_owned(), model), state)).collect())
    }
}

fn phase(breaker: Option<&BreakerState>, now: Timestamp) -> BreakerPhase {
    match breaker {
        None => BreakerPhase::Closed,
        Some(state) if state.open_until > now => BreakerPhase::Open,
        Some(_) => BreakerPhase::HalfOpen,
    }
}
