//! The stores of one run, the processes that work on them, and the tenants.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use embedded::{Engines, Place, queue_url};
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::json;
use shared::data::{Bucket, QueueUrls, Queues, Stores, Table, create_table};
use shared::model::catalog::Catalog;
use shared::model::id;
use shared::model::money::MicroUsd;
use shared::model::project::{ApiKey, ApiKeySecret, Limits, Policy, Project};

use crate::ledger::{Budget, Endpoint, Tenant};
use crate::load::prompt;
use crate::process::Process;
use crate::sim::{Sim, locked};

/// A cent and two cents a token, so that costs can be counted by hand: see [`prompt::PRICE`].
const CATALOG: &str = r#"
[[provider]]
name = "first"
kind = "simulator"
[[provider]]
name = "second"
kind = "simulator"

[[model]]
name = "chat"
kind = "chat"
price = { input = 10000.0, output = 20000.0 }
context_tokens = 128000
max_output_tokens = 400
targets = [
    { provider = "first", model = "a", weight = 3, timeouts = { first_byte_ms = 2000, idle_ms = 2000, total_ms = 70000 } },
    { provider = "second", model = "b", weight = 1, timeouts = { first_byte_ms = 2000, idle_ms = 2000, total_ms = 70000 } },
]

[[model]]
name = "embedding"
kind = "embedding"
price = { input = 10000.0 }
context_tokens = 8000
targets = [{ provider = "first", model = "e", timeouts = { first_byte_ms = 2000, total_ms = 20000 } }]
"#;

#[expect(clippy::expect_used, reason = "the catalog is above")]
pub(crate) fn catalog() -> Arc<Catalog> {
    static PARSED: OnceLock<Arc<Catalog>> = OnceLock::new();
    Arc::clone(PARSED.get_or_init(|| Arc::new(Catalog::parse(CATALOG).expect("the catalog can be read"))))
}

pub(crate) fn queue_urls() -> QueueUrls {
    QueueUrls {
        respond: Some(queue_url("respond")),
        deliver: Some(queue_url("deliver")),
        respond_dead_letters: Some(queue_url("respond-dead-letters")),
        deliver_dead_letters: Some(queue_url("deliver-dead-letters")),
    }
}

pub(crate) struct Deployment {
    pub(crate) sim: Arc<Sim>,
    pub(crate) engines: Engines,
    /// The stores as nobody disturbs them: for those who check.
    pub(crate) stores: Stores,
    pub(crate) dynamo: aws_sdk_dynamodb::Client,
    /// The living process of each role, and how many there were before it.
    processes: Mutex<BTreeMap<String, (u32, Process)>>,
}

pub(crate) const TENANTS: usize = 3;

impl Deployment {
    /// Opens empty stores.
    #[expect(clippy::expect_used, reason = "a simulation without its stores says nothing")]
    pub(crate) async fn open(sim: &Arc<Sim>) -> Arc<Self> {
        let clock = sim.clock.clone();
        let engines = Engines::open(&Place::Memory, Arc::new(move || clock.now().0)).expect("the stores open");
        let dynamo = embedded::dynamo_client(engines.dynamo.clone());
        create_table(&dynamo, "weir").await.expect("the table is created");
        let bucket = Bucket::new(embedded::s3_client(engines.s3.clone()), "weir");
        bucket.create().await.expect("the bucket is created");
        let queues = Queues::new(embedded::sqs_client(engines.sqs.connector()), queue_urls());
        let stores = Stores { table: Table::new(dynamo.clone(), "weir"), bucket, queues };
        Arc::new(Self { sim: Arc::clone(sim), engines, stores, dynamo, processes: Mutex::default() })
    }

    /// The process of a role; another one if it has died.
    pub(crate) fn process(&self, role: &str) -> Process {
        let mut processes = locked(&self.processes);
        let before = match processes.get(role) {
            Some((_, process)) if !process.life.is_over() => return process.clone(),
            Some((before, _)) => before + 1,
            None => 0,
        };
        let process = Process::start(self, format!("{role}.{before}"));
        processes.insert(role.to_owned(), (before, process.clone()));
        process
    }

    /// Makes the tenants: with tight budgets, some with rate limits or a cache, with two webhook endpoints each.
    pub(crate) async fn settle_in(&self) {
        for n in 0..TENANTS {
            let tenant = self.tenant(n).await;
            self.sim.ledger().tenants.push(tenant);
        }
    }

    #[expect(clippy::expect_used, reason = "nothing fails before the faults begin")]
    async fn tenant(&self, n: usize) -> Tenant {
        let mut rng = self.sim.dice.at("tenant", n as u64);
        let project = Project {
            id: id::new("proj_"),
            name: format!("Tenant {n}"),
            created_at: self.sim.clock.now().seconds(),
            archived_at: None,
            limits: limits(&mut rng),
            revision: 1,
            policy: Policy {
                default_max_output_tokens: rng.random_bool(0.5).then_some(120),
                dedupe_retries: rng.random_bool(0.3),
                cache_ttl_seconds: rng.random_bool(0.5).then_some(600),
            },
        };
        self.stores.table.create_project(&project).await.expect("the project is created");
        let mut keys = Vec::new();
        for _ in 0..3 {
            let secret = ApiKeySecret::generate(&project.id);
            let key = ApiKey {
                id: id::new("key_"),
                hash: secret.hash(),
                project_id: project.id.clone(),
                name: "test".to_owned(),
                redacted_value: secret.redact(),
                created_at: project.created_at,
                service_account_id: id::new("svc_acct_"),
            };
            self.stores.table.create_api_key(&key).await.expect("the key is created");
            keys.push((secret.secret().expose().to_owned(), key.id));
        }
        let mut endpoints = Vec::new();
        for m in 0..2 {
            let dead = self.sim.weather.has_dead_receiver && (n, m) == (0, 0);
            let host = if dead { "dead".to_owned() } else { format!("receiver-{n}-{m}") };
            let events = ["response.completed", "response.failed", "response.incomplete", "response.cancelled"];
            let url = format!("https://{host}.example/");
            let body = json!({"url": url, "event_types": events});
            let id = self.made("/v1/webhook_endpoints", &keys[0].0, &body.to_string()).await;
            endpoints.push(Endpoint { id, url, is_untouched: true });
        }
        let conversation = self.made("/v1/conversations", &keys[0].0, "{}").await;
        let budget = Budget { in_force: Some(project.limits.budget.map(|budget| budget.0)), ..Budget::default() };
        Tenant { project, keys, revoked: BTreeMap::new(), endpoints, conversation, budget }
    }

    /// Makes something over the API and returns its id.
    async fn made(&self, path: &str, key: &str, body: &str) -> String {
        let router = self.process("web-0").router;
        let reply = kit::send(&router, "POST", path, key, &[], body.to_owned()).await;
        reply.json()["id"].as_str().unwrap_or_default().to_owned()
    }
}

fn limits(rng: &mut StdRng) -> Limits {
    Limits {
        requests_per_minute: rng.random_bool(0.2).then(|| rng.random_range(5..30)),
        tokens_per_minute: rng.random_bool(0.2).then(|| rng.random_range(2_000..10_000)),
        budget: match rng.random_range(0..10) {
            0 => None,
            1 => Some(MicroUsd(2_000_000 * prompt::PRICE)),
            _ => Some(MicroUsd(rng.random_range(1_500..9_000) * prompt::PRICE)),
        },
    }
}
