//! The deployment: the stores of one run, the processes that use them, and the tenants.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use embedded::{Engines, Place};
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::json;
use shared::model::catalog::Catalog;
use shared::model::id;
use shared::model::key_rights::KeyRights;
use shared::model::key_text::ApiKeySecret;
use shared::model::money::MicroUsd;
use shared::model::project::{ApiKey, Limits, Policy, Project};

use crate::inspector::Inspector;
use crate::load::{hostile, prompt};
use crate::observations::{Budget, Hostile, Tenant, TenantEndpoint};
use crate::process::Process;
use crate::seed::Seed;
use crate::sim::{Sim, lock};

/// One cent per token of input and two per token of output, so that a reader can check costs: see [`prompt::PRICE`].
const CATALOG: &str = r#"
[[provider]]
name = "first"
kind = "simulator"
[[provider]]
name = "second"
kind = "simulator"
[[provider]]
name = "third"
kind = "openai"
base_url = "http://third.example"

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
name = "batched"
kind = "chat"
batch = "native"
price = { input = 10000.0, output = 20000.0 }
context_tokens = 128000
max_output_tokens = 400
targets = [{ provider = "third", model = "t", timeouts = { first_byte_ms = 2000, total_ms = 20000 } }]

[[model]]
name = "embedding"
kind = "embedding"
price = { input = 10000.0 }
context_tokens = 8000
targets = [{ provider = "first", model = "e", timeouts = { first_byte_ms = 2000, total_ms = 20000 } }]

[[model]]
name = "slow"
kind = "chat"
price = { input = 10000.0, output = 20000.0 }
context_tokens = 128000
max_output_tokens = 400
targets = [{ provider = "first", model = "s", timeouts = { first_byte_ms = 120000, idle_ms = 2000, total_ms = 130000 } }]
"#;

/// The providers of the catalog.
pub(crate) const PROVIDERS: [&str; 3] = ["first", "second", "third"];

#[expect(clippy::expect_used, reason = "the text is above")]
pub(crate) fn catalog() -> Arc<Catalog> {
    static PARSED: OnceLock<Arc<Catalog>> = OnceLock::new();
    Arc::clone(PARSED.get_or_init(|| Arc::new(Catalog::parse(CATALOG).expect("the catalog can be read"))))
}

pub(crate) struct Deployment {
    pub(crate) sim: Arc<Sim>,
    pub(crate) engines: Engines,
    pub(crate) inspector: Inspector,
    /// For each role its latest process, and the number of processes before that one.
    processes: Mutex<BTreeMap<String, (u32, Process)>>,
}

pub(crate) const TENANTS: usize = 3;

impl Deployment {
    /// Opens empty stores.
    #[expect(clippy::expect_used, reason = "a simulation without its stores shows nothing")]
    pub(crate) async fn open(sim: &Arc<Sim>) -> Arc<Self> {
        let clock = sim.clock.clone();
        let engines = Engines::open(&Place::Memory, Arc::new(move || clock.now().0)).expect("the stores open");
        let inspector = Inspector::new(&engines, sim);
        Arc::new(Self { sim: Arc::clone(sim), engines, inspector, processes: Mutex::default() })
    }

    /// Returns the process of a role. Starts another one if that process is dead.
    pub(crate) fn process(&self, role: &str) -> Process {
        let mut processes = lock(&self.processes);
        let before = match processes.get(role) {
            Some((_, process)) if !process.handle.is_dead() => return process.clone(),
            Some((before, _)) => before + 1,
            None => 0,
        };
        let process = Process::start(self, format!("{role}.{before}"));
        processes.insert(role.to_owned(), (before, process.clone()));
        process
    }

    /// Creates the tenants, each with two webhook endpoints, most with a tight budget, some with rate limits or a
    /// cache. Two of the three keys of a tenant have limits of their own, and so have its runs.
    pub(crate) async fn create_tenants(&self) {
        for n in 0..TENANTS {
            let tenant = self.create_tenant(n).await;
            self.sim.observed().tenants.push(tenant);
        }
    }

    async fn create_tenant(&self, n: usize) -> Tenant {
        let mut rng = self.sim.seed.rng("tenant", n as u64);
        let project = Project {
            id: id::new("proj_"),
            name: format!("Tenant {n}"),
            created_at: self.sim.clock.now().seconds(),
            archived_at: None,
            purge: None,
            limits: draw_limits(&mut rng),
            revision: 1,
            policy: Policy {
                default_max_output_tokens: rng.random_bool(0.5).then_some(120),
                dedupe_retries: rng.random_bool(0.3),
                cache_ttl_seconds: rng.random_bool(0.5).then_some(600),
                concurrent_jobs: rng.random_bool(0.6).then(|| rng.random_range(1..4)),
                run_budget_usd: Some(MicroUsd(rng.random_range(500..4_000) * prompt::PRICE)),
                ..Policy::default()
            },
        };
        self.inspector.create_project(&project).await;
        let (mut keys, mut limited_keys) = (Vec::new(), Vec::new());
        // The first key, which is never revoked, has no limits of its own.
        let key_limits = vec![Limits::default(), draw_limits(&mut rng), draw_limits(&mut rng)];
        for limits in &key_limits {
            let (secret, key) = self.create_key(&project, *limits).await;
            if key.limits != Limits::default() {
                limited_keys.push(key.id.clone());
            }
            keys.push((secret, key.id));
        }
        let mut endpoints = Vec::new();
        for m in 0..2 {
            let is_dead = self.sim.scenario.has_dead_receiver && (n, m) == (0, 0);
            let host = if is_dead { "dead".to_owned() } else { format!("receiver-{n}-{m}") };
            let events = ["response.completed", "response.failed", "response.incomplete", "response.cancelled"];
            let url = format!("https://{host}.example/");
            let body = json!({"name": host, "url": url, "event_types": events});
            let id = self.create("/v1/webhook_endpoints", &keys[0].0, &body.to_string()).await;
            endpoints.push(TenantEndpoint { id, url, is_unchanged: true });
        }
        let conversation = self.create("/v1/conversations", &keys[0].0, "{}").await;
        let budget = Budget { in_force: Some(project.limits.budget.map(|budget| budget.0)), ..Budget::default() };
        Tenant { project, keys, limited_keys, key_limits, revoked: BTreeMap::new(), endpoints, conversation, budget }
    }

    /// Creates a key of a project. Returns its secret, too.
    async fn create_key(&self, project: &Project, limits: Limits) -> (String, ApiKey) {
        let secret = ApiKeySecret::generate(&project.id, &self.inspector.key_check().await);
        let key = ApiKey {
            id: id::new("key_"),
            hash: secret.hash(),
            project_id: project.id.clone(),
            name: "test".to_owned(),
            redacted_value: secret.redact(),
            created_at: project.created_at,
            service_account_id: id::new("svc_acct_"),
            limits,
            rights: KeyRights::default(),
            revision: 1,
        };
        self.inspector.create_api_key(&key).await;
        (secret.secret().expose().to_owned(), key)
    }

    /// Creates the hostile tenant, if the run has one. Without a budget, its calls try each target several times.
    pub(crate) async fn create_hostile(&self, seed: Seed) {
        if !hostile::is_in(seed) {
            return;
        }
        let project = Project {
            id: id::new("proj_"),
            name: "Hostile".to_owned(),
            created_at: self.sim.clock.now().seconds(),
            archived_at: None,
            purge: None,
            limits: Limits { concurrent_requests: Some(10), ..Limits::default() },
            revision: 1,
            policy: Policy { concurrent_jobs: Some(3), ..Policy::default() },
        };
        self.inspector.create_project(&project).await;
        let mut keys = Vec::new();
        for budget in [None, Some(MicroUsd(prompt::PRICE))] {
            keys.push(self.create_key(&project, Limits { budget, ..Limits::default() }).await.0);
        }
        self.sim.observed().hostile = Some(Hostile { project, keys });
    }

    /// Creates an object over the API and returns its id.
    async fn create(&self, path: &str, key: &str, body: &str) -> String {
        let router = self.process("web-0").router;
        let reply = kit::send(&router, "POST", path, key, &[], body.to_owned()).await;
        reply.json()["id"].as_str().unwrap_or_default().to_owned()
    }
}

fn draw_limits(rng: &mut StdRng) -> Limits {
    Limits {
        requests_per_minute: rng.random_bool(0.2).then(|| rng.random_range(5..30)),
        tokens_per_minute: rng.random_bool(0.2).then(|| rng.random_range(2_000..10_000)),
        concurrent_requests: rng.random_bool(0.2).then(|| rng.random_range(1..6)),
        budget: match rng.random_range(0..10) {
            0 => None,
            1 => Some(MicroUsd(2_000_000 * prompt::PRICE)),
            _ => Some(MicroUsd(rng.random_range(1_500..9_000) * prompt::PRICE)),
        },
    }
}
