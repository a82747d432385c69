//! The span of one call of a provider, in the words of `OpenTelemetry`'s conventions for generative AI.

use std::borrow::Cow;

use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, unfold};
use opentelemetry::trace::{SpanBuilder, SpanKind, Status, TraceContextExt as _};
use opentelemetry::{Array, Context, KeyValue, StringValue, Value};
use serde::Deserialize;

use super::messages::{self, Output};
use super::{Telemetry, traceparent};
use crate::model::object::Object;
use crate::model::provider::{Endpoint, Event, Failure, Whole};
use crate::model::tokens::Usage;

/// One call of a provider while it goes on. Its span is complete when this is dropped.
pub(in crate::app) struct Generation {
    context: Context,
    /// What the answer says, where somebody records it.
    seen: Option<Box<Seen>>,
}

#[derive(Default)]
struct Seen {
    id: Option<String>,
    model: Option<String>,
    /// By the index of the choice.
    finish_reasons: Vec<Option<String>>,
    usage: Option<Usage>,
    output: Option<Output>,
}

impl Generation {
    /// Begins `{operation} {model}` below the current span.
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
        let mut begun = Self { context, seen: None };
        if telemetry.tracer.is_some() && begun.context.span().is_recording() {
            let records = telemetry.tracer.is_some_and(|tracer| tracer.records_messages);
            let records = records && endpoint == Endpoint::ChatCompletions;
            if records && let Some(input) = messages::input(body) {
                begun.context.span().set_attribute(KeyValue::new("gen_ai.input.messages", input));
            }
            begun.seen = Some(Box::new(Seen { output: records.then(Output::default), ..Seen::default() }));
        }
        begun
    }

    /// What the provider is to continue.
    pub(in crate::app) fn traceparent(&self) -> Option<String> {
        traceparent(&self.context)
    }

    /// The call failed before its answer began.
    pub(in crate::app) fn failed(self, failure: &Failure) {
        self.note_failure(failure);
    }

    /// The answer came whole.
    pub(in crate::app) fn whole(mut self, whole: &Whole) {
        self.see(&whole.body, whole.usage);
    }

    /// Watches a stream until it ends.
    pub(in crate::app) fn stream(
        self,
        events: BoxStream<'static, Result<Event, Failure>>,
    ) -> BoxStream<'static, Result<Event, Failure>> {
        if self.seen.is_none() {
            return events;
        }
        unfold(Some((self, events)), async |state| {
            let (mut generation, mut events) = state?;
            // The span is complete before whoever reads learns of the end.
            let event = events.next().await?;
            match &event {
                Ok(event) => generation.see(&event.data, event.usage),
                Err(failure) => {
                    generation.note_failure(failure);
                    return Some((event, None));
                }
            }
            Some((event, Some((generation, events))))
        })
        .boxed()
    }

    fn see(&mut self, json: &[u8], usage: Option<Usage>) {
        let Some(seen) = &mut self.seen else { return };
        seen.usage = usage.or(seen.usage);
        // What is no answer of the usual shape has nothing to be noted.
        if let Ok(answer) = serde_json::from_slice(json) {
            seen.note(answer);
        }
    }

    fn note_failure(&self, failure: &Failure) {
        let span = self.context.span();
        if span.is_recording() {
            span.set_attribute(KeyValue::new("error.type", error_type(failure)));
            span.set_status(Status::error(error_type(failure)));
        }
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        let Some(seen) = self.seen.take() else { return };
        let span = self.context.span();
        span.set_attributes(seen.attributes());
        span.end();
    }
}

/// What is noted of an answer or of a chunk of one.
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
    message: Option<messages::Said>,
}

/// More choices than a call can ask for.
const MAX_CHOICES: usize = 128;

impl Seen {
    fn note(&mut self, answer: Answer<'_>) {
        self.id = self.id.take().or_else(|| answer.id.map(Cow::into_owned));
        self.model = self.model.take().or_else(|| answer.model.map(Cow::into_owned));
        for choice in answer.choices.into_iter().filter(|choice| choice.index < MAX_CHOICES) {
            if choice.index >= self.finish_reasons.len() {
                self.finish_reasons.resize(choice.index + 1, None);
            }
            if let (Some(output), Some(said)) = (&mut self.output, choice.message) {
                output.add(choice.index, said);
            }
            if choice.finish_reason.is_some() {
                self.finish_reasons[choice.index] = choice.finish_reason;
            }
        }
    }

    fn attributes(self) -> Vec<KeyValue> {
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

/// A failure in one of few words.
fn error_type(failure: &Failure) -> Cow<'static, str> {
    match failure {
        Failure::Unreachable(_) => "unreachable".into(),
        Failure::TimedOut { .. } => "timeout".into(),
        Failure::Throttled { .. } => "429".into(),
        Failure::Unavailable { status, .. } | Failure::Refused { status, .. } => status.to_string().into(),
        Failure::Unauthorized { .. } => "401".into(),
        Failure::Malformed(_) => "malformed".into(),
        Failure::Unsupported { .. } => "unsupported".into(),
        Failure::CircuitOpen { .. } => "circuit_open".into(),
    }
}
