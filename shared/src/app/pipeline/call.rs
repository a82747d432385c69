//! A call with everything decided that needs no store.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::app::admission::{AdmissionRequest, Levels};
use crate::app::cache::CachePlan;
use crate::app::error::{Error, RenderedError};
use crate::app::idempotency::KeyPlan;
use crate::app::ledger::Account;
use crate::app::models::ServedModels;
use crate::dialects::openai_chat::{Body, accountable, bound};
use crate::model::catalog::{Model, ModelKind};
use crate::model::clock::{Clock, Timestamp};
use crate::model::invalid::Invalid;
use crate::model::meter::{ReservedFor, Run, RunName};
use crate::model::money::MicroUsd;
use crate::model::object::Object;
use crate::model::project::{Caller, Policy};
use crate::model::provider::Endpoint;
use crate::model::tokens::Bound;
use crate::model::usage::Operation;

/// How a call is to be run: the wishes of its request's headers.
#[derive(Debug, Clone)]
pub struct CallOptions {
    pub idempotency_key: Option<String>,
    /// `x-stainless-retry-count`.
    pub retry_count: u32,
    /// When the function that serves the request is stopped; `None`: never.
    pub deadline: Option<Timestamp>,
    pub run: RunOptions,
    /// Headers that a provider with the same API gets too.
    pub headers: Vec<(&'static str, String)>,
    /// Writes an error as the caller would see it, for the requests that wait for this run.
    pub render_error: fn(&Error) -> RenderedError,
}

/// The run that a request names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunOptions {
    pub name: Option<RunName>,
    /// The budget that the run gets if this call is its first.
    pub budget: Option<MicroUsd>,
}

impl RunOptions {
    /// The run under a project's policy. A body can name it in `metadata.run_id` if no header does.
    fn run(&self, body: &Object, policy: &Policy) -> Result<Option<Run>, Invalid> {
        let metadata: Option<Object> = body.get("metadata");
        Ok(self.named(metadata.as_ref())?.map(|name| Run::new(name, self.budget, policy)))
    }

    /// The name of the run: that of the header, else `run_id` of the metadata.
    pub(in crate::app) fn named(&self, metadata: Option<&Object>) -> Result<Option<RunName>, Invalid> {
        if self.name.is_some() {
            return Ok(self.name.clone());
        }
        let named: Option<String> = metadata.and_then(|metadata| metadata.get("run_id"));
        named.map(|name| RunName::parse(&name, "metadata.run_id")).transpose()
    }
}

/// Time kept back from the function's own deadline to settle the call.
const SETTLING_MS: u64 = 3_000;
/// How long after the last moment that a call can run the sweeper treats it as dead.
pub(in crate::app) const GRACE_MS: u64 = 60_000;

/// How long a call may go on.
#[derive(Debug, Clone, Copy)]
pub(in crate::app) struct TimeLimit {
    pub(in crate::app) deadline: Instant,
    /// When a call that goes on until the deadline is over for certain.
    pub(in crate::app) over_at: Timestamp,
}

impl TimeLimit {
    /// As long as `longest`, and as the function lives.
    pub(in crate::app) fn new(clock: &Clock, longest: Duration, function_ends: Option<Timestamp>) -> Self {
        let now = clock.now();
        let left = function_ends.map(|ends| Duration::from_millis(now.until(ends).saturating_sub(SETTLING_MS)));
        let allowed = left.map_or(longest, |left| left.min(longest));
        let allowed_ms = u64::try_from(allowed.as_millis()).unwrap_or(u64::MAX / 2);
        Self { deadline: Instant::now() + allowed, over_at: now.plus_ms(allowed_ms).plus_ms(GRACE_MS) }
    }

    /// As long as a call of the model may take, and as the function lives.
    pub(in crate::app) fn of_model(clock: &Clock, model: &Model, function_ends: Option<Timestamp>) -> Self {
        Self::new(clock, model.longest_call(), function_ends)
    }

    /// The last moment at which a call can begin and last so long before the function ends.
    pub(in crate::app) fn last_begin(longest: Duration, function_ends: Timestamp) -> Timestamp {
        let longest_ms = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
        function_ends.minus_ms(longest_ms.saturating_add(SETTLING_MS))
    }
}

/// What a request asks for.
pub(in crate::app) struct Asked<'a> {
    /// The call that the provider gets.
    pub(in crate::app) body: Body,
    /// The body of the request.
    pub(in crate::app) sent: &'a Object,
    pub(in crate::app) options: &'a CallOptions,
}

/// A call that was checked, priced and bounded.
pub(in crate::app) struct Call {
    pub(in crate::app) caller: Caller,
    pub(in crate::app) run: Option<Run>,
    pub(in crate::app) endpoint: Endpoint,
    pub(in crate::app) model: Model,
    /// The version of the models that the call began with.
    pub(in crate::app) served: Arc<ServedModels>,
    pub(in crate::app) body: Body,
    /// Headers that a provider with the same API gets too.
    pub(in crate::app) headers: Vec<(&'static str, String)>,
    /// The most that the call can use.
    pub(in crate::app) bound: Bound,
    pub(in crate::app) time: TimeLimit,
    /// When the sweeper may settle the call's reservation.
    pub(in crate::app) lease_until: Timestamp,
    pub(in crate::app) reserved_for: ReservedFor,
    pub(in crate::app) key: Option<KeyPlan>,
    pub(in crate::app) cache: Option<CachePlan>,
    pub(in crate::app) render_error: fn(&Error) -> RenderedError,
    pub(super) begun_at: Instant,
}

impl Call {
    /// Checks, prices and bounds a call. It has no idempotency key and no cache yet.
    ///
    /// # Errors
    /// `Forbidden`, `UnknownModel` or `WrongModel`; `Invalid` if the model is of another kind or the request names its run wrongly;
    /// `Unpriced` or `Invalid` if the caller's budget cannot pay for the call.
    pub(in crate::app) fn new(
        clock: &Clock,
        caller: Caller,
        endpoint: Endpoint,
        served: Arc<ServedModels>,
        Asked { body, sent, options }: Asked<'_>,
    ) -> Result<Self, Error> {
        caller.check_model(&body.model)?;
        let model = accountable::priced(find_model(&served, &body.model, endpoint)?, &body);
        if caller.project.limits.budget.is_some() || caller.key.limits.budget.is_some() {
            accountable::check(&body, &model)?;
        }
        let time = TimeLimit::of_model(clock, &model, options.deadline);
        Ok(Self {
            run: options.run.run(sent, &caller.project.policy)?,
            headers: options.headers.clone(),
            bound: bound::bound(&body, &model, &caller.project.policy),
            lease_until: time.over_at,
            reserved_for: ReservedFor::Request,
            key: None,
            cache: None,
            render_error: options.render_error,
            begun_at: Instant::now(),
            model,
            served,
            caller,
            endpoint,
            body,
            time,
        })
    }

    pub(in crate::app) fn admission_request(&self) -> AdmissionRequest<'_> {
        let Caller { project, key, .. } = &self.caller;
        let levels = Levels { project, key: Some(key), run: self.run.as_ref() };
        AdmissionRequest::new(levels, &self.model, &self.body, &self.bound, self.lease_until, self.reserved_for)
    }

    /// The limit of output tokens that the provider is sent; `budgeted`: whether a budget pays.
    pub(in crate::app) fn output_limit(&self, budgeted: bool) -> Option<u64> {
        bound::limit_to_send(&self.body, &self.model, &self.caller.project.policy, budgeted)
    }

    /// Where the call is counted.
    pub(in crate::app) fn account(&self) -> Account<'_> {
        Account {
            project_id: &self.caller.project.id,
            api_key_id: &self.caller.api_key_id,
            run: self.run.as_ref().map(|run| &run.name),
            model: &self.model.name,
            operation: Operation::of(self.model.kind),
            requests: 1,
        }
    }
}

/// The kind of the models that serve an endpoint.
pub(in crate::app) fn kind_at(endpoint: Endpoint) -> ModelKind {
    match endpoint {
        Endpoint::ChatCompletions | Endpoint::Completions | Endpoint::Messages => ModelKind::Chat,
        Endpoint::Embeddings => ModelKind::Embedding,
        Endpoint::Moderations => ModelKind::Moderation,
        Endpoint::Images | Endpoint::ImageEdits => ModelKind::Image,
        Endpoint::Speech => ModelKind::Speech,
        Endpoint::Transcriptions | Endpoint::Translations => ModelKind::Transcription,
    }
}

/// Checks that a caller may call a model at an endpoint. For calls that read something before they are made a [`Call`].
///
/// # Errors
/// `Forbidden`, `UnknownModel`, `WrongModel`; `Invalid` if the model is of another kind.
pub(in crate::app) fn check_callable(
    served: &ServedModels,
    caller: &Caller,
    model: &str,
    endpoint: Endpoint,
) -> Result<(), Error> {
    caller.check_model(model)?;
    find_model(served, model, endpoint).map(drop)
}

/// The model of this name, if it can serve the endpoint.
///
/// # Errors
/// `UnknownModel`, `WrongModel`; `Invalid` if the model is of another kind.
pub(in crate::app) fn find_model<'a>(
    served: &'a ServedModels,
    name: &str,
    endpoint: Endpoint,
) -> Result<&'a Model, Error> {
    let model = served.model(name)?;
    if model.kind == kind_at(endpoint) {
        return Ok(model);
    }
    let served_by = match model.kind {
        ModelKind::Chat => Endpoint::ChatCompletions,
        ModelKind::Embedding => Endpoint::Embeddings,
        ModelKind::Moderation => Endpoint::Moderations,
        ModelKind::Image => Endpoint::Images,
        ModelKind::Speech => Endpoint::Speech,
        ModelKind::Transcription => Endpoint::Transcriptions,
    };
    let path = served_by.path();
    let message = format!("The model `{}` does not serve /v1{}. Try /v1{path}.", model.name, endpoint.path());
    Err(Invalid { message, param: Some("model".to_owned()), code: Some("model_not_supported") }.into())
}
