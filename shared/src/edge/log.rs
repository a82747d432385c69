//! One JSON log line per request, with a constant message and units in its fields. It never holds prompts, answers or
//! keys.
//!
//! The metrics and the span of the request end at the same place.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::StreamExt as _;
use lambda_http::RequestExt as _;
use lambda_http::request::RequestContext;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanBuilder, SpanKind};
use opentelemetry::{Context, KeyValue};

use super::answer::RequestedModel;
use super::reject::LoggedRejection;
use super::sender::{SenderSlot, source_address};
use super::telemetry::{self, Function, RequestEnd, Telemetry};
use crate::app::{CallMetadata, FinalUsage};
use crate::model::id;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const PROCESSING: HeaderName = HeaderName::from_static("openai-processing-ms");
const VERSION: HeaderName = HeaderName::from_static("openai-version");

/// The id of a request, for its handler.
#[derive(Clone)]
pub(super) struct RequestId(pub(super) String);

/// Gives the request an id and a span, times it, and logs it when its body has ended or the client has left.
pub(super) async fn log(mut request: Request, next: Next) -> Response {
    let mut line = Line::begin(&request);
    request.extensions_mut().insert(RequestId(line.request_id.clone()));
    request.extensions_mut().insert(line.sender.clone());
    let mut response = next.run(request).with_context(line.span.clone()).await;
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&line.request_id) {
        headers.insert(REQUEST_ID, value);
    }
    headers.insert(PROCESSING, HeaderValue::from(line.duration_ms()));
    headers.insert(VERSION, HeaderValue::from_static("2020-10-01"));
    line.read(&response);
    if line.metadata.is_none() {
        line.finish().await; // The whole body is in memory: its end would add nothing to the line.
        return response;
    }
    response.map(|body| log_at_end(body, line))
}

/// The client's own id of the request, if it is printable. It names nothing for sure: a client can send one twice, or that
/// of another client.
fn client_request_id(request: &Request) -> Option<String> {
    let sent = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let is_printable = |id: &&str| (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    sent.filter(is_printable).map(str::to_owned)
}

/// API Gateway's id of the request, which its access log has; `None` where no API Gateway is.
fn gateway_id(request: &Request) -> Option<String> {
    match request.request_context_ref()? {
        RequestContext::ApiGatewayV1(context) => context.request_id.clone(),
        RequestContext::ApiGatewayV2(context) => context.request_id.clone(),
        _ => None,
    }
}

/// Passes the body on and finishes the line after its last chunk.
fn log_at_end(body: Body, line: Line) -> Body {
    let chunks = body.into_data_stream();
    let state = (chunks, line);
    Body::from_stream(futures_util::stream::unfold(state, async |(mut chunks, mut line)| match chunks.next().await {
        Some(chunk) => {
            line.count_chunk(chunk.as_ref().map_or(0, |chunk| chunk.len()));
            Some((chunk, (chunks, line)))
        }
        None => {
            line.finish().await;
            None
        }
    }))
}

/// The log line of one request. Dropping it writes it, so that it is written however the request ends.
struct Line {
    begun: Instant,
    request_id: String,
    client_request_id: Option<String>,
    gateway_id: Option<String>,
    address: Option<IpAddr>,
    sender: SenderSlot,
    method: String,
    route: String,
    status: u16,
    error: Option<String>,
    metadata: Option<CallMetadata>,
    /// The charge for a call that failed.
    charged: Option<FinalUsage>,
    /// The requested model, as the catalog names it; empty if the catalog does not have it.
    model: String,
    is_budget_refusal: bool,
    is_key_refusal: bool,
    function: &'static str,
    /// The bytes that remain of a body of known length. The server does not poll such a body after its last byte.
    left_to_send: Option<usize>,
    /// The time from the begin until the first chunk of the body left.
    first_byte: Option<Duration>,
    /// Whether the whole body was sent.
    is_complete: bool,
    span: Context,
    telemetry: Telemetry,
}

impl Line {
    fn begin(request: &Request) -> Self {
        let telemetry = Telemetry::current();
        let method = request.method().to_string();
        let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
        let traceparent = request.headers().get("traceparent").and_then(|header| header.to_str().ok());
        let span = telemetry.start_span(traceparent, || {
            SpanBuilder::from_name(format!("{method} {route}")).with_kind(SpanKind::Server).with_attributes([
                KeyValue::new("http.request.method", method.clone()),
                KeyValue::new("http.route", route.to_owned()),
                KeyValue::new("url.path", request.uri().path().to_owned()),
            ])
        });
        Self {
            begun: Instant::now(),
            request_id: id::new("req_"),
            client_request_id: client_request_id(request),
            gateway_id: gateway_id(request),
            address: source_address(request.extensions()),
            sender: SenderSlot::default(),
            route: route.to_owned(),
            method,
            status: 0,
            error: None,
            metadata: None,
            charged: None,
            model: String::new(),
            is_budget_refusal: false,
            is_key_refusal: false,
            function: telemetry.function(),
            left_to_send: None,
            first_byte: None,
            is_complete: false,
            span,
            telemetry,
        }
    }

    fn duration_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Writes the line after the whole body was sent, and waits until the span has left the process.
    async fn finish(mut self) {
        self.is_complete = true;
        let telemetry = self.telemetry.clone();
        drop(self);
        telemetry.flush().await;
    }

    /// Reads the status, the error and the metadata of the call from the response.
    fn read(&mut self, response: &Response) {
        let (headers, extensions) = (response.headers(), response.extensions());
        self.status = response.status().as_u16();
        let rejection = extensions.get::<LoggedRejection>();
        self.error = rejection.map(LoggedRejection::describe);
        self.is_budget_refusal = rejection.is_some_and(LoggedRejection::is_budget_refusal);
        self.is_key_refusal = rejection.is_some_and(LoggedRejection::is_key_refusal);
        self.left_to_send = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        self.metadata = extensions.get::<CallMetadata>().cloned();
        self.charged = extensions.get::<FinalUsage>().copied();
        let requested = extensions.get::<RequestedModel>().map(|RequestedModel(model)| model);
        let called = self.metadata.as_ref().map(|metadata| &metadata.model).filter(|model| !model.is_empty());
        self.model = called.or(requested).cloned().unwrap_or_default();
        self.function = extensions.get::<Function>().map_or(self.function, |Function(name)| *name);
    }

    /// `limited` and `client_error` are for the caller to fix. A caller that hung up counts as `client_error`.
    fn outcome(&self) -> &'static str {
        let metadata = self.metadata.as_ref();
        let is_broken = metadata.is_some_and(|metadata| match metadata.final_usage.get() {
            Some(last) => last.failed,
            // The run died before it could settle the call.
            None => self.is_complete && metadata.provider.is_some(),
        });
        match self.status {
            429 => "limited",
            400..500 => "client_error",
            500.. => "error",
            _ if is_broken => "error",
            _ if !self.is_complete => "client_error",
            _ => "ok",
        }
    }

    /// Records the metrics and ends the span.
    fn record(&self) {
        let outcome = self.outcome();
        let is_stream = self.metadata.is_some() && self.left_to_send.is_none();
        self.telemetry.record_request(&RequestEnd {
            function: self.function,
            outcome,
            model: &self.model,
            duration: self.begun.elapsed(),
            first_byte: self.first_byte,
            is_stream,
            metadata: self.metadata.as_ref(),
            charged: self.charged,
            is_budget_refusal: self.is_budget_refusal,
            is_key_refusal: self.is_key_refusal,
        });
        let status = KeyValue::new("http.response.status_code", i64::from(self.status));
        let function = KeyValue::new("faas.name", self.function);
        let error = (outcome == "error").then(|| match self.status {
            500.. => self.status.to_string(),
            _ => "stream_interrupted".to_owned(),
        });
        telemetry::end_span(&self.span, vec![status, function], error);
    }

    fn count_chunk(&mut self, bytes: usize) {
        self.first_byte.get_or_insert_with(|| self.begun.elapsed());
        if let Some(left) = &mut self.left_to_send {
            *left = left.saturating_sub(bytes);
            self.is_complete = *left == 0;
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.record();
        let metadata = self.metadata.take().unwrap_or_default();
        let last = metadata.final_usage.get().copied().or(self.charged).unwrap_or_default();
        let duration_ms = self.duration_ms();
        let sender = self.sender.get();
        let address = self.address.map(|address| address.to_string());
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    request.id = self.request_id,
                    client_request_id = self.client_request_id,
                    gateway.request_id = self.gateway_id,
                    project.id = sender.and_then(|sender| sender.project_id.as_deref()),
                    key.id = sender.map(|sender| &*sender.key_id),
                    client.address = address,
                    http.method = self.method,
                    http.route = self.route,
                    http.status = self.status,
                    duration_ms,
                    model = self.model,
                    provider = metadata.provider,
                    attempts = metadata.attempts,
                    cache = metadata.cache.name(),
                    replayed = metadata.replayed,
                    input_tokens = last.usage.input,
                    output_tokens = last.usage.output,
                    pieces = last.usage.pieces,
                    cost_micro_usd = last.cost.0,
                    body_complete = self.is_complete,
                    error = self.error,
                    "request"
                )
            };
        }
        if self.status >= 500 { line!(error) } else { line!(info) }
    }
}
