//! The whole service on embedded stores, with scripted providers and a clock that tests set.

use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use axum::Router;
use embedded::{BUCKET, Engines, Place, Sqs, TABLE, queue_url};
use outbound::{Options, Outbound};
use shared::app::{Components, Models, Providers, ServedModels};
use shared::data::{Bucket, QueueUrls, Queues, Stores, Table};
use shared::edge::config::HttpConfig;
use shared::edge::stack;
use shared::model::catalog::Catalog;
use shared::model::clock::Clock;
use shared::model::key_check::KeyCheck;
use shared::model::key_rights::AddressRange;
use shared::model::key_text::ApiKeySecret;
use shared::model::keys::FixedKey;
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

/// The secret of the checks of keys in every [`TestApp`], so that a key can be made without asking the table.
#[must_use]
pub fn key_check() -> KeyCheck {
    KeyCheck::from_stored("the check of tests")
}

/// A key for a project of a [`TestApp`]; [`TestApp::provision_key`] makes it valid.
#[must_use]
pub fn new_key(project_id: &str) -> ApiKeySecret {
    ApiKeySecret::generate(project_id, &key_check())
}

/// One model per case: priced, unpriced, with a fallback, and for embeddings, moderations, images and sound.
const CATALOG: &str = r#"
[vector_stores]
embedding_models = ["embedding"]

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

[[model]]
name = "image"
kind = "image"
price = { per_image = 0.04 }
targets = [{ provider = "first", model = "image-1" }]

[[model]]
name = "speech"
kind = "speech"
price = { per_million_characters = 15.0 }
targets = [{ provider = "first", model = "speech-1" }]

[[model]]
name = "transcription"
kind = "transcription"
price = { per_minute = 0.006 }
max_seconds = 1500
targets = [{ provider = "first", model = "transcription-1" }]
"#;

/// The settings of a [`TestApp`].
pub struct TestAppBuilder {
    clock: Clock,
    latency: Duration,
    troubles_bucket: bool,
    catalog: Arc<Catalog>,
    providers: Option<Providers>,
    receivers: Options,
    admin_key: Secret,
}

impl TestAppBuilder {
    /// Without it, a manual clock at [`START_MS`].
    #[must_use]
    pub fn clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Sets the time that each call of the table and of a queue takes.
    #[must_use]
    pub fn store_latency(self, latency: Duration) -> Self {
        Self { latency, ..self }
    }

    /// The bucket takes time and has faults, too, as calls with an empty name.
    #[must_use]
    pub fn troubled_bucket(self) -> Self {
        Self { troubles_bucket: true, ..self }
    }

    /// Without it, the models `priced`, `unpriced`, `two-targets`, `embedding`, `moderation`, `image`, `speech` and
    /// `transcription`.
    #[must_use]
    pub fn models(self, catalog: Arc<Catalog>) -> Self {
        Self { catalog, ..self }
    }

    /// The models of the default with this rule for attempts that end without a usage: see `unreported` of a provider.
    #[must_use]
    pub fn unreported(self, rule: &str) -> Self {
        let simulator = "kind = \"simulator\"";
        let text = CATALOG.replace(simulator, &format!("{simulator}\nunreported = \"{rule}\""));
        self.models(Arc::new(Catalog::parse(&text).expect("the rule is known")))
    }

    /// Without it, the scripted providers `first` and `second`.
    #[must_use]
    pub fn providers(self, providers: Providers) -> Self {
        Self { providers: Some(providers), ..self }
    }

    /// Without it, receivers on this machine are allowed.
    #[must_use]
    pub fn receivers(self, receivers: Options) -> Self {
        Self { receivers, ..self }
    }

    /// Without it, [`ADMIN_KEY`].
    #[must_use]
    pub fn admin_key(self, key: &str) -> Self {
        Self { admin_key: Secret::new(key), ..self }
    }

    pub async fn build(self) -> TestApp {
        let Self { clock, latency, troubles_bucket, catalog, providers, receivers, admin_key } = self;
        let time = clock.clone();
        let engines = Engines::open(&Place::Memory, Arc::new(move || time.now().0)).expect("embedded stores open");
        let (faults, log) = (Faults::default(), StoreLog::default());
        let instrumented = |inner: SharedHttpConnector| {
            let (faults, log) = (faults.clone(), log.clone());
            SharedHttpConnector::new(Instrumented { inner, faults, log, latency })
        };
        let connectors = Connectors {
            dynamo: instrumented(engines.dynamo.clone()),
            s3: if troubles_bucket { instrumented(engines.s3.clone()) } else { engines.s3.clone() },
            sqs: instrumented(engines.sqs.connector()),
        };
        let dynamo = embedded::dynamo_client(connectors.dynamo.clone());
        let stores = connectors.stores(|connector| connector);
        let made = stores.key_checks().create(&key_check()).await;
        assert!(made.expect("the table is written").is_written(), "the table is new");
        let first = ScriptedProvider::new(Script::answer("Hello there.", 10, 5));
        let second = ScriptedProvider::new(Script::answer("From the second.", 10, 5));
        let scripted = || {
            let provider = |name: &str, provider: &Arc<ScriptedProvider>| {
                (name.to_owned(), Arc::clone(provider) as Arc<dyn Provider>)
            };
            Providers::from([provider("first", &first), provider("second", &second)])
        };
        let names = Names::default();
        TestApp {
            models: Arc::new(Models::fixed(ServedModels {
                catalog: Arc::unwrap_or_clone(catalog),
                providers: providers.unwrap_or_else(scripted),
            })),
            receivers: Arc::new(Outbound::with_resolver(Arc::new(names.clone()), receivers)),
            queues: engines.sqs.clone(),
            calls: AwsCalls::default(),
            engines,
            connectors,
            dynamo,
            stores,
            first,
            second,
            admin_key,
            clock,
            faults,
            log,
            names,
        }
    }
}

/// The connectors of SDK clients to the stores of an app, with its faults.
#[derive(Clone)]
pub struct Connectors {
    pub dynamo: SharedHttpConnector,
    pub s3: SharedHttpConnector,
    pub sqs: SharedHttpConnector,
}

impl Connectors {
    /// The stores, each behind a connector that `wrap` makes.
    fn stores(&self, wrap: impl Fn(SharedHttpConnector) -> SharedHttpConnector) -> Stores {
        let urls = QueueUrls {
            respond: Some(queue_url("respond")),
            deliver: Some(queue_url("deliver")),
            batch: Some(queue_url("batch")),
            ingest: Some(queue_url("ingest")),
            respond_dead_letters: Some(queue_url("respond-dead-letters")),
            deliver_dead_letters: Some(queue_url("deliver-dead-letters")),
            batch_dead_letters: Some(queue_url("batch-dead-letters")),
            ingest_dead_letters: Some(queue_url("ingest-dead-letters")),
        };
        Stores {
            table: Table::new(embedded::dynamo_client(wrap(self.dynamo.clone())), TABLE),
            bucket: Bucket::new(embedded::s3_client(wrap(self.s3.clone())), BUCKET),
            queues: Queues::new(embedded::sqs_client(wrap(self.sqs.clone())), urls),
        }
    }
}

/// A deployment: stores, models and providers. [`TestApp::instance`] starts a process of it.
pub struct TestApp {
    #[expect(dead_code, reason = "the stores live as long as the engines")]
    engines: Engines,
    connectors: Connectors,
    pub(crate) dynamo: aws_sdk_dynamodb::Client,
    pub stores: Stores,
    /// The queues as the platform sees them: on the clock of this app, and without faults.
    pub queues: Sqs,
    /// The provider of most models.
    pub first: Arc<ScriptedProvider>,
    /// The provider that `two-targets` falls back to.
    pub second: Arc<ScriptedProvider>,
    models: Arc<Models>,
    admin_key: Secret,
    pub clock: Clock,
    pub faults: Faults,
    pub log: StoreLog,
    /// The calls of AWS that instances of single functions made.
    pub calls: AwsCalls,
    /// The names of webhook receivers, and their addresses.
    pub names: Names,
    receivers: Arc<dyn Receivers>,
}

impl TestApp {
    #[must_use]
    pub fn builder() -> TestAppBuilder {
        TestAppBuilder {
            clock: Clock::manual(START_MS),
            latency: Duration::ZERO,
            troubles_bucket: false,
            catalog: Arc::new(Catalog::parse(CATALOG).expect("the catalog is right")),
            providers: None,
            receivers: Options { permit_loopback: true, ..Options::default() },
            admin_key: Secret::new(ADMIN_KEY),
        }
    }

    pub async fn new() -> Self {
        Self::builder().build().await
    }

    /// An instance: a process that has just started.
    #[must_use]
    pub fn instance(&self) -> Components {
        self.instance_on(self.stores.clone())
    }

    /// An instance that reaches webhook endpoints another way.
    #[must_use]
    pub fn instance_with_receivers(&self, receivers: Arc<dyn Receivers>) -> Components {
        self.instance().receivers(receivers)
    }

    /// An instance of one function of the deployment. [`TestApp::calls`] has its calls under its name.
    #[must_use]
    pub fn instance_of(&self, function: &str) -> Components {
        self.instance_on(self.connectors.stores(|connector| self.calls.of(function, connector)))
    }

    /// An instance whose bucket no client reaches, as that of `weir serve`.
    #[must_use]
    pub fn instance_with_embedded_bucket(&self) -> Components {
        let s3 = embedded::s3_client(self.connectors.s3.clone());
        self.instance_on(Stores { bucket: Bucket::embedded(s3, BUCKET), ..self.stores.clone() })
    }

    /// An instance whose use of the stores is added to `consumed`.
    #[must_use]
    pub fn instance_metered(&self, consumed: &Consumed) -> Components {
        self.instance_on(self.connectors.stores(|connector| consumed.of(connector)))
    }

    /// An instance whose admin API is reachable from these addresses only.
    #[must_use]
    pub fn instance_reachable_from(&self, addresses: Vec<AddressRange>) -> Components {
        let (keys, source) = FixedKey::with_source(self.admin_key.clone());
        self.instance().admin_key(keys, source, Some(addresses))
    }

    fn instance_on(&self, stores: Stores) -> Components {
        let (keys, source) = FixedKey::with_source(self.admin_key.clone());
        Components::new(stores, self.clock.clone())
            .serving(Arc::clone(&self.models))
            .receivers(Arc::clone(&self.receivers))
            .admin_key(keys, source, None)
    }

    /// The way to webhook receivers, by the names of this app.
    #[must_use]
    pub fn receivers(&self, options: Options) -> Arc<dyn Receivers> {
        Arc::new(Outbound::with_resolver(Arc::new(self.names.clone()), options))
    }

    /// For stores that are reached another way than through [`TestApp::stores`].
    #[must_use]
    pub fn connectors(&self) -> Connectors {
        self.connectors.clone()
    }

    /// Every route of a new instance.
    pub fn router(&self) -> Router {
        router_of(&self.instance())
    }
}

/// Every route of an instance.
pub fn router_of(instance: &Components) -> Router {
    router_with(instance, &HttpConfig::default())
}

/// Every route of an instance, with these settings.
pub fn router_with(instance: &Components, http: &HttpConfig) -> Router {
    stack(local::routes(instance), http)
}
