//! A client: sends to some process of the fleet, waits as long as it likes, sees connections break.

use std::hash::{DefaultHasher, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Request};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::deployment::Deployment;
use crate::ledger::{KeyedReply, KeyedRequest, Ledger};
use crate::load::prompt;

/// Processes that serve requests.
const FLEET: u32 = 3;
/// A process may remember a key for so long.
const REMEMBERED_MS: u64 = 30_000;
/// No client waits longer.
const PATIENCE: Duration = Duration::from_secs(100);

pub(crate) struct Client {
    pub(crate) deployment: Arc<Deployment>,
    /// The number of its operation.
    pub(crate) operation: usize,
    pub(crate) rng: StdRng,
}

/// A request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) bearer: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
    /// When the client hangs up.
    pub(crate) patience: Option<Duration>,
}

impl Ask {
    /// A model call of a tenant.
    #[must_use]
    pub(crate) fn of_tenant(tenant: usize, is_written: bool) -> Self {
        Self { headers: vec![("traceparent", prompt::traceparent(tenant, is_written))], ..Self::default() }
    }
}

/// What came of a request.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    /// Which process of the fleet answered.
    pub(crate) place: u32,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The body came to its end.
    pub(crate) is_whole: bool,
}

impl Reply {
    /// A whole answer of success.
    #[must_use]
    pub(crate) fn is_ok(&self) -> bool {
        self.is_whole && self.status == 200
    }

    #[must_use]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    #[must_use]
    pub(crate) fn is_replay(&self) -> bool {
        self.headers.get("idempotent-replayed").is_some_and(|value| value == "true")
    }
}

impl Client {
    /// Sends a request; `None` if the connection broke or the client hung up before an answer began.
    pub(crate) async fn send(&mut self, ask: &Ask) -> Option<Reply> {
        let place = self.rng.random_range(0..FLEET);
        self.send_to(place, ask).await
    }

    /// As [`Client::send`], to a process that was chosen.
    pub(crate) async fn send_to(&mut self, place: u32, ask: &Ask) -> Option<Reply> {
        let process = self.deployment.process(&format!("web-{place}"));
        let mut request =
            Request::builder().method(ask.method).uri(&ask.path).header("content-type", "application/json");
        if !ask.bearer.is_empty() {
            request = request.header("authorization", format!("Bearer {}", ask.bearer));
        }
        for (name, value) in &ask.headers {
            request = request.header(*name, value);
        }
        let request = request.body(Body::from(ask.body.clone())).ok()?;
        let mut reply = None;
        let patience = ask.patience.unwrap_or(PATIENCE);
        tokio::select! {
            biased;
            () = process.life.ended() => {}
            () = tokio::time::sleep(patience) => {}
            () = receive(place, process.router.clone().oneshot(request), &mut reply) => {}
        }
        self.note(ask, &process.life.name, reply.as_ref());
        reply
    }

    /// A key of a project that is never revoked.
    #[must_use]
    pub(crate) fn own_key(&self, project: usize) -> String {
        self.deployment.sim.ledger().tenants[project].keys[0].0.clone()
    }

    /// Any of a project's keys, also one that was revoked: its place among them.
    fn some_key(&mut self, project: usize) -> usize {
        let keys = self.deployment.sim.ledger().tenants[project].keys.len();
        self.rng.random_range(0..keys)
    }

    /// A background response of a project that somebody knows.
    pub(crate) fn some_job(&mut self, project: usize) -> Option<String> {
        let jobs = self.deployment.sim.ledger().jobs(project);
        (!jobs.is_empty()).then(|| jobs[self.rng.random_range(0..jobs.len())].clone())
    }

    /// Makes a model call, again if it did not succeed, under the same idempotency key if it has one. The last answer.
    /// `output` is the most tokens that it can lead to.
    pub(crate) async fn insist(
        &mut self,
        project: usize,
        mut ask: Ask,
        keyed: Option<KeyedRequest>,
        output: u64,
        tries: u32,
    ) -> Option<Reply> {
        ask.headers.extend(keyed.iter().map(|keyed| ("idempotency-key", keyed.key.clone())));
        let mut last = None;
        for tried in 0..tries {
            ask.headers.retain(|(name, _)| *name != RETRY_COUNT);
            ask.headers.push((RETRY_COUNT, tried.to_string()));
            let key = self.some_key(project);
            last = self.call(project, key, &mut ask, output).await;
            if let (Some(keyed), Some(reply)) = (&keyed, &last) {
                keep(&mut self.deployment.sim.ledger(), keyed, reply, false);
            }
            if last.as_ref().is_some_and(|reply| reply.is_whole && reply.status < 429) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(self.rng.random_range(100..8_000))).await;
        }
        last
    }

    /// Makes a model call with one of the project's keys, and looks at what comes of it.
    pub(crate) async fn call(&mut self, project: usize, key: usize, ask: &mut Ask, output: u64) -> Option<Reply> {
        let most = prompt::cost(5 * (ask.body.len() as u64 + prompt::MARGIN), output);
        let begun = self.deployment.sim.clock.now();
        {
            let mut ledger = self.deployment.sim.ledger();
            ledger.asked.push((project, most));
            ask.bearer = ledger.tenants[project].keys[key].0.clone();
        }
        let reply = self.send(ask).await;
        let is_calm = self.deployment.sim.weather.is_calm;
        let mut ledger = self.deployment.sim.ledger();
        if reply.as_ref().is_some_and(|reply| prompt::is_for_another(project, &reply.body)) {
            ledger.violation("tenancy", format!("tenant {project} got the answer of another"));
        }
        let revoked = ledger.tenants[project].revoked.get(&key).copied();
        let is_ok = reply.as_ref().is_some_and(|reply| reply.status == 200);
        if is_ok && revoked.is_some_and(|revoked| revoked.until(begun) > REMEMBERED_MS) {
            ledger.violation("keys", format!("tenant {project}: a key was used half a minute after it was revoked"));
        }
        let is_answered = reply.as_ref().is_some_and(|reply| reply.status != 500);
        if is_calm && ask.patience.is_none() && !is_answered {
            let status = reply.as_ref().map(|reply| reply.status);
            ledger.violation("answers", format!("tenant {project}: nothing failed, and the answer is {status:?}"));
        }
        reply
    }

    /// Does what must be done, until it is. `false` if it never was.
    pub(crate) async fn until_done(&mut self, ask: &Ask) -> bool {
        self.confirmation(ask).await.is_some()
    }

    /// As [`Client::until_done`]: the answer that said so.
    pub(crate) async fn confirmation(&mut self, ask: &Ask) -> Option<Reply> {
        for _ in 0..10 {
            let reply = self.send(ask).await.filter(|reply| matches!(reply.status, 200 | 404));
            if reply.is_some() {
                return reply;
            }
            tokio::time::sleep(Duration::from_millis(self.rng.random_range(100..4_000))).await;
        }
        None
    }

    fn note(&self, ask: &Ask, process: &str, reply: Option<&Reply>) {
        let (operation, Ask { method, path, .. }) = (self.operation, ask);
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

const RETRY_COUNT: &str = "x-stainless-retry-count";

/// Writes down a success under a key, if it came whole.
pub(crate) fn keep(ledger: &mut Ledger, keyed: &KeyedRequest, reply: &Reply, is_last_word: bool) {
    let is_stream =
        reply.headers.get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    let is_complete = !is_stream || ends_well(&reply.body);
    if reply.is_ok() && is_complete {
        let replies = ledger.keyed.entry(keyed.clone()).or_default();
        replies.push(KeyedReply { is_replay: reply.is_replay(), is_last_word, body: reply.body.clone() });
    }
}

/// Whether a stream came to its proper end.
fn ends_well(body: &[u8]) -> bool {
    let tail = String::from_utf8_lossy(body);
    let last = tail.trim_end().rsplit("\n\n").next().unwrap_or_default();
    last == "data: [DONE]" || last.starts_with("event: response.completed")
}

/// Fills `reply` as it comes, so that what came before an end is there.
async fn receive(
    place: u32,
    answer: impl Future<Output = Result<axum::response::Response, std::convert::Infallible>>,
    reply: &mut Option<Reply>,
) {
    let Ok(answer) = answer.await;
    let (parts, mut body) = answer.into_parts();
    let (status, headers) = (parts.status.as_u16(), parts.headers);
    let reply = reply.insert(Reply { place, status, headers, body: Bytes::new(), is_whole: false });
    let mut came = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return };
        if let Some(data) = frame.data_ref() {
            came.extend_from_slice(data);
            reply.body = Bytes::copy_from_slice(&came);
        }
    }
    reply.is_whole = true;
}
