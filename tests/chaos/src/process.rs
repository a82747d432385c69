//! Processes: gateways that are started, die at any call, and take what they remember with them.
//!
//! A process that died is one whose calls never come back: whatever it still computes nobody ever sees. So it can die at
//! every await at which it reaches for something outside of it, and production code needs no way to be killed.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use axum::Router;
use shared::app::{Gateway, Parts};
use shared::data::{Bucket, Queues, Stores, Table};
use shared::edge::Deps;
use shared::model::provider::Provider;
use shared::model::secret::Secret;
use tokio_util::sync::CancellationToken;

use crate::connector::{Connector, Service};
use crate::deployment::{Deployment, catalog, queue_urls};
use crate::provider::ScriptedByChance;
use crate::receivers::ReceiversByChance;

/// Whether a process lives.
#[derive(Clone)]
pub(crate) struct Life {
    pub(crate) name: Arc<str>,
    dead: CancellationToken,
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Life {
    fn new(name: String) -> Self {
        Self { name: name.into(), dead: CancellationToken::new() }
    }

    pub(crate) fn end(&self) {
        self.dead.cancel();
    }

    #[must_use]
    pub(crate) fn is_over(&self) -> bool {
        self.dead.is_cancelled()
    }

    /// Resolves when the process dies.
    pub(crate) async fn ended(&self) {
        self.dead.cancelled().await;
    }

    /// What the process does: never comes back once it is dead.
    pub(crate) async fn live<T>(&self, work: impl Future<Output = T>) -> T {
        match self.dead.run_until_cancelled(work).await {
            Some(done) => done,
            None => std::future::pending().await,
        }
    }
}

/// One instance of the service.
#[derive(Clone)]
pub(crate) struct Process {
    pub(crate) life: Life,
    pub(crate) gateway: Deps,
    pub(crate) router: Router,
}

impl Process {
    /// Starts one, with clients and caches of its own.
    #[must_use]
    pub(crate) fn start(deployment: &Deployment, name: String) -> Self {
        let life = Life::new(name);
        let sim = &deployment.sim;
        let provider = |name: &'static str| {
            Arc::new(ScriptedByChance::new(name, Arc::clone(sim), life.clone())) as Arc<dyn Provider>
        };
        let gateway = Gateway::new(Parts {
            stores: stores(deployment, &life),
            catalog: catalog(),
            providers: HashMap::from(["first", "second"].map(|name| (name.to_owned(), provider(name)))),
            clock: sim.clock.clone(),
            receivers: Some(Arc::new(ReceiversByChance::new(Arc::clone(sim), life.clone()))),
            admin_key: Some(Secret::new(kit::ADMIN_KEY)),
        });
        Self { router: kit::router_of(&gateway), gateway, life }
    }
}

/// The stores as a process reaches them: through the weather. Each client has a retry budget of its own, as in a process
/// of its own.
fn stores(deployment: &Deployment, life: &Life) -> Stores {
    let through = |service: Service, inner: SharedHttpConnector| -> SharedHttpConnector {
        let (sim, life, sqs) = (Arc::clone(&deployment.sim), life.clone(), deployment.engines.sqs.clone());
        SharedHttpConnector::new(Connector { service, inner, sim, life, sqs })
    };
    let dynamo = embedded::dynamo_client(through(Service::Table, deployment.engines.dynamo.clone()));
    let s3 = embedded::s3_client(through(Service::Bucket, deployment.engines.s3.clone()));
    let sqs = embedded::sqs_client(through(Service::Queue, deployment.engines.sqs.connector()));
    let partition = || aws_sdk_dynamodb::config::retry::RetryPartition::custom(life.name.to_string()).build();
    let dynamo = dynamo.config().to_builder().retry_partition(partition()).build();
    let s3 = s3.config().to_builder().retry_partition(partition()).build();
    let sqs = sqs.config().to_builder().retry_partition(partition()).build();
    Stores {
        table: Table::new(aws_sdk_dynamodb::Client::from_conf(dynamo), "weir"),
        bucket: Bucket::new(aws_sdk_s3::Client::from_conf(s3), "weir"),
        queues: Queues::new(aws_sdk_sqs::Client::from_conf(sqs), queue_urls()),
    }
}
