//! Responses: made while the caller waits, or accepted for a worker; stored, followed, cancelled.
//!
//! Every response that can be seen again is one record with a fence (`data::responses`). The process that holds the fence
//! runs it: the request that made it, or a worker. All others read the record.

mod accept;
mod context;
mod follow;
mod foreground;
mod record;
mod references;
mod retrieve;

use std::sync::Arc;

use futures_util::future::OptionFuture;

pub(super) use accept::Acceptor;
pub(super) use follow::Follower;
pub(super) use foreground::Foreground;

use super::answer::{CallAnswer, CallMetadata, Interruption, ResponseSender};
use super::conversations::{Conversations, require_retention};
use super::error::Error;
use super::generation::in_request;
use super::idempotency::KeyPlan;
use super::jobs::{Canceller, LIFETIME_MS};
use super::models::Models;
use super::pipeline::{Asked, Call, CallOptions, GRACE_MS, OpenCall, Pipeline, Runner, check_callable};
use super::tasks::Tasks;
use crate::data::{EventReader, ResponseRecords};
use crate::dialects::openai_responses::{CreateResponse, Item, interruption};
use crate::model::clock::{Clock, Timestamp};
use crate::model::long_work::long_work;
use crate::model::message::ResponseKey;
use crate::model::meter::ReservedFor;
use crate::model::project::Caller;
use crate::model::provider::Endpoint;

/// A request for a response, read by its dialect.
pub struct ResponseRequest {
    pub create: CreateResponse,
    pub options: CallOptions,
}

/// The path that idempotency keys of responses belong to.
const PATH: &str = "/responses";

/// Makes responses and shows the stored ones.
pub struct Responses {
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) foreground: Foreground,
    pub(super) acceptor: Acceptor,
    pub(super) follower: Follower,
    pub(super) records: ResponseRecords,
    pub(super) conversations: Arc<Conversations>,
    pub(super) canceller: Arc<Canceller>,
    pub(super) tasks: Tasks,
    pub(super) models: Arc<Models>,
    pub(super) clock: Clock,
}

/// A response to be made, with everything decided that needs no admission.
pub(super) struct PlannedResponse {
    create: CreateResponse,
    key: ResponseKey,
    created_at: Timestamp,
    /// The place of its turn in its conversation: after everything that it is made from.
    turn_at: Timestamp,
    /// Items of the turns before.
    context: Vec<Item>,
    /// How long it is kept, by the policy of its project.
    kept_seconds: u64,
}

impl Responses {
    /// The models that can make responses.
    #[must_use]
    pub fn models(&self) -> &Models {
        &self.models
    }

    /// Makes a response for a caller, or accepts one to be made in the background. A response that is made while the
    /// caller waits is made to its end whether or not the caller stays.
    ///
    /// # Errors
    /// `NoModels`, `UnknownModel`, `WrongModel`, `Unpriced`, `Refused`, `KeyReused`, `Provider`, `Repeated`, `Invalid`,
    /// `NotFound`, `ResponseDeleted`.
    pub async fn create(self: &Arc<Self>, caller: Caller, request: ResponseRequest) -> Result<CallAnswer, Error> {
        let (call, planned) = self.plan(caller, request).await?;
        self.pipeline.run(call, ResponseRunner { responses: Arc::clone(self), planned }).await
    }

    /// The call for a response, and the response as it is to be made. Nothing is written.
    pub(super) async fn plan(
        &self,
        caller: Caller,
        request: ResponseRequest,
    ) -> Result<(Call, PlannedResponse), Error> {
        let ResponseRequest { mut create, options } = request;
        let served = self.models.current().await?;
        check_callable(&served, &caller, &create.model, Endpoint::ChatCompletions)?;
        let policy = &caller.project.policy;
        let kept_seconds = policy.kept_seconds();
        if policy.keeps_nothing() {
            if create.conversation.is_some() {
                require_retention(policy)?;
            }
            // A worker needs the request, and its caller polls for the answer: the sweeper erases both after that.
            create.store = create.background;
        }
        let adds_turn = create
            .conversation
            .clone()
            .map(async |id| self.conversations.require_room_for_turn(&caller.project, &id).await);
        let (context, has_room) =
            tokio::join!(self.load_context(&caller.project.id, &mut create), OptionFuture::from(adds_turn));
        let context = context?;
        has_room.transpose()?;
        let mut chat = long_work(create.bytes(&context.items), || create.chat(&context.items))?;
        self.pipeline.files.find_for(&caller, &mut chat).await?;
        let asked = Asked { body: chat, sent: &create.object, options: &options };
        let mut call = Call::new(&self.clock, caller, Endpoint::ChatCompletions, served, asked).map_err(in_request)?;
        let now = self.clock.now();
        if create.background {
            // The worker calls the provider: the reservation waits for as long as the job may.
            call.lease_until = now.plus_ms(LIFETIME_MS).plus_ms(GRACE_MS);
            call.reserved_for = ReservedFor::Job;
        }
        let (project, key) = (&call.caller.project, options.idempotency_key.as_deref());
        call.key = KeyPlan::new(project, PATH, key, options.retry_count, || create.object.fingerprint());
        let response_id = create.id.clone();
        let planned = PlannedResponse {
            create,
            key: ResponseKey { project_id: project.id.clone(), response_id },
            created_at: now,
            turn_at: now.max(context.last_at.plus_ms(1)),
            context: context.items,
            kept_seconds,
        };
        Ok((call, planned))
    }
}

/// Runs a call for a response.
struct ResponseRunner {
    responses: Arc<Responses>,
    planned: PlannedResponse,
}

impl Runner for ResponseRunner {
    fn interruption(&self) -> Interruption {
        interruption
    }

    async fn run(&self, open: &mut OpenCall<'_>, sender: &mut ResponseSender) {
        match self.planned.create.background {
            true => Box::pin(self.responses.acceptor.accept(open, &self.planned, sender)).await,
            false => Box::pin(self.responses.foreground.make(open, &self.planned, sender)).await,
        }
    }

    async fn follow_response(
        &self,
        call: &Call,
        response_id: String,
        metadata: CallMetadata,
        sender: &mut ResponseSender,
    ) -> Result<(), Error> {
        let key = ResponseKey { response_id, ..self.planned.key.clone() };
        let found = self.responses.records.get(&key).await?;
        let found = found.ok_or_else(|| Error::not_found("response", &key.response_id))?;
        if found.deleted {
            return Err(Error::ResponseDeleted(key.response_id));
        }
        let follower = &self.responses.follower;
        let slot = follower.admit(&call.caller.project, found.status).await?;
        sender.begin_stream(metadata);
        let reader = EventReader::after(None);
        follower.follow(slot.as_ref(), &key, reader, call.time.deadline, sender).await;
        Ok(())
    }
}
