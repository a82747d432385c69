//! A client: it sends requests to instances of the service, hangs up when it likes, and sees connections break.

use std::hash::{DefaultHasher, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tower::ServiceExt as _;

use crate::deployment::Deployment;
use crate::exchanges::{Exchange, ExchangeEnd};
use crate::invariants::messages;
use crate::load::messages::PATH as MESSAGES;
use crate::load::prompt::{self, Origin};
use crate::load::runs;
use crate::observations::{KeyedRequest, Tenant};
use crate::reply::{Reply, receive, record_keyed_reply};

/// The number of instances that serve requests.
const INSTANCES: u32 = 3;
/// Attempts of one call: three rounds over two targets.
const MAX_ATTEMPTS: u64 = 6;
/// The time for which a process may accept a key after its revocation.
const KEY_CACHE_MS: u64 = 30_000;
/// The longest time that a client waits for an answer.
const TIMEOUT: Duration = Duration::from_secs(100);

const RETRY_COUNT: &str = "x-stainless-retry-count";

pub(crate) struct Client {
    pub(crate) deployment: Arc<Deployment>,
    /// The number of the operation that it runs.
    pub(crate) operation: usize,
    pub(crate) rng: StdRng,
    /// Whether its calls belong to runs, whose budgets may be spent.
    pub(crate) names_runs: bool,
}

/// A request to the API.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) bearer: String,
    /// It sends its key as `x-api-key` and not as a bearer.
    pub(crate) names_api_key: bool,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
    /// The time after which the client hangs up, if it does.
    pub(crate) hangs_up_after: Option<Duration>,
}

impl Request {
    /// Returns an empty request with the trace context of a tenant.
    #[must_use]
    pub(crate) fn of_tenant(tenant: usize, has_stored_events: bool) -> Self {
        Self::of(Origin { tenant, has_stored_events, is_job: false })
    }

    /// Returns an empty request for a background response of a tenant.
    #[must_use]
    pub(crate) fn of_job(tenant: usize) -> Self {
        Self::of(Origin { tenant, has_stored_events: true, is_job: true })
    }

    fn of(origin: Origin) -> Self {
        Self { headers: vec![("traceparent", origin.traceparent())], ..Self::default() }
    }

    /// The header with the key, if the client sends one.
    fn key_header(&self) -> Option<(&'static str, String)> {
        let header = match self.names_api_key {
            true => ("x-api-key", self.bearer.clone()),
            false => ("authorization", format!("Bearer {}", self.bearer)),
        };
        (!self.bearer.is_empty()).then_some(header)
    }
}

impl Client {
    /// Returns the client of an invariant. Each invariant has a `number` of its own.
    #[must_use]
    pub(crate) fn of_invariant(deployment: &Arc<Deployment>, number: u64) -> Self {
        let rng = deployment.sim.seed.rng("invariant", number);
        Self { deployment: Arc::clone(deployment), operation: 0, rng, names_runs: false }
    }

    /// Sends a request to any instance. Returns `None` if the connection broke or the client hung up before the answer
    /// began.
    pub(crate) async fn send(&mut self, request: &Request) -> Option<Reply> {
        let instance = self.rng.random_range(0..INSTANCES);
        self.send_to(instance, request).await
    }

    /// Sends a request to one instance. See [`Client::send`].
    pub(crate) async fn send_to(&mut self, instance: u32, request: &Request) -> Option<Reply> {
        self.note_if_counted(request);
        let process = self.deployment.process(&format!("web-{instance}"));
        let mut built = http::Request::builder().method(request.method).uri(&request.path);
        if !request.headers.iter().any(|(name, _)| *name == "content-type") {
            built = built.header("content-type", "application/json");
        }
        if let Some((name, value)) = request.key_header() {
            built = built.header(name, value);
        }
        if request.path == MESSAGES {
            built = built.header("anthropic-version", "2023-06-01");
        }
        if let Some(run) = runs::run_of(&request.body).filter(|_| self.names_runs) {
            built = built.header("x-weir-run", run);
        }
        for (name, value) in &request.headers {
            built = built.header(*name, value);
        }
        let built = built.body(Body::from(request.body.clone())).ok()?;
        let mut reply = None;
        let timeout = request.hangs_up_after.unwrap_or(TIMEOUT);
        tokio::select! {
            biased;
            () = process.handle.wait_for_death() => {}
            () = tokio::time::sleep(timeout) => {}
            () = receive(instance, process.router.clone().oneshot(built), &mut reply) => {}
        }
        self.note(request, &process.handle.name, reply.as_ref());
        reply
    }

    /// Returns another client of the same operation.
    #[must_use]
    pub(crate) fn fork(&mut self) -> Self {
        let rng = StdRng::seed_from_u64(self.rng.random());
        Self { deployment: Arc::clone(&self.deployment), operation: self.operation, rng, names_runs: self.names_runs }
    }

    /// Sends a request of a tenant and records the exchange.
    pub(crate) async fn exchange(&mut self, tenant: usize, request: &Request) -> Option<Reply> {
        let sim = Arc::clone(&self.deployment.sim);
        let index = sim.observed().begin_exchange(Exchange { tenant, started: sim.clock.now(), end: None });
        let reply = self.send(request).await;
        sim.observed().end_exchange(index, ExchangeEnd::new(sim.clock.now(), reply.as_ref()));
        reply
    }

    /// Returns the key of a tenant that is never revoked.
    #[must_use]
    pub(crate) fn permanent_key(&self, project: usize) -> String {
        self.deployment.sim.observed().tenants[project].keys[0].0.clone()
    }

    /// Draws one of a tenant's keys, revoked ones included, and returns its index.
    fn draw_key(&mut self, project: usize) -> usize {
        let keys = self.deployment.sim.observed().tenants[project].keys.len();
        self.rng.random_range(0..keys)
    }

    /// Draws one of a tenant's background responses.
    pub(crate) fn draw_job(&mut self, project: usize) -> Option<String> {
        let jobs = self.deployment.sim.observed().jobs(project);
        (!jobs.is_empty()).then(|| jobs[self.rng.random_range(0..jobs.len())].clone())
    }

    /// Makes a model call, and repeats it while it fails, with the same idempotency key if it has one. Returns the last
    /// answer. `output` is the most tokens of output that all its runs can use.
    pub(crate) async fn call_until_answered(
        &mut self,
        project: usize,
        mut request: Request,
        keyed: Option<KeyedRequest>,
        output: u64,
        tries: u32,
    ) -> Option<Reply> {
        request.headers.extend(keyed.iter().map(|keyed| ("idempotency-key", keyed.key.clone())));
        let mut last = None;
        for tried in 0..tries {
            request.headers.retain(|(name, _)| *name != RETRY_COUNT);
            request.headers.push((RETRY_COUNT, tried.to_string()));
            let key = self.draw_key(project);
            last = self.call_model(project, key, &mut request, output).await;
            if let (Some(keyed), Some(reply)) = (&keyed, &last) {
                record_keyed_reply(&mut self.deployment.sim.observed(), keyed, reply, false);
            }
            if last.as_ref().is_some_and(|reply| reply.is_whole && reply.status < 429) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(self.rng.random_range(100..8_000))).await;
        }
        last
    }

    /// Makes a model call with one of the tenant's keys, and checks the answer against the promises.
    pub(crate) async fn call_model(
        &mut self,
        project: usize,
        key: usize,
        request: &mut Request,
        output: u64,
    ) -> Option<Reply> {
        let once = prompt::cost(5 * (request.body.len() as u64 + prompt::MARGIN), output);
        let started = self.deployment.sim.clock.now();
        {
            let mut observed = self.deployment.sim.observed();
            // Without a budget, each attempt that may be billed is charged.
            let has_budget = observed.tenants[project].project.limits.budget.is_some();
            observed.upper_bounds.push((project, if has_budget { once } else { MAX_ATTEMPTS * once }));
            request.bearer = observed.tenants[project].keys[key].0.clone();
        }
        let reply = self.exchange(project, request).await;
        let only_harmless = self.deployment.sim.scenario.only_harmless;
        let mut observed = self.deployment.sim.observed();
        if reply.as_ref().is_some_and(|reply| prompt::names_another_tenant(project, &reply.body)) {
            observed.violation("tenancy", format!("tenant {project} got the answer of another"));
        }
        if let Some(reply) = reply.as_ref().filter(|_| request.path == MESSAGES) {
            messages::check(&mut observed, project, reply);
        }
        let revoked = observed.tenants[project].revoked.get(&key).copied();
        let is_ok = reply.as_ref().is_some_and(|reply| reply.status == 200);
        if is_ok && revoked.is_some_and(|revoked| revoked.until(started) > KEY_CACHE_MS) {
            observed.violation("keys", format!("tenant {project}: a key was used half a minute after it was revoked"));
        }
        let is_answered = reply.as_ref().is_some_and(|reply| reply.status != 500);
        if only_harmless && request.hangs_up_after.is_none() && !is_answered {
            let status = reply.as_ref().map(|reply| reply.status);
            observed.violation("answers", format!("tenant {project}: nothing failed, and the answer is {status:?}"));
        }
        reply
    }

    /// Repeats a request until its answer is 200 or 404, and returns that answer. Returns `None` after ten attempts.
    pub(crate) async fn confirm(&mut self, request: &Request) -> Option<Reply> {
        for _ in 0..10 {
            let reply = self.send(request).await.filter(|reply| matches!(reply.status, 200 | 404));
            if reply.is_some() {
                return reply;
            }
            tokio::time::sleep(Duration::from_millis(self.rng.random_range(100..4_000))).await;
        }
        None
    }

    /// Notes a request that counts against the requests per minute and calls no model.
    fn note_if_counted(&self, request: &Request) {
        const COUNTED: [&str; 5] =
            ["/v1/conversations", "/v1/files", "/v1/uploads", "/v1/batches", "/v1/vector_stores"];
        if request.method != "POST" || !COUNTED.iter().any(|path| request.path.starts_with(path)) {
            return;
        }
        let now = self.deployment.sim.clock.now();
        let mut observed = self.deployment.sim.observed();
        let has_key = |tenant: &Tenant| tenant.keys.iter().any(|(key, _)| *key == request.bearer);
        if let Some(tenant) = observed.tenants.iter().position(has_key) {
            observed.counted_requests.push((tenant, now));
        }
    }

    fn note(&self, request: &Request, process: &str, reply: Option<&Reply>) {
        let (operation, Request { method, path, .. }) = (self.operation, request);
        let trace = &self.deployment.sim.trace;
        match reply {
            None => trace.note(format_args!("op {operation} {method} {path} at {process}: no answer")),
            Some(Reply { status, body, is_whole, .. }) => {
                let mut hasher = DefaultHasher::new();
                hasher.write(body);
                let (hash, length) = (hasher.finish(), body.len());
                let cut = if *is_whole { "" } else { ", cut" };
                trace.note(format_args!(
                    "op {operation} {method} {path} at {process}: {status}, {length} bytes {hash:016x}{cut}"
                ));
            }
        }
    }
}
