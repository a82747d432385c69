//! The whole service on embedded stores, with a provider and a clock that tests hold in their hands.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use axum::Router;
use embedded::{Engines, Place, Sqs, queue_url};
use outbound::{Options, Outbound};
use shared::app::{Gateway, Parts};
use shared::data::{Bucket, Queue, QueueUrls, Queues, Shard, Stores, Table, create_table};
use shared::edge::worker::{SqsBatchResponse, SqsEvent};
use shared::edge::{Deps, stack};
use shared::model::catalog::Catalog;
use shared::model::clock::Clock;
use shared::model::id;
use shared::model::project::{ApiKey, ApiKeySecret, Limits, Policy, Project};
use shared::model::provider::Provider;
use shared::model::secret::Secret;
use shared::model::webhook::Receivers;

use crate::calls::AwsCalls;
use crate::connector::{Faults, Instrumented, StoreLog};
use crate::consumed::Consumed;
use crate::hook::Names;
use crate::scripted::{Script, ScriptedProvider};

pub const ADMIN_KEY: &str = "sk-weir-admin-test";

/// 2026-11-22T17:00:00Z, where manual clocks start.
pub const START_MS: u64 = 1_795_366_800_000;

/// One model per case: priced, unpriced, with a fallback, and for embeddings and moderations.
const CATALOG: &str = r#"
[[provider]]
name = "first"
kind = "simulator"
[[provider]]
name = "second"
kind = "simulator"

[[model]]
name = "priced"
aliases = ["vendor/priced"]
kind = "chat"
price = { input = 1.0, cached_input = 0.1, output = 2.0 }
context_tokens = 128000
max_output_tokens = 4096
targets = [{ provider = "first", model = "scripted-1", timeouts = { first_byte_ms = 2000, idle_ms = 2000, total_ms = 20000 } }]

[[model]]
name = "unpriced"
kind = "chat"
targets = [{ provider = "first", model = "scripted-1" }]

[[model]]
name = "two-targets"
kind = "chat"
price = { input = 1.0, output = 2.0 }
context_tokens = 128000
max_output_tokens = 4096
targets = [{ provider = "first", model = "a" }, { provider = "second", model = "b" }]

[[model]]
name = "embedding"
kind = "embedding"
price = { input = 0.1 }
targets = [{ provider = "first", model = "embedding-1" }]

[[model]]
name = "moderation"
kind = "moderation"
targets = [{ provider = "first", model = "moderation-1" }]
"#;

pub struct WorldBuilder {
    latency: Duration,
    clock: Clock,
}

impl WorldBuilder {
    /// Every call of the table and of a queue takes this long.
    #[must_use]
    pub fn store_latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    pub async fn build(self) -> World {
        let clock = self.clock.clone();
        let engines = Engines::open(&Place::Memory, Arc::new(move || clock.now().0)).expect("embedded stores open");
        let (faults, log) = (Faults::default(), StoreLog::default());
        let instrumented = |inner: SharedHttpConnector| {
            let (faults, log, latency) = (faults.clone(), log.clone(), self.latency);
            SharedHttpConnector::new(Instrumented { inner, faults, log, latency })
        };
        let connectors = Connectors {
            dynamo: instrumented(engines.dynamo.clone()),
            s3: engines.s3.clone(),
            sqs: instrumented(engines.sqs.connector()),
        };
        let dynamo = embedded::dynamo_client(connectors.dynamo.clone());
        create_table(&dynamo, "weir").await.expect("the table is created");
        let stores = connectors.stores(|connector| connector);
        stores.bucket.create().await.expect("the bucket is created");
        let first = ScriptedProvider::new(Script::answer("Hello there.", 10, 5));
        let second = ScriptedProvider::new(Script::answer("From the second.", 10, 5));
        let queues = engines.sqs.clone();
        let names = Names::default();
        let options = Options { permit_loopback: true, ..Options::default() };
        let local_receivers = Arc::new(Outbound::with_resolver(Arc::new(names.clone()), options));
        let (clock, calls) = (self.clock, AwsCalls::default());
        World {
            engines,
            connectors,
            dynamo,
            stores,
            queues,
            first,
            second,
            clock,
            faults,
            log,
            calls,
            names,
            local_receivers,
        }
    }
}

/// What SDK clients talk through to the stores of a world, its faults included.
#[derive(Clone)]
pub struct Connectors {
    pub dynamo: SharedHttpConnector,
    pub s3: SharedHttpConnector,
    pub sqs: SharedHttpConnector,
}

impl Connectors {
    /// The stores, each behind a connector of its own.
    fn stores(&self, wrap: impl Fn(SharedHttpConnector) -> SharedHttpConnector) -> Stores {
        let urls = QueueUrls {
            respond: Some(queue_url("respond")),
            deliver: Some(queue_url("deliver")),
            respond_dead_letters: Some(queue_url("respond-dead-letters")),
            deliver_dead_letters: Some(queue_url("deliver-dead-letters")),
        };
        Stores {
            table: Table::new(embedded::dynamo_client(wrap(self.dynamo.clone())), "weir"),
            bucket: Bucket::new(embedded::s3_client(wrap(self.s3.clone())), "weir"),
            queues: Queues::new(embedded::sqs_client(wrap(self.sqs.clone())), urls),
        }
    }
}

/// A deployment: stores and providers. Gateways are its instances.
pub struct World {
    #[expect(dead_code, reason = "the stores live as long as the engines")]
    engines: Engines,
    connectors: Connectors,
    dynamo: aws_sdk_dynamodb::Client,
    pub stores: Stores,
    /// What the platform sees of the queues: on the clock of this world, and without faults.
    pub queues: Sqs,
    pub first: Arc<ScriptedProvider>,
    pub second: Arc<ScriptedProvider>,
    pub clock: Clock,
    pub faults: Faults,
    pub log: StoreLog,
    /// What instances of single functions asked of AWS.
    pub calls: AwsCalls,
    /// What the names of webhook receivers mean.
    pub names: Names,
    local_receivers: Arc<Outbound>,
}

impl World {
    #[must_use]
    pub fn builder() -> WorldBuilder {
        WorldBuilder { latency: Duration::ZERO, clock: Clock::manual(START_MS) }
    }

    pub async fn new() -> Self {
        Self::builder().build().await
    }

    /// One instance: a process that has just started.
    pub fn gateway(&self) -> Deps {
        self.gateway_to(self.local_receivers())
    }

    /// One instance that reaches webhook endpoints another way.
    pub fn gateway_to(&self, receivers: Arc<dyn Receivers>) -> Deps {
        self.gateway_on(self.stores.clone(), receivers)
    }

    /// One instance of one function of the deployment, whose calls are remembered under its name.
    pub fn gateway_of(&self, function: &str) -> Deps {
        let stores = self.connectors.stores(|connector| self.calls.of(function, connector));
        self.gateway_on(stores, self.local_receivers())
    }

    /// One instance whose use of the stores is added up.
    pub fn gateway_with(&self, consumed: &Consumed) -> Deps {
        self.gateway_on(self.connectors.stores(|connector| consumed.of(connector)), self.local_receivers())
    }

    fn gateway_on(&self, stores: Stores, receivers: Arc<dyn Receivers>) -> Deps {
        let providers: HashMap<String, Arc<dyn Provider>> = HashMap::from([
            ("first".to_owned(), self.first.clone() as Arc<dyn Provider>),
            ("second".to_owned(), self.second.clone() as Arc<dyn Provider>),
        ]);
        Gateway::new(Parts {
            stores,
            catalog: Arc::new(Catalog::parse(CATALOG).expect("the catalog is right")),
            providers,
            clock: self.clock.clone(),
            receivers: Some(receivers),
            admin_key: Some(Secret::new(ADMIN_KEY)),
        })
    }

    /// The way to webhook receivers, whose names are those of this world.
    pub fn receivers(&self, options: Options) -> Arc<dyn Receivers> {
        Arc::new(Outbound::with_resolver(Arc::new(self.names.clone()), options))
    }

    /// The same for receivers on this machine.
    pub fn local_receivers(&self) -> Arc<dyn Receivers> {
        Arc::clone(&self.local_receivers) as Arc<dyn Receivers>
    }

    /// For stores that are reached another way than through [`World::stores`].
    #[must_use]
    pub fn connectors(&self) -> Connectors {
        self.connectors.clone()
    }

    /// Every route of one instance.
    pub fn router(&self) -> Router {
        router_of(&self.gateway())
    }

    /// A project with one key. Returns both.
    pub async fn project(&self, limits: Limits, policy: Policy) -> (Project, String) {
        let project = Project {
            id: id::new("proj_"),
            name: "Test".to_owned(),
            created_at: self.clock.now().seconds(),
            archived_at: None,
            limits,
            revision: 1,
            policy,
        };
        self.stores.table.create_project(&project).await.expect("the project is created");
        let key = ApiKeySecret::generate(&project.id);
        self.admit_key(&key).await;
        (project, key.secret().expose().to_owned())
    }

    /// Makes a key valid.
    pub async fn admit_key(&self, key: &ApiKeySecret) {
        let stored = ApiKey {
            id: id::new("key_"),
            hash: key.hash(),
            project_id: key.project_id().to_owned(),
            name: "test".to_owned(),
            redacted_value: key.redact(),
            created_at: self.clock.now().seconds(),
            service_account_id: id::new("svc_acct_"),
        };
        self.stores.table.create_api_key(&stored).await.expect("the key is created");
    }

    /// Deletes every idempotency record, not its parts, as DynamoDB's TTL does in its own time.
    pub async fn delete_idempotency_records(&self) {
        let items =
            self.dynamo.scan().table_name("weir").send().await.expect("the table is scanned").items.unwrap_or_default();
        for item in items.iter().filter(|item| item["sk"].as_s().is_ok_and(|sk| sk == "IDEM")) {
            let request = self.dynamo.delete_item().table_name("weir");
            let request = request.key("pk", item["pk"].clone()).key("sk", item["sk"].clone());
            request.send().await.expect("the record is deleted");
        }
    }

    /// Responses that can be read: their records, without those that were deleted.
    pub async fn stored_responses(&self) -> usize {
        let items =
            self.dynamo.scan().table_name("weir").send().await.expect("the table is scanned").items.unwrap_or_default();
        let is = |item: &HashMap<String, AttributeValue>, sk: &str| item["sk"].as_s().is_ok_and(|found| found == sk);
        items.iter().filter(|item| is(item, "META") && !item.contains_key("deleted")).count()
    }

    /// The event that a worker gets of all visible messages of its queue; they are hidden from then on.
    #[must_use]
    pub fn take_messages(&self, queue: Queue) -> SqsEvent {
        local::event_of(queue.name(), self.queues.receive(queue.name(), usize::MAX).expect("the queue is known"))
    }

    /// Deletes the messages of an event that its worker is done with, as the platform does.
    pub fn acknowledge(&self, queue: Queue, event: &SqsEvent, response: &SqsBatchResponse) {
        local::acknowledge(&self.queues, queue.name(), &event.records, response).expect("the queue is known");
    }

    /// Gives the visible messages of a queue to a worker and deletes what it is done with, as the platform does. Returns
    /// how many there were. If the worker dies ([`Faults::or_die`]) they stay hidden until their time has passed.
    pub async fn work_once<F>(&self, queue: Queue, worker: impl FnOnce(SqsEvent) -> F) -> usize
    where
        F: Future<Output = SqsBatchResponse>,
    {
        let event = self.take_messages(queue);
        if !event.records.is_empty()
            && let Some(response) = self.faults.or_die(worker(event.clone())).await
        {
            self.acknowledge(queue, &event, &response);
        }
        event.records.len()
    }

    /// A client of the table, for what only a raw item shows. [`Faults`] and the log see its calls as all others.
    #[must_use]
    pub fn dynamo(&self) -> &aws_sdk_dynamodb::Client {
        &self.dynamo
    }

    /// The shards of a project's meter this month.
    pub async fn shards(&self, project: &Project) -> Vec<Shard> {
        let shards = self.stores.table.shards(&project.id, &self.clock.now().month()).await;
        shards.expect("the meter is read").into_iter().flatten().collect()
    }

    /// Micro-dollars spent and held over all shards.
    pub async fn books(&self, project: &Project) -> (u64, u64) {
        let shards = self.shards(project).await;
        (shards.iter().map(|shard| shard.spent.0).sum(), shards.iter().map(|shard| shard.held().0).sum())
    }
}

/// Every route of an instance.
pub fn router_of(gateway: &Deps) -> Router {
    stack(local::routes(gateway))
}
