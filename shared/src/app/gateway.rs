//! What operations need: the stores, the models, the providers, the clock, and what a process remembers.

use std::collections::HashMap;
use std::sync::Arc;

use opentelemetry::context::FutureExt as _;
use tokio_util::task::TaskTracker;

use super::access::KeyCache;
use super::admission::Hints;
use super::breaker::Breakers;
use super::dispatch::RetryBudget;
use crate::data::Stores;
use crate::model::catalog::Catalog;
use crate::model::clock::Clock;
use crate::model::provider::Provider;
use crate::model::secret::Secret;
use crate::model::webhook::Receivers;

/// What a gateway is made of.
pub struct Parts {
    pub stores: Stores,
    pub catalog: Arc<Catalog>,
    /// By the name of the provider in the catalog.
    pub providers: HashMap<String, Arc<dyn Provider>>,
    pub clock: Clock,
    /// The way to webhook endpoints; `None` in functions that neither register nor deliver.
    pub receivers: Option<Arc<dyn Receivers>>,
    /// The key of the admin API; `None` refuses every use of it.
    pub admin_key: Option<Secret>,
}

impl Parts {
    /// The least: no models, no providers, no way out, no admin API.
    #[must_use]
    pub fn new(stores: Stores, clock: Clock) -> Self {
        let (catalog, providers) = (Arc::default(), HashMap::new());
        Self { stores, catalog, providers, clock, receivers: None, admin_key: None }
    }
}

/// One process's access to everything; routers share it. Holds no truth: what it remembers only saves round trips.
pub struct Gateway {
    pub(super) stores: Stores,
    pub(super) catalog: Arc<Catalog>,
    pub(super) providers: HashMap<String, Arc<dyn Provider>>,
    pub(super) clock: Clock,
    pub(super) receivers: Option<Arc<dyn Receivers>>,
    pub(super) admin_key: Option<Secret>,
    pub(super) keys: KeyCache,
    pub(super) hints: Hints,
    pub(super) breakers: Breakers,
    pub(super) retries: RetryBudget,
    tasks: TaskTracker,
}

impl Gateway {
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            stores: parts.stores,
            catalog: parts.catalog,
            providers: parts.providers,
            clock: parts.clock,
            receivers: parts.receivers,
            admin_key: parts.admin_key,
            keys: KeyCache::new(),
            hints: Hints::new(),
            breakers: Breakers::default(),
            retries: RetryBudget::default(),
            tasks: TaskTracker::new(),
        })
    }

    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The stores that this gateway works on.
    #[must_use]
    pub fn stores(&self) -> &Stores {
        &self.stores
    }

    /// Runs a call to its end even if the client hangs up. It tells to whoever the caller tells to.
    ///
    /// On Lambda the answer's body does not end before the task does, so nothing is frozen half-way.
    #[expect(clippy::disallowed_methods, reason = "the one place: the body of the answer waits for the task's end")]
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(self.tasks.track_future(task.with_current_context()));
    }

    /// Waits until every call that was begun has closed its books. For the end of a process.
    pub async fn drain(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}
