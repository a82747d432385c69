//! One line of a batch: what it asks for, and the call that answers it.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use bytes::Bytes;
use futures_util::FutureExt as _;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::check::error;
use super::lines::FileLine;
use super::terms::{LineTerms, PreparedLine};
use crate::app::calls::with_limits;
use crate::app::dispatch::{DispatchRequest, Dispatched, Dispatcher, ProviderAnswer, UsageMeter};
use crate::app::error::{Attempts, Error, RenderedError};
use crate::app::generation::{EventSink, Generated, RunEnd, expect_stream, generate, in_request};
use crate::data::{LineResult, LineSummary};
use crate::dialects::openai_batches::{BatchLine, answered, not_run};
use crate::dialects::openai_chat::bound;
use crate::dialects::openai_responses::{CreateResponse, EventBuilder};
use crate::model::batch::{BatchEndpoint, BatchError, BatchKey};
use crate::model::catalog::Target;
use crate::model::chat_chunk::chunk_of_whole;
use crate::model::clock::Timestamp;
use crate::model::form::Uploads;
use crate::model::id;
use crate::model::object::Object;
use crate::model::provider::{Failure, ProviderRequest};
use crate::model::provider_batch::Exchange;
use crate::model::response::Status;
use crate::model::tokens::Charge;

/// A line with its name in the results.
#[derive(Debug, Clone)]
pub(super) struct NamedLine {
    pub(super) number: u64,
    pub(super) custom_id: String,
    pub(super) body: Bytes,
}

impl NamedLine {
    /// Reads a line of a checked file.
    ///
    /// # Errors
    /// If it is no request. The check found none such.
    pub(super) fn read(line: &FileLine, endpoint: BatchEndpoint) -> Result<Self, BatchError> {
        let too_large = || error("line_too_large", "The line is too large.".to_owned(), None);
        let BatchLine { custom_id, body, .. } = BatchLine::read(line.text.as_ref().ok_or_else(too_large)?, endpoint)?;
        Ok(Self { number: line.number, custom_id, body })
    }

    /// A line of a file that is gone.
    pub(super) fn unknown(number: u64) -> Self {
        Self { number, custom_id: String::new(), body: Bytes::new() }
    }

    /// The result of a line that was answered.
    pub(super) fn answered(&self, batch: &BatchKey, status: u16, body: &Bytes, charge: Charge) -> LineResult {
        self.result(status == 200, answered(&self.custom_id, &self.row_id(batch), status, body), charge)
    }

    /// The result of a line that was not run.
    pub(super) fn not_run(&self, batch: &BatchKey, code: &str, message: &str) -> LineResult {
        self.result(false, not_run(&self.custom_id, &self.row_id(batch), code, message), Charge::default())
    }

    fn result(&self, ok: bool, row: Box<RawValue>, Charge { usage, cost, .. }: Charge) -> LineResult {
        let summary = LineSummary {
            line: self.number,
            ok,
            expired: false,
            input: usage.input,
            cached: usage.cached_input,
            output: usage.output,
            reasoning: usage.reasoning,
            cost: cost.0,
            held: cost.0,
        };
        LineResult { summary, row }
    }

    /// Of the same line it is always the same.
    fn row_id(&self, batch: &BatchKey) -> String {
        id::derive("", &[&batch.batch_id, &self.number.to_string()])
    }
}

/// The answer to a line; the outer error is a panic.
type Answer = Result<Result<Bytes, Error>, Box<dyn Any + Send>>;

/// What lines are run with.
pub(super) struct LineContext<'a> {
    pub(super) dispatcher: &'a Dispatcher,
    pub(super) terms: LineTerms<'a>,
    pub(super) batch: &'a BatchKey,
    pub(super) render: fn(&Error) -> RenderedError,
    /// When the last call has to end.
    pub(super) ends_by: Instant,
}

/// How a try of a line went.
pub(super) enum Tried {
    /// It has its result.
    Done(LineResult),
    /// The provider takes no more for the moment.
    Throttled { error: Error },
    /// The operator has to set the provider up.
    NotReady { error: Error },
    /// It may succeed later. The charge is for the attempts that the provider may bill.
    Failed { error: Error, charge: Charge },
}

impl LineContext<'_> {
    /// Calls the provider for a line.
    pub(super) async fn call(&self, prepared: &PreparedLine, budgeted: bool) -> Tried {
        let used = UsageMeter::default();
        let answer = AssertUnwindSafe(self.answer(prepared, budgeted, &used)).catch_unwind().await;
        self.ended(prepared, answer, used.charge(prepared.model.price.as_deref(), &prepared.bound))
    }

    /// How a try went. An answer is `Err` if it panicked.
    pub(super) fn ended(&self, prepared: &PreparedLine, answer: Answer, charge: Charge) -> Tried {
        let error = match answer {
            Ok(Ok(body)) => return Tried::Done(prepared.line.answered(self.batch, 200, &body, charge)),
            Ok(Err(error)) => error.charged(charge),
            // The panic's message stays out of the log: it may quote a prompt.
            Err(_) => {
                tracing::error!("line of a batch panicked");
                return Tried::Done(self.failed(
                    &prepared.line,
                    &Error::internal("run the line")("it panicked"),
                    charge,
                ));
            }
        };
        match &error {
            Error::Provider { source: Failure::Throttled { .. } | Failure::CircuitOpen { .. }, .. }
                if charge == Charge::default() =>
            {
                Tried::Throttled { error }
            }
            // The operator's mistake must not end lines that were accepted.
            Error::Provider { source: Failure::NotSetUp { .. }, .. } if charge == Charge::default() => {
                Tried::NotReady { error }
            }
            Error::Provider { source, .. } if source.is_retryable() => Tried::Failed { error, charge },
            _ => Tried::Done(self.failed(&prepared.line, &error, charge)),
        }
    }

    /// The result of a line that ended with an error.
    pub(super) fn failed(&self, line: &NamedLine, error: &Error, charge: Charge) -> LineResult {
        let RenderedError { status, body, .. } = (self.render)(error);
        line.answered(self.batch, status, &body, charge)
    }

    async fn answer(&self, prepared: &PreparedLine, budgeted: bool, used: &UsageMeter) -> Result<Bytes, Error> {
        let PreparedLine { create, body, model, bound, .. } = prepared;
        let limit = bound::limit_to_send(body, model, &self.terms.project.policy, budgeted);
        let no_files = Uploads::default();
        let request = DispatchRequest {
            project_id: &self.terms.project.id,
            endpoint: self.terms.endpoint.called(),
            model,
            served: self.terms.served,
            body: &with_limits(self.terms.endpoint.called(), body, limit),
            uploads: &no_files,
            headers: &[],
            // Responses are made of the events of a stream.
            stream: create.is_some(),
            deadline: (Instant::now() + model.longest_call()).min(self.ends_by),
            used,
            is_held_once: budgeted,
            acceptance: None,
            runs_before: 0,
        };
        let Dispatched { answer, provider, attempts } = self.dispatcher.dispatch(&request).await?;
        let failed = |source| in_request(Error::Provider { tried: Attempts::free(provider.clone(), attempts), source });
        let Some(create) = create else {
            return match answer {
                ProviderAnswer::Whole(whole) => Ok(whole.body),
                ProviderAnswer::Stream(_) => Err(failed(Failure::Malformed("it answered with a stream".to_owned()))),
            };
        };
        let now = self.terms.clock.now();
        let mut builder = EventBuilder::new(skeleton(create, now), 0);
        let events = expect_stream(answer).map_err(failed)?;
        match generate(events, used, &mut builder, &mut EventSink::default()).await {
            Generated::Broken(source) => Err(failed(source)),
            Generated::Whole | Generated::Lost(_) => {
                let charge = used.charge(model.price.as_deref(), bound);
                Ok(RunEnd::complete(builder, charge, self.terms.clock.now()).response.to_bytes())
            }
        }
    }

    /// The request to a provider that gets it in a batch.
    ///
    /// `budgeted`: a budget may pay, so the provider is sent the limit that money is reserved for.
    pub(super) fn batched(
        &self,
        prepared: &PreparedLine,
        target: &Target,
        budgeted: bool,
        exchange: Exchange,
    ) -> ProviderRequest {
        let PreparedLine { body, model, .. } = prepared;
        let limit = bound::limit_to_send(body, model, &self.terms.project.policy, budgeted);
        let max_output_tokens = Some(model.max_output_tokens).filter(|tokens| *tokens > 0);
        let body = with_limits(self.terms.endpoint.called(), body, limit);
        ProviderRequest { max_output_tokens, ..self.request(target, body, exchange) }
    }

    /// A request that is not streamed.
    pub(super) fn request(&self, target: &Target, body: Object, exchange: Exchange) -> ProviderRequest {
        ProviderRequest {
            endpoint: self.terms.endpoint.called(),
            model: target.model.clone(),
            body,
            uploads: Uploads::default(),
            stream: false,
            max_output_tokens: None,
            connect: target.timeouts.connect,
            headers: Vec::new(),
            traceparent: None,
            exchange,
        }
    }

    /// The answer to a line, made of a whole answer of the provider.
    ///
    /// # Errors
    /// `Malformed` if it is none.
    pub(super) fn of_whole(&self, prepared: &PreparedLine, whole: Bytes, charge: Charge) -> Result<Bytes, Failure> {
        let Some(create) = &prepared.create else { return Ok(whole) };
        let now = self.terms.clock.now();
        let mut builder = EventBuilder::new(skeleton(create, now), 0);
        builder.chunk(&chunk_of_whole(&whole)?)?;
        Ok(RunEnd::complete(builder, charge, now).response.to_bytes())
    }
}

/// The response before anything was generated. The file of results has it; weir does not store it.
fn skeleton(create: &CreateResponse, now: Timestamp) -> Object {
    create.skeleton(&[], now, Status::InProgress).with("store", &false)
}
