//! Processes: instances of the service that start, die at any call, and lose their memory.
//!
//! After its death, no call of a process to the world outside returns, so nothing that it still computes has an effect.
//! So a process can die at every await at which it calls a store, a provider or a receiver, and production code needs
//! no way to be killed.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use axum::Router;
use providers::messages::{Accepts, OverChat};
use shared::app::{Components, Models, ServedModels};
use shared::data::{Queue, Stores};
use shared::edge::worker::{MoreMessages, SqsBatchResponse, SqsEvent};
use shared::model::keys::FixedKey;
use shared::model::provider::Provider;
use shared::model::secret::Secret;
use tokio_util::sync::CancellationToken;

use crate::connector::{Connector, Service};
use crate::deployment::{Deployment, PROVIDERS, catalog};
use crate::inspector;
use crate::provider::SimulatedProvider;
use crate::receivers::SimulatedReceivers;
use crate::whole_text::WholeText;

/// Lambda's longest time for an invocation.
const INVOCATION_MS: u64 = 900_000;

/// The name of a process, and the switch that kills it.
#[derive(Clone)]
pub(crate) struct ProcessHandle {
    pub(crate) name: Arc<str>,
    killed: CancellationToken,
}

impl fmt::Display for ProcessHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl ProcessHandle {
    fn new(name: String) -> Self {
        Self { name: name.into(), killed: CancellationToken::new() }
    }

    pub(crate) fn kill(&self) {
        self.killed.cancel();
    }

    #[must_use]
    pub(crate) fn is_dead(&self) -> bool {
        self.killed.is_cancelled()
    }

    pub(crate) async fn wait_for_death(&self) {
        self.killed.cancelled().await;
    }

    /// Does work of the process. Never returns once the process is dead.
    pub(crate) async fn run<T>(&self, work: impl Future<Output = T>) -> T {
        match self.killed.run_until_cancelled(work).await {
            Some(done) => done,
            None => std::future::pending().await,
        }
    }
}

/// One instance of the service.
#[derive(Clone)]
pub(crate) struct Process {
    pub(crate) handle: ProcessHandle,
    pub(crate) router: Router,
    components: Arc<Components>,
}

impl Process {
    /// Starts an instance with its own clients and caches.
    #[must_use]
    pub(crate) fn start(deployment: &Deployment, name: String) -> Self {
        let handle = ProcessHandle::new(name);
        let sim = &deployment.sim;
        let provider = |name: &'static str| {
            let simulated = SimulatedProvider::new(name, Arc::clone(sim), handle.clone());
            // It answers chat completions, so weir translates messages.
            Arc::new(OverChat::new(Arc::new(simulated), Accepts::default())) as Arc<dyn Provider>
        };
        let (keys, source) = FixedKey::with_source(Secret::new(kit::ADMIN_KEY));
        let components = Components::new(stores(deployment, &handle), sim.clock.clone())
            .serving(Arc::new(Models::fixed(ServedModels {
                catalog: (*catalog()).clone(),
                providers: HashMap::from(PROVIDERS.map(|name| (name.to_owned(), provider(name)))),
            })))
            .receivers(Arc::new(SimulatedReceivers::new(Arc::clone(sim), handle.clone())))
            .admin_key(keys, source, None);
        Self { router: kit::router_of(&components), components: Arc::new(components), handle }
    }

    /// Invokes the worker of a queue with a batch of messages.
    pub(crate) async fn invoke_worker(&self, queue: Queue, event: SqsEvent) -> SqsBatchResponse {
        let ends_at = self.components.clock().now().plus_ms(INVOCATION_MS);
        let more = MoreMessages::of(self.components.stores().queues.clone(), queue, self.components.clock().clone());
        match queue {
            Queue::Respond => respond::job_and_more(event, self.components.response_worker(), more, ends_at).await,
            Queue::Deliver => deliver::job_and_more(event, self.components.deliverer(), more, ends_at).await,
            Queue::Batch => batch::job(event, self.components.batch_worker(shared::edge::render), Some(ends_at)).await,
            Queue::Ingest => {
                let worker = self.components.ingest_worker(Arc::new(WholeText), shared::edge::render);
                ingest::job(event, worker, Some(ends_at)).await
            }
        }
    }

    /// Sweeps once; `false` if the sweep failed.
    pub(crate) async fn sweep(&self) -> bool {
        self.components.sweeper().sweep().await.is_ok()
    }
}

/// Makes the stores of a process, whose calls meet faults. Each client has its own retry budget, as in a real process.
fn stores(deployment: &Deployment, process: &ProcessHandle) -> Stores {
    let through = |service: Service, inner: SharedHttpConnector| -> SharedHttpConnector {
        let (sim, process, sqs) = (Arc::clone(&deployment.sim), process.clone(), deployment.engines.sqs.clone());
        SharedHttpConnector::new(Connector { service, inner, sim, process, sqs })
    };
    let dynamo = embedded::dynamo_client(through(Service::Table, deployment.engines.dynamo.clone()));
    let s3 = embedded::s3_client(through(Service::Bucket, deployment.engines.s3.clone()));
    let sqs = embedded::sqs_client(through(Service::Queue, deployment.engines.sqs.connector()));
    let partition = || aws_sdk_dynamodb::config::retry::RetryPartition::custom(process.name.to_string()).build();
    let dynamo = dynamo.config().to_builder().retry_partition(partition()).build();
    let s3 = s3.config().to_builder().retry_partition(partition()).build();
    let sqs = sqs.config().to_builder().retry_partition(partition()).build();
    inspector::stores(
        aws_sdk_dynamodb::Client::from_conf(dynamo),
        aws_sdk_s3::Client::from_conf(s3),
        aws_sdk_sqs::Client::from_conf(sqs),
    )
}
