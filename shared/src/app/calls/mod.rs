//! Calls that one provider answers: chat completions, completions, embeddings, moderations, images and sound.

mod framing;
mod relay;

use std::sync::Arc;

use super::answer::{CallAnswer, Interruption, ResponseSender};
use super::cache::{CacheControl, CachePlan};
use super::dispatch::ProviderAnswer;
use super::error::Error;
use super::idempotency::{KeyPlan, success_answer};
use super::models::Models;
use super::pipeline::{Asked, Call, CallOptions, OpenCall, Pipeline, Runner, check_callable};
use crate::dialects::anthropic_messages::CountTokens;
use crate::dialects::openai_chat::bound;
use crate::dialects::openai_chat::{Body, LEGACY_MAX_TOKENS};
use crate::model::clock::Clock;
use crate::model::id::Fingerprint;
use crate::model::object::Object;
use crate::model::project::Caller;
use crate::model::provider::{Endpoint, Whole};
use framing::Framing;
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

    /// Finds the uploaded files that a request to count tokens names.
    ///
    /// # Errors
    /// `Forbidden` if the caller's key may not read files; `Invalid` if its project does not have one of them.
    pub async fn find_counted_files(&self, caller: &Caller, request: &mut CountTokens) -> Result<(), Error> {
        let found = self.pipeline.files.look_up_for(caller, &request.files).await?;
        Ok(request.take_files(found)?)
    }

    /// Makes a call. The call runs to its end whether or not its caller waits for it.
    ///
    /// # Errors
    /// `NoModels`, `UnknownModel`, `WrongModel`, `Unpriced`, `Refused`, `KeyReused`, `Provider`, `Repeated`, `Invalid`, `Forbidden`.
    pub async fn run(&self, caller: Caller, request: CallRequest) -> Result<CallAnswer, Error> {
        let CallRequest { endpoint, mut body, cache_control, options } = request;
        let served = self.models.current().await?;
        check_callable(&served, &caller, &body.model, endpoint)?;
        self.pipeline.files.find_for(&caller, &mut body).await?;
        let sent = body.object.clone();
        let asked = Asked { body, sent: &sent, options: &options };
        let mut call = Call::new(&self.clock, caller, endpoint, served, asked)?;
        let project = &call.caller.project;
        let body = &call.body;
        let key = options.idempotency_key.as_deref();
        call.cache = CachePlan::new(project, cache_control, || {
            let body = body.fingerprint();
            let headers = call.headers.iter().flat_map(|(name, value)| [*name, value.as_str()]);
            let parts: Vec<&str> = [endpoint.path(), body.as_str()].into_iter().chain(headers).collect();
            Fingerprint::of(parts.into_iter().map(str::as_bytes))
        });
        call.key = KeyPlan::new(project, endpoint.path(), key, options.retry_count, || body.fingerprint());
        self.pipeline.run(call, CallRunner(Framing::of(endpoint))).await
    }
}

/// Runs a call whose answer passes through as the provider gives it.
struct CallRunner(Framing);

impl Runner for CallRunner {
    fn interruption(&self) -> Interruption {
        self.0.interruption()
    }

    async fn run(&self, open: &mut OpenCall<'_>, sender: &mut ResponseSender) {
        let begin = async |metadata| sender.begin_stream(metadata);
        match open.dispatch(&provider_body(open), open.call.body.stream, begin).await {
            Err(error) => {
                open.fail(&error).await;
                sender.fail(error).await;
            }
            Ok(ProviderAnswer::Whole(whole)) => answer_whole(open, *whole, sender).await,
            Ok(ProviderAnswer::Stream(events)) => StreamRelay::new(open, sender, self.0).run(events).await,
        }
    }
}

async fn answer_whole(open: &mut OpenCall<'_>, whole: Whole, sender: &mut ResponseSender) {
    let charge = open.charge();
    open.report(charge, false);
    open.metadata.cost = Some(charge.cost);
    let Whole { body, content_type, .. } = whole;
    sender.send_whole(content_type, body.clone(), open.metadata.clone()).await;
    sender.flush().await;
    tokio::join!(
        open.settle(charge),
        open.complete(true, success_answer(content_type, body.clone())),
        open.cache(content_type, body),
    );
}

/// The body for the provider: the caller's, with the output limit that applies.
fn provider_body(open: &OpenCall<'_>) -> Object {
    with_limits(open.call.endpoint, &open.call.body, open.output_limit())
}

/// The body for the provider, with the limit of output tokens that applies.
pub(super) fn with_limits(endpoint: Endpoint, body: &Body, limit: Option<u64>) -> Object {
    let mut body = body.object.clone();
    if endpoint == Endpoint::Completions && body.get::<u64>("max_tokens").is_none() {
        body.set("max_tokens", &LEGACY_MAX_TOKENS);
    }
    bound::with_limit(body, limit)
}
