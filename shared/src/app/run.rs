//! The request path of every model call: claim and admit, call the provider, answer, close the books.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::admission::{Ask, Ticket};
use super::answer::{Answer, CallMetadata, FinalUsage, ResponseSender};
use super::books::Account;
use super::bound;
use super::cache::{CacheControl, CachePlan};
use super::dispatch::{Begun, Dispatched, Order};
use super::error::{Error, RenderedError};
use super::gateway::Gateway;
use super::idempotency::{self, Decided, Followed, KeyPlan, finished, refused};
use super::stream::{self, StreamRelay};
use crate::data::{CacheEntry, Lease, Operation};
use crate::dialects::openai_chat::Body;
use crate::model::catalog::{Model, ModelKind};
use crate::model::clock::Timestamp;
use crate::model::invalid::Invalid;
use crate::model::money::MicroUsd;
use crate::model::project::Caller;
use crate::model::provider::{Endpoint, Whole};
use crate::model::tokens::{Bound, Price, Usage};

/// A model call as it came in, checked.
pub struct Request {
    pub endpoint: Endpoint,
    pub body: Body,
    pub cache_control: CacheControl,
    pub terms: CallOptions,
}

/// How a call is to be run: what the headers of its request say.
#[derive(Debug, Clone)]
pub struct CallOptions {
    pub idempotency_key: Option<String>,
    /// `x-stainless-retry-count`.
    pub retry_count: u32,
    /// When the function that serves the request is stopped; `None`: never.
    pub deadline: Option<Timestamp>,
    /// Writes an error as the caller would see it. For those who wait for this run.
    pub render_error: fn(&Error) -> RenderedError,
}

/// A call with everything decided that does not need a store.
pub(super) struct Job {
    pub(super) caller: Caller,
    pub(super) request: Request,
    pub(super) model: Model,
    pub(super) bound: Bound,
    pub(super) deadline: Instant,
    lease_until: Timestamp,
    key: Option<KeyPlan>,
    pub(super) cache: Option<CachePlan>,
    pub(super) begun_at: Instant,
}

impl Job {
    /// What is charged for `usage`; nothing for a model without a price.
    pub(super) fn cost(&self, usage: &Usage) -> MicroUsd {
        self.model.price.map_or(MicroUsd(0), |price: Price| price.cost(usage))
    }

    fn ask(&self) -> Ask<'_> {
        Ask {
            project: &self.caller.project,
            model: &self.model.name,
            amount: self.model.price.map_or(MicroUsd(0), |price| price.worst_case(&self.bound)),
            tokens: bound::expected_tokens(&self.bound, &self.request.body, &self.caller.project.policy),
            lease_until: self.lease_until,
            accountable: bound::can_be_accounted(&self.request.body, &self.model),
        }
    }
}

/// A call that may go to a provider.
pub(super) struct Running {
    pub(super) ticket: Ticket,
    pub(super) lease: Option<Lease>,
    pub(super) facts: CallMetadata,
}

/// Time kept back from the function's own deadline to close the books.
const CLOSING_MS: u64 = 3_000;
/// After the last moment that a call can run, before the sweeper takes it for dead.
const GRACE_MS: u64 = 60_000;

impl Gateway {
    /// Makes a call for a caller. The call runs to its end whether or not the caller waits for it.
    ///
    /// # Errors
    /// `UnknownModel`, `Unpriced`, `Refused`, `KeyReused`, `Provider`, `Repeated`, `Invalid`, `Internal`.
    pub async fn run(self: &Arc<Self>, caller: Caller, request: Request) -> Result<Answer, Error> {
        let job = self.prepare(caller, request)?;
        let (sender, answer) = ResponseSender::new(job.deadline);
        let gateway = Arc::clone(self);
        self.spawn(async move { Box::pin(gateway.work(job, sender)).await });
        answer.await.unwrap_or_else(|lost| Err(Error::internal("run the call")(lost)))
    }

    fn prepare(&self, caller: Caller, request: Request) -> Result<Job, Error> {
        let body = &request.body;
        let model = self.catalog.model(&body.model).ok_or_else(|| Error::UnknownModel(body.model.clone()))?.clone();
        fits(request.endpoint, &model)?;
        if caller.project.limits.budget.is_some() {
            bound::can_be_accounted(body, &model)?;
        }
        let now = self.clock.now();
        let longest = model.targets.iter().map(|target| target.timeouts.total).max().unwrap_or_default();
        let left = request
            .terms
            .deadline
            .map(|deadline| Duration::from_millis(now.until(deadline).saturating_sub(CLOSING_MS)));
        let allowed = left.map_or(longest, |left| left.min(longest));
        let fingerprint = || idempotency::fingerprint(&body.object);
        let key = request.terms.idempotency_key.as_deref();
        let allowed_ms = u64::try_from(allowed.as_millis()).unwrap_or(u64::MAX / 2);
        Ok(Job {
            bound: bound::bound(body, &model, &caller.project.policy),
            deadline: Instant::now() + allowed,
            lease_until: now.plus_ms(allowed_ms).plus_ms(GRACE_MS),
            key: KeyPlan::new(&caller.project, request.endpoint.path(), key, request.terms.retry_count, fingerprint),
            cache: CachePlan::new(&caller.project, request.cache_control, || {
                let request_text = idempotency::fingerprint(&body.object);
                crate::model::id::Fingerprint::of([
                    request.endpoint.path().as_bytes(),
                    request_text.as_str().as_bytes(),
                ])
            }),
            begun_at: Instant::now(),
            caller,
            model,
            request,
        })
    }

    /// Runs a call to its end; whatever happens, the caller gets an answer or an error and the hold is settled.
    async fn work(&self, job: Job, mut sender: ResponseSender) {
        loop {
            match self.start(&job).await {
                Err(error) => return sender.fail(error).await,
                Ok(Start::Run(running)) => {
                    let lease = running.lease.clone();
                    tokio::select! {
                        biased;
                        () = Box::pin(self.call(&job, running, sender)) => return,
                        never = self.keep(lease.as_ref()) => match never {},
                    }
                }
                Ok(Start::Cached(entry, running)) => return self.answer_cached(&job, entry, running, sender).await,
                Ok(Start::Follow(record, ticket)) => {
                    let Some(plan) = &job.key else { return };
                    let facts = CallMetadata {
                        replayed: true,
                        cost: Some(MicroUsd(0)),
                        model: job.model.name.clone(),
                        rates: ticket.as_ref().map(|ticket| ticket.rates).unwrap_or_default(),
                        ..CallMetadata::default()
                    };
                    let waiting = matches!(record.state, crate::data::RecordState::Running { .. });
                    if let Some(ticket) = ticket.as_ref().filter(|_| waiting) {
                        self.release(ticket).await; // Nothing is held while waiting.
                    }
                    let followed =
                        tokio::time::timeout_at(job.deadline, self.follow(plan, record, &mut sender, facts)).await;
                    if let Some(ticket) = ticket.as_ref().filter(|_| !waiting) {
                        self.release(ticket).await;
                    }
                    match followed {
                        Ok(Ok(Followed::Died)) => {}
                        Ok(Ok(Followed::Told | Followed::Response(_))) => return,
                        Ok(Err(error)) => return sender.fail(error).await,
                        Err(_) => {
                            let running = Error::Contended("this Idempotency-Key's request, which is still running");
                            return sender.fail(running).await;
                        }
                    }
                }
            }
        }
    }

    /// The one parallel round trip before the provider: claim, admit, look into the cache.
    async fn start(&self, job: &Job) -> Result<Start, Error> {
        let ask = job.ask();
        let project_id = &job.caller.project.id;
        let (claim, ticket, (cache, entry), ()) = tokio::join!(
            self.claim(job.key.as_ref()),
            self.admit(&ask),
            self.look_up(project_id, job.cache.as_ref()),
            self.refresh_breakers(&job.model),
        );
        let (lease, ticket) = match self.decide(claim, ticket, job.request.terms.render_error).await? {
            Decided::Run(lease, ticket) => (lease, ticket),
            Decided::Follow(record, ticket) => return Ok(Start::Follow(record, ticket)),
        };
        let facts = CallMetadata {
            model: job.model.name.clone(),
            cache,
            rates: ticket.rates,
            admission: job.begun_at.elapsed(),
            ..CallMetadata::default()
        };
        let running = Running { ticket, lease, facts };
        Ok(match entry {
            Some(entry) => Start::Cached(entry, running),
            None => Start::Run(running),
        })
    }

    async fn call(&self, job: &Job, mut running: Running, sender: ResponseSender) {
        let body = stream::prepared_body(job, running.ticket.budgeted);
        let order = Order {
            endpoint: job.request.endpoint,
            model: &job.model,
            body: &body,
            stream: job.request.body.stream,
            deadline: job.deadline,
        };
        let sent_at = Instant::now();
        let dispatched = self.dispatch(&order).await;
        running.facts.provider_time = sent_at.elapsed();
        match dispatched {
            Err(error) => {
                tokio::join!(self.release(&running.ticket), self.conclude_failed(job, running.lease.as_ref(), &error));
                sender.fail(error).await;
            }
            Ok(Dispatched { begun, provider, attempts }) => {
                running.facts.provider = Some(provider);
                running.facts.attempts = attempts;
                match begun {
                    Begun::Whole(whole) => self.answer_whole(job, running, whole, sender).await,
                    Begun::Stream(events) => StreamRelay::new(self, job, running, sender).run(events).await,
                }
            }
        }
    }

    async fn answer_whole(&self, job: &Job, mut running: Running, whole: Whole, mut sender: ResponseSender) {
        let usage = whole.usage.unwrap_or_else(|| {
            let input = job.bound.input;
            Usage { input, output: (whole.body.len() as u64).min(job.bound.output), ..Usage::default() }
        });
        let cost = job.cost(&usage);
        running.facts.cost = Some(cost);
        let _ = running.facts.closing.set(FinalUsage { usage, cost, failed: false });
        let facts = running.facts.clone();
        sender.begin(Answer::head(200, JSON, Some(whole.body.len()), facts));
        sender.send(whole.body.clone()).await;
        sender.let_go().await;
        let end = finished(200, JSON, whole.body.clone());
        tokio::join!(
            self.close(job, &running, usage, false),
            self.conclude(running.lease.as_ref(), true, end),
            self.keep_cached(job, JSON, whole.body),
        );
    }

    async fn answer_cached(&self, job: &Job, entry: CacheEntry, mut running: Running, mut sender: ResponseSender) {
        running.facts.cost = Some(MicroUsd(0));
        sender.begin(Answer::head(200, &entry.content_type, Some(entry.body.len()), running.facts.clone()));
        sender.send(entry.body.clone()).await;
        sender.let_go().await;
        let end = finished(200, &entry.content_type, entry.body);
        tokio::join!(self.release(&running.ticket), self.conclude(running.lease.as_ref(), true, end));
        tracing::debug!(model = job.model.name, "answered from the cache");
    }

    /// Closes the books of a call: settles the hold at the true cost and counts the usage.
    pub(super) async fn close(&self, job: &Job, running: &Running, usage: Usage, failed: bool) {
        let cost = job.cost(&usage);
        let _ = running.facts.closing.set(FinalUsage { usage, cost, failed });
        let account = Account {
            project_id: &job.caller.project.id,
            api_key_id: &job.caller.api_key_id,
            model: &job.model.name,
            operation: operation(job.request.endpoint),
        };
        self.book(&account, &running.ticket, &usage, cost).await;
    }

    pub(super) async fn keep_cached(&self, job: &Job, content_type: &str, body: Bytes) {
        let kept = self.remember(&job.caller.project.id, job.cache.as_ref(), content_type, body).await;
        if let Err(error) = kept {
            tracing::warn!(error = %super::dispatch::ErrorChain(&error), "answer not cached");
        }
    }

    async fn conclude_failed(&self, job: &Job, lease: Option<&Lease>, error: &Error) {
        self.conclude(lease, false, refused(&(job.request.terms.render_error)(error))).await;
    }
}

enum Start {
    Run(Running),
    Cached(CacheEntry, Running),
    Follow(crate::data::Record, Option<Ticket>),
}

const JSON: &str = "application/json";

/// Whether a model can do what an endpoint asks.
pub(super) fn fits(endpoint: Endpoint, model: &Model) -> Result<(), Invalid> {
    let (expected, path) = match endpoint {
        Endpoint::ChatCompletions | Endpoint::Completions => (ModelKind::Chat, "/v1/embeddings or /v1/moderations"),
        Endpoint::Embeddings => (ModelKind::Embedding, "/v1/chat/completions"),
        Endpoint::Moderations => (ModelKind::Moderation, "/v1/chat/completions"),
    };
    if model.kind == expected {
        return Ok(());
    }
    let message = format!("The model `{}` does not serve /v1{}. Try {path}.", model.name, endpoint.path());
    Err(Invalid { message, param: Some("model".to_owned()), code: Some("model_not_supported") })
}

fn operation(endpoint: Endpoint) -> Operation {
    match endpoint {
        Endpoint::ChatCompletions | Endpoint::Completions => Operation::Completions,
        Endpoint::Embeddings => Operation::Embeddings,
        Endpoint::Moderations => Operation::Moderations,
    }
}
