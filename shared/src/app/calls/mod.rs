//! Calls that one provider answers: chat completions, completions, embeddings and moderations.

mod relay;

use std::sync::Arc;

use super::answer::{CallAnswer, CallMetadata, ResponseSender};
use super::cache::{CacheControl, CachePlan};
use super::dispatch::ProviderAnswer;
use super::error::Error;
use super::idempotency::{KeyPlan, fingerprint, success_answer};
use super::models::Models;
use super::pipeline::{Call, CallOptions, OpenCall, Pipeline, Runner};
use crate::dialects::ContentType;
use crate::dialects::openai_chat::bound;
use crate::dialects::openai_chat::{Body, LEGACY_MAX_TOKENS};
use crate::model::clock::Clock;
use crate::model::id::Fingerprint;
use crate::model::object::Object;
use crate::model::project::Caller;
use crate::model::provider::{Endpoint, Whole};
use relay::StreamRelay;

/// A call as a client sent it, read by its dialect.
pub struct CallRequest {
    pub endpoint: Endpoint,
    pub body: Body,
    pub cache_control: CacheControl,
    pub options: CallOptions,
}

/// Makes calls for callers.
pub struct Calls {
    pipeline: Arc<Pipeline>,
    models: Arc<Models>,
    clock: Clock,
}

impl Calls {
    pub(super) fn new(pipeline: Arc<Pipeline>, models: Arc<Models>, clock: Clock) -> Self {
        Self { pipeline, models, clock }
    }

    /// The models that can be called.
    #[must_use]
    pub fn models(&self) -> &Models {
        &self.models
    }

    /// Makes a call. The call runs to its end whether or not its caller waits for it.
    ///
    /// # Errors
    /// `NoModels`, `UnknownModel`, `WrongModel`, `Unpriced`, `Refused`, `KeyReused`, `Provider`, `Repeated`, `Invalid`.
    pub async fn run(&self, caller: Caller, request: CallRequest) -> Result<CallAnswer, Error> {
        let CallRequest { endpoint, body, cache_control, options } = request;
        let served = self.models.current().await?;
        let mut call = Call::new(&self.clock, caller, endpoint, served, body, &options)?;
        let project = &call.caller.project;
        let body = &call.body.object;
        let key = options.idempotency_key.as_deref();
        call.cache = CachePlan::new(project, cache_control, || {
            let request_text = fingerprint(body);
            Fingerprint::of([endpoint.path().as_bytes(), request_text.as_str().as_bytes()])
        });
        call.key = KeyPlan::new(project, endpoint.path(), key, options.retry_count, || fingerprint(body));
        self.pipeline.run(call, ChatRunner).await
    }
}

/// Runs a call whose answer passes through as the provider gives it.
struct ChatRunner;

impl Runner for ChatRunner {
    async fn run(&self, pipeline: &Pipeline, call: &Call, open: &mut OpenCall, sender: &mut ResponseSender) {
        let body = provider_body(call, open.admitted.budgeted);
        match pipeline.dispatch(call, open, &body, call.body.stream).await {
            Err(error) => {
                pipeline.fail(call, open, &error).await;
                sender.fail(error).await;
            }
            Ok(ProviderAnswer::Whole(whole)) => answer_whole(pipeline, call, open, whole, sender).await,
            Ok(ProviderAnswer::Stream(events)) => StreamRelay::new(pipeline, call, open, sender).run(events).await,
        }
    }

    async fn follow_response(
        &self,
        _: &Call,
        response_id: String,
        _: CallMetadata,
        _: &mut ResponseSender,
    ) -> Result<(), Error> {
        // Only keys of `POST /v1/responses` name responses.
        Err(Error::NotFound { kind: "response", id: response_id })
    }
}

async fn answer_whole(
    pipeline: &Pipeline,
    call: &Call,
    open: &mut OpenCall,
    whole: Whole,
    sender: &mut ResponseSender,
) {
    open.used.observe_whole(&whole);
    let usage = open.used.total(&call.bound);
    open.metadata.cost = Some(open.report(call, &usage, false));
    sender.send_whole(ContentType::Json, whole.body.clone(), open.metadata.clone()).await;
    sender.flush().await;
    tokio::join!(
        pipeline.settle(call, open, &usage),
        pipeline.complete(open, true, success_answer(ContentType::Json, whole.body.clone())),
        pipeline.cache.store(&call.caller.project.id, call.cache.as_ref(), ContentType::Json, whole.body),
    );
}

/// The body for the provider: the caller's, with the output limit that applies.
fn provider_body(call: &Call, budgeted: bool) -> Object {
    let mut body = call.body.object.clone();
    if call.endpoint == Endpoint::Completions && body.get::<u64>("max_tokens").is_none() {
        body.set("max_tokens", &LEGACY_MAX_TOKENS);
    }
    bound::with_limit(body, call.output_limit(budgeted))
}
