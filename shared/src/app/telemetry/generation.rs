//! The span of one call to a provider. It follows the `OpenTelemetry` semantic conventions for generative AI.

use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, unfold};
use opentelemetry::trace::{SpanBuilder, SpanKind, Status, TraceContextExt as _};
use opentelemetry::{Array, Context, KeyValue, StringValue, Value};

use super::{Telemetry, traceparent};
use crate::dialects::openai_chat::AnswerSummary;
use crate::dialects::openai_chat::transcript::{Output, input_messages};
use crate::model::object::Object;
use crate::model::provider::{Endpoint, Event, Failure, Whole};
use crate::model::tokens::Usage;

/// A call to a provider in progress. Dropping it ends the span.
pub(in crate::app) struct Generation {
    context: Context,
    /// The summary of the answer. `None` if the span is not recorded.
    summary: Option<Box<AnswerSummary>>,
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
        if let Some(summary) = &mut self.summary {
            summary.add(json, usage);
        }
    }

    fn record_failure(&self, failure: &Failure) {
        let span = self.context.span();
        if span.is_recording() {
            span.set_attribute(KeyValue::new("error.type", failure.kind()));
            span.set_status(Status::error(failure.kind()));
        }
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        let Some(summary) = self.summary.take() else { return };
        let span = self.context.span();
        span.set_attributes(to_attributes(*summary));
        span.end();
    }
}

/// The attributes of a span from the summary of its answer.
fn to_attributes(summary: AnswerSummary) -> Vec<KeyValue> {
    let AnswerSummary { id, model, finish_reasons, usage, output } = summary;
    let texts = [("gen_ai.response.id", id), ("gen_ai.response.model", model)];
    let mut attributes: Vec<KeyValue> =
        texts.into_iter().filter_map(|(name, text)| Some(KeyValue::new(name, text?))).collect();
    if let Some(output) = output.and_then(|output| output.to_json(&finish_reasons)) {
        attributes.push(KeyValue::new("gen_ai.output.messages", output));
    }
    let reasons: Vec<StringValue> = finish_reasons.into_iter().flatten().map(StringValue::from).collect();
    if !reasons.is_empty() {
        attributes.push(KeyValue::new("gen_ai.response.finish_reasons", Value::Array(Array::String(reasons))));
    }
    if let Some(usage) = usage {
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
