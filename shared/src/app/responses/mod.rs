//! Responses: made while the caller waits, or by a worker in the background; kept, followed, cancelled.
//!
//! Every response that can be seen again is one record with a fence (`data::responses`). Whoever holds the fence runs it:
//! the request that made it, or a worker. All else reads the record.

mod accept;
mod context;
mod emit;
mod ends;
mod follow;
mod follow_up;
mod foreground;
mod keep;
mod perform;
mod retrieve;
mod stored;
mod sweep;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::admission::Ticket;
use super::answer::{Answer, ResponseSender};
use super::bound;
use super::error::Error;
use super::gateway::Gateway;
use super::idempotency::{self, KeyPlan};
use super::run::{CallOptions, fits};
use crate::dialects::openai_chat::Body;
use crate::dialects::openai_responses::{CreateResponse, Item};
use crate::model::catalog::Model;
use crate::model::clock::Timestamp;
use crate::model::message::ResponseKey;
use crate::model::money::MicroUsd;
use crate::model::project::Caller;
use crate::model::provider::Endpoint;
use crate::model::tokens::{Bound, Price, Usage};

/// A request for a response, checked.
pub struct ResponseRequest {
    pub create: CreateResponse,
    pub terms: CallOptions,
}

/// The path that idempotency keys of responses belong to.
const PATH: &str = "/responses";

/// How long a run may be silent before it is taken for dead.
const LEASE_MS: u64 = 30_000;
/// A job that has not ended after a day is given up.
const LIFETIME_MS: u64 = 86_400_000;
/// After the last moment that a run can go on, before the sweeper settles its hold.
const GRACE_MS: u64 = 60_000;
/// Time kept back from the function's own deadline to close the books.
const CLOSING_MS: u64 = 3_000;

/// A request with everything decided that needs no admission.
struct Job {
    caller: Caller,
    request: ResponseRequest,
    key: ResponseKey,
    created_at: Timestamp,
    /// Where its turn stands in its conversation: after all that it is made from.
    turn_at: Timestamp,
    model: Model,
    /// Items of the turns before.
    context: Vec<Item>,
    /// The chat call that answers it.
    chat: Body,
    bound: Bound,
    deadline: Instant,
    /// When a run that goes on until the deadline is over for certain.
    over_at: Timestamp,
    plan: Option<KeyPlan>,
}

impl Job {
    /// What is charged for `usage`; nothing for a model without a price.
    fn cost(&self, usage: &Usage) -> MicroUsd {
        cost(&self.model, usage)
    }

    /// The limit of output tokens that the provider is told under this ticket.
    fn limit(&self, ticket: &Ticket) -> Option<u64> {
        bound::limit_to_send(&self.chat, &self.model, &self.caller.project.policy, ticket.budgeted)
    }

    /// Whether others can see the run: then its events are written down while it goes on.
    fn is_followed(&self) -> bool {
        self.request.create.stream && (self.request.create.store || self.plan.is_some())
    }
}

/// The longest that a call of the model may take.
fn longest(model: &Model) -> Duration {
    model.targets.iter().map(|target| target.timeouts.total).max().unwrap_or_default()
}

fn cost(model: &Model, usage: &Usage) -> MicroUsd {
    model.price.map_or(MicroUsd(0), |price: Price| price.cost(usage))
}

impl Gateway {
    /// Makes a response for a caller, or accepts one to be made in the background. A response that is made while the
    /// caller waits is made to its end whether or not the caller stays.
    ///
    /// # Errors
    /// `UnknownModel`, `Unpriced`, `Refused`, `KeyReused`, `Provider`, `Repeated`, `Invalid`, `NotFound`, `Internal`.
    pub async fn create_response(self: &Arc<Self>, caller: Caller, request: ResponseRequest) -> Result<Answer, Error> {
        let job = self.prepare_response(caller, request).await?;
        let (sender, answer) = ResponseSender::new(job.deadline);
        let gateway = Arc::clone(self);
        self.spawn(async move { Box::pin(gateway.answer_response(job, sender)).await });
        answer.await.unwrap_or_else(|lost| Err(Error::internal("make the response")(lost)))
    }

    async fn prepare_response(&self, caller: Caller, mut request: ResponseRequest) -> Result<Job, Error> {
        let model = self.chat_model(&request.create.model)?.clone();
        let fingerprint = idempotency::fingerprint(&request.create.object);
        let context = self.context(&caller.project.id, &mut request.create).await?;
        let chat = request.create.chat(&context.items)?;
        if caller.project.limits.budget.is_some() {
            bound::can_be_accounted(&chat, &model)?;
        }
        let now = self.clock.now();
        let (deadline, over_at) = self.time_for(&model, request.terms.deadline);
        let key = request.terms.idempotency_key.as_deref();
        Ok(Job {
            key: ResponseKey {
                project_id: caller.project.id.clone(),
                response_id: crate::model::id::new_ordered("resp_", now),
            },
            created_at: now,
            turn_at: now.max(context.last_at.plus_ms(1)),
            bound: bound::bound(&chat, &model, &caller.project.policy),
            plan: KeyPlan::new(&caller.project, PATH, key, request.terms.retry_count, || fingerprint),
            deadline,
            over_at,
            chat,
            context: context.items,
            model,
            request,
            caller,
        })
    }

    /// The model of this name, if it can answer.
    fn chat_model(&self, name: &str) -> Result<&Model, Error> {
        let model = self.catalog.model(name).ok_or_else(|| Error::UnknownModel(name.to_owned()))?;
        fits(Endpoint::ChatCompletions, model)?;
        Ok(model)
    }

    /// Until when a run may go on: as long as the model may take, and the function lives; and when that is certainly over.
    fn time_for(&self, model: &Model, function_ends: Option<Timestamp>) -> (Instant, Timestamp) {
        let now = self.clock.now();
        let longest = longest(model);
        let left = function_ends.map(|ends| Duration::from_millis(now.until(ends).saturating_sub(CLOSING_MS)));
        let allowed = left.map_or(longest, |left| left.min(longest));
        let allowed_ms = u64::try_from(allowed.as_millis()).unwrap_or(u64::MAX / 2);
        (Instant::now() + allowed, now.plus_ms(allowed_ms).plus_ms(GRACE_MS))
    }
}
