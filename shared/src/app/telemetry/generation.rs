//! The span of one call to a provider. It follows the `OpenTelemetry` semantic conventions for generative AI.

use std::borrow::Cow;

use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, unfold};
use opentelemetry::trace::{SpanBuilder, SpanKind, Status, TraceContextExt as _};
use opentelemetry::{Array, Context, KeyValue, StringValue, Value};
use serde::Deserialize;

use super::{Telemetry, traceparent};
use crate::dialects::openai_chat::transcript::{ChatMessage, Output, input_messages};
use crate::model::object::Object;
use crate::model::provider::{Endpoint, Event, Failure, Whole};
use crate::model::tokens::Usage;

/// A call to a provider in progress. Dropping it ends the span.
pub(in crate::app) struct Generation {
    context: Context,
    /// The summary of the answer. `None` if the span is not recorded.
    summary: Option<Box<AnswerSummary>>,
}

/// The properties of an answer that its span gets when it ends.
#[derive(Default)]
struct AnswerSummary {
    id: Option<String>,
    model: Option<String>,
    /// One for each choice, by the index of the choice.
    finish_reasons: Vec<Option<String>>,
    usage: Option<Usage>,
    /// The messages, if spans contain them.
    output: Option<Output>,
}

impl Generation {
    /// Begins the span `{operation} {model}` below the current span.
    pub(in crate::app) fn begin(endpoint: Endpoint, provider: &str, model: &str, body: &Object) -> Self {
        let telemetry = Telemetry::current();
        let context = telemetry.span(|| {
            let name = format!("{} {model}", endpoint.operation());
            SpanBuilder::from_name(name).with_kind(SpanKind::Client).with_attributes([
                KeyValue::new("gen_ai.operation.name", endpoint.operation()),
                KeyValue::new("gen_ai.provider.name", provider.to_owned()),
                KeyValue::new("gen_ai.request.model", model.to_owned()),
            ])
        });
        let mut generation = Self { context, summary: None };
        if telemetry.tracer.is_some() && generation.context.span().is_recording() {
            let records = telemetry.tracer.is_some_and(|tracer| tracer.records_messages);
            let records = records && endpoint == Endpoint::ChatCompletions;
            if records && let Some(input) = input_messages(body) {
                generation.context.span().set_attribute(KeyValue::new("gen_ai.input.messages", input));
            }
            let output = records.then(Output::default);
            generation.summary = Some(Box::new(AnswerSummary { output, ..AnswerSummary::default() }));
        }
        generation
    }

    /// Returns the header that makes the provider a part of this trace.
    pub(in crate::app) fn traceparent(&self) -> Option<String> {
        traceparent(&self.context)
    }

    /// Ends the span of a call that failed before its answer began.
    pub(in crate::app) fn fail(self, failure: &Failure) {
        self.record_failure(failure);
    }

    /// Ends the span of a call whose answer is not a stream.
    pub(in crate::app) fn complete(mut self, whole: &Whole) {
        self.record_answer(&whole.body, whole.usage);
    }

    /// Observes a stream and ends the span with it.
    pub(in crate::app) fn observe(
        self,
        events: BoxStream<'static, Result<Event, Failure>>,
    ) -> BoxStream<'static, Result<Event, Failure>> {
        if self.summary.is_none() {
            return events;
        }
        unfold(Some((self, events)), async |state| {
            let (mut generation, mut events) = state?;
            // At the end of the stream, `?` drops `generation`. The span thus ends before the reader sees the end.
            let event = events.next().await?;
            match &event {
                Ok(event) => generation.record_answer(&event.data, event.usage),
                Err(failure) => {
                    generation.record_failure(failure);
                    return Some((event, None));
                }
            }
            Some((event, Some((generation, events))))
        })
        .boxed()
    }

    /// Adds an answer, or a chunk of one, to the summary.
    fn record_answer(&mut self, json: &[u8], usage: Option<Usage>) {
        let Some(summary) = &mut self.summary else { return };
        summary.usage = usage.or(summary.usage);
        // JSON of another shape is skipped: telemetry must not fail a call.
        if let Ok(answer) = serde_json::from_slice(json) {
            summary.add(answer);
        }
    }

    fn record_failure(&self, failure: &Failure) {
        let span = self.context.span();
        if span.is_recording() {
            span.set_attribute(KeyValue::new("error.type", error_type(failure)));
            span.set_status(Status::error(error_type(failure)));
        }
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        let Some(summary) = self.summary.take() else { return };
        let span = self.context.span();
        span.set_attributes(summary.into_attributes());
        span.end();
    }
}

/// The members of an answer, or of a chunk of one, that the summary uses.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    model: Option<Cow<'a, str>>,
    #[serde(default)]
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: usize,
    #[serde(default)]
    finish_reason: Option<String>,
    #[serde(alias = "delta", default)]
    message: Option<ChatMessage>,
}

/// The largest number of choices that a call can request. Choices beyond it are ignored, so that a wrong index cannot
/// allocate much memory.
const MAX_CHOICES: usize = 128;

impl AnswerSummary {
    fn add(&mut self, answer: Answer<'_>) {
        self.id = self.id.take().or_else(|| answer.id.map(Cow::into_owned));
        self.model = self.model.take().or_else(|| answer.model.map(Cow::into_owned));
        for choice in answer.choices.into_iter().filter(|choice| choice.index < MAX_CHOICES) {
            if choice.index >= self.finish_reasons.len() {
                self.finish_reasons.resize(choice.index + 1, None);
            }
            if let (Some(output), Some(message)) = (&mut self.output, choice.message) {
                output.add(choice.index, message);
            }
            if choice.finish_reason.is_some() {
                self.finish_reasons[choice.index] = choice.finish_reason;
            }
        }
    }

    fn into_attributes(self) -> Vec<KeyValue> {
        let texts = [("gen_ai.response.id", self.id), ("gen_ai.response.model", self.model)];
        let mut attributes: Vec<KeyValue> =
            texts.into_iter().filter_map(|(name, text)| Some(KeyValue::new(name, text?))).collect();
        if let Some(output) = self.output.and_then(|output| output.to_json(&self.finish_reasons)) {
            attributes.push(KeyValue::new("gen_ai.output.messages", output));
        }
        let reasons: Vec<StringValue> = self.finish_reasons.into_iter().flatten().map(StringValue::from).collect();
        if !reasons.is_empty() {
            attributes.push(KeyValue::new("gen_ai.response.finish_reasons", Value::Array(Array::String(reasons))));
        }
        if let Some(usage) = self.usage {
            let mut count = |name, tokens: u64| {
                attributes.push(KeyValue::new(name, i64::try_from(tokens).unwrap_or(i64::MAX)));
            };
            count("gen_ai.usage.input_tokens", usage.input);
            count("gen_ai.usage.output_tokens", usage.output);
            count("gen_ai.usage.cache_read.input_tokens", usage.cached_input);
            count("gen_ai.usage.cache_creation.input_tokens", usage.cache_write);
        }
        attributes
    }
}

/// Returns the value of `error.type`: one of a small set of words or status codes.
fn error_type(failure: &Failure) -> Cow<'static, str> {
    match failure {
        Failure::Unreachable(_) => "unreachable".into(),
        Failure::TimedOut { .. } => "timeout".into(),
        Failure::Throttled { .. } => "429".into(),
        Failure::Unavailable { status, .. } | Failure::Refused { status, .. } => status.to_string().into(),
        Failure::Unauthorized { .. } => "401".into(),
        Failure::NotSetUp { .. } => "not_set_up".into(),
        Failure::Malformed(_) => "malformed".into(),
        Failure::Unsupported { .. } => "unsupported".into(),
        Failure::CircuitOpen { .. } => "circuit_open".into(),
    }
}
