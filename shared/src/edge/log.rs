//! One JSON line per request, at the boundary: constant message, fields with units; never prompts, answers or keys.

use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::StreamExt as _;
use tracing_subscriber::EnvFilter;

use super::reject::Logged;
use crate::app::Facts;
use crate::model::id;

/// Starts logging to standard output, one JSON object per line. `filter` is `info`, `warn,shared=debug` and the like.
pub fn init(filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let json = tracing_subscriber::fmt().json().flatten_event(true).with_current_span(false).with_env_filter(filter);
    // A second start, in tests, keeps the first.
    let _ = json.try_init();
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const PROCESSING: HeaderName = HeaderName::from_static("openai-processing-ms");
const VERSION: HeaderName = HeaderName::from_static("openai-version");

/// Gives the request an id, times it, and logs it when its body has ended or the client has left.
pub(super) async fn log(request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let request_id = request_id(&request);
    let mut line = Line {
        begun,
        request_id: request_id.clone(),
        method: request.method().to_string(),
        route: request.extensions().get::<MatchedPath>().map_or_else(String::new, |path| path.as_str().to_owned()),
        status: 0,
        error: None,
        facts: None,
        left_to_send: None,
        finished: false,
    };
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        headers.insert(REQUEST_ID, value);
    }
    headers.insert(PROCESSING, HeaderValue::from(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)));
    headers.insert(VERSION, HeaderValue::from_static("2020-10-01"));
    line.status = response.status().as_u16();
    line.error = response.extensions().get::<Logged>().map(Logged::describe);
    line.left_to_send = response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    line.facts = response.extensions().get::<Facts>().cloned();
    if line.facts.is_none() {
        line.finished = true;
        return response; // Nothing is left to wait for: the line is written here.
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
            line.finished = true;
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
    facts: Option<Facts>,
    /// Of a body whose length is known: the server does not ask for more than that.
    left_to_send: Option<usize>,
    finished: bool,
}

impl Line {
    fn sent(&mut self, bytes: usize) {
        if let Some(left) = &mut self.left_to_send {
            *left = left.saturating_sub(bytes);
            self.finished = *left == 0;
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let facts = self.facts.take().unwrap_or_default();
        let closing = facts.closing.get().copied().unwrap_or_default();
        let duration_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    request.id = self.request_id,
                    http.method = self.method,
                    http.route = self.route,
                    http.status = self.status,
                    duration_ms,
                    model = facts.model,
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
