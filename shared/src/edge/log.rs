//! One JSON line per request, at the boundary: constant message, fields with units; never prompts, answers or keys. Its
//! metrics and its span are told at the same place.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::StreamExt as _;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanBuilder, SpanKind};
use opentelemetry::{Context, KeyValue};

use super::answer::Asked;
use super::reject::Logged;
use super::telemetry::{self, Function, RequestEnd, Telemetry};
use crate::app::CallMetadata;
use crate::model::id;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const PROCESSING: HeaderName = HeaderName::from_static("openai-processing-ms");
const VERSION: HeaderName = HeaderName::from_static("openai-version");

/// Gives the request an id and a span, times it, and logs it when its body has ended or the client has left.
pub(super) async fn log(request: Request, next: Next) -> Response {
    let mut line = Line::begin(&request);
    let mut response = next.run(request).with_context(line.span.clone()).await;
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&line.request_id) {
        headers.insert(REQUEST_ID, value);
    }
    headers.insert(PROCESSING, HeaderValue::from(line.duration_ms()));
    headers.insert(VERSION, HeaderValue::from_static("2020-10-01"));
    line.read(&response);
    if line.facts.is_none() {
        line.finish().await; // Nothing is left to wait for.
        return response;
    }
    response.map(|body| logged_at_end(body, line))
}

/// Takes the caller's id if it can be printed, else makes one.
fn request_id(request: &Request) -> String {
    let given = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let printable = |id: &&str| (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    given.filter(printable).map_or_else(|| id::new("req_"), str::to_owned)
}

fn logged_at_end(body: Body, line: Line) -> Body {
    let chunks = body.into_data_stream();
    let state = (chunks, line);
    Body::from_stream(futures_util::stream::unfold(state, async |(mut chunks, mut line)| match chunks.next().await {
        Some(chunk) => {
            line.sent(chunk.as_ref().map_or(0, |chunk| chunk.len()));
            Some((chunk, (chunks, line)))
        }
        None => {
            line.finish().await;
            None
        }
    }))
}

/// The line of one request; written when dropped, so that it is written however the request ends.
struct Line {
    begun: Instant,
    request_id: String,
    method: String,
    route: String,
    status: u16,
    error: Option<String>,
    facts: Option<CallMetadata>,
    /// That was asked for, if it exists.
    model: String,
    refused_for_money: bool,
    function: &'static str,
    /// Of a body whose length is known: the server does not ask for more than that.
    left_to_send: Option<usize>,
    /// When the first piece of the body left.
    first_byte: Option<Duration>,
    finished: bool,
    span: Context,
    telemetry: Telemetry,
}

impl Line {
    fn begin(request: &Request) -> Self {
        let telemetry = Telemetry::current();
        let method = request.method().to_string();
        let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
        let traceparent = request.headers().get("traceparent").and_then(|header| header.to_str().ok());
        let span = telemetry.incoming(traceparent, || {
            SpanBuilder::from_name(format!("{method} {route}")).with_kind(SpanKind::Server).with_attributes([
                KeyValue::new("http.request.method", method.clone()),
                KeyValue::new("http.route", route.to_owned()),
                KeyValue::new("url.path", request.uri().path().to_owned()),
            ])
        });
        Self {
            begun: Instant::now(),
            request_id: request_id(request),
            route: route.to_owned(),
            method,
            status: 0,
            error: None,
            facts: None,
            model: String::new(),
            refused_for_money: false,
            function: telemetry.function(),
            left_to_send: None,
            first_byte: None,
            finished: false,
            span,
            telemetry,
        }
    }

    fn duration_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The answer has ended: tells it, and waits until it is told.
    async fn finish(mut self) {
        self.finished = true;
        let telemetry = self.telemetry.clone();
        drop(self);
        telemetry.flush().await;
    }

    /// Takes what the response says of itself.
    fn read(&mut self, response: &Response) {
        let (headers, extensions) = (response.headers(), response.extensions());
        self.status = response.status().as_u16();
        let rejection = extensions.get::<Logged>();
        self.error = rejection.map(Logged::describe);
        self.refused_for_money = rejection.is_some_and(Logged::is_for_money);
        self.left_to_send = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        self.facts = extensions.get::<CallMetadata>().cloned();
        let asked = extensions.get::<Asked>().map(|Asked(model)| model);
        let model = self.facts.as_ref().map(|facts| &facts.model).filter(|model| !model.is_empty());
        self.model = model.or(asked).cloned().unwrap_or_default();
        self.function = extensions.get::<Function>().map_or(self.function, |Function(name)| *name);
    }

    /// `limited` and `client_error` are the caller's to mend; a caller that hung up is one of the latter.
    fn outcome(&self) -> &'static str {
        let facts = self.facts.as_ref();
        let broken = facts.is_some_and(|facts| match facts.closing.get() {
            Some(closing) => closing.failed,
            // Its run died before it could close its books.
            None => self.finished && facts.provider.is_some(),
        });
        match self.status {
            429 => "limited",
            400..500 => "client_error",
            500.. => "error",
            _ if broken => "error",
            _ if !self.finished => "client_error",
            _ => "ok",
        }
    }

    /// Tells the metrics and ends the span.
    fn tell(&self) {
        let outcome = self.outcome();
        let is_stream = self.facts.is_some() && self.left_to_send.is_none();
        self.telemetry.request(&RequestEnd {
            function: self.function,
            outcome,
            model: &self.model,
            duration: self.begun.elapsed(),
            first_byte: self.first_byte,
            is_stream,
            facts: self.facts.as_ref(),
            refused_for_money: self.refused_for_money,
        });
        let status = KeyValue::new("http.response.status_code", i64::from(self.status));
        let function = KeyValue::new("faas.name", self.function);
        let error = (outcome == "error").then(|| match self.status {
            500.. => self.status.to_string(),
            _ => "stream_interrupted".to_owned(),
        });
        telemetry::end(&self.span, vec![status, function], error);
    }

    fn sent(&mut self, bytes: usize) {
        self.first_byte.get_or_insert_with(|| self.begun.elapsed());
        if let Some(left) = &mut self.left_to_send {
            *left = left.saturating_sub(bytes);
            self.finished = *left == 0;
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.tell();
        let facts = self.facts.take().unwrap_or_default();
        let closing = facts.closing.get().copied().unwrap_or_default();
        let duration_ms = self.duration_ms();
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    request.id = self.request_id,
                    http.method = self.method,
                    http.route = self.route,
                    http.status = self.status,
                    duration_ms,
                    model = self.model,
                    provider = facts.provider,
                    attempts = facts.attempts,
                    cache = facts.cache.name(),
                    replayed = facts.replayed,
                    input_tokens = closing.usage.input,
                    output_tokens = closing.usage.output,
                    cost_micro_usd = closing.cost.0,
                    body_complete = self.finished,
                    error = self.error,
                    "request"
                )
            };
        }
        if self.status >= 500 { line!(error) } else { line!(info) }
    }
}
