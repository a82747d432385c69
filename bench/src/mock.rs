//! The provider: it answers OpenAI's chat completions at once or after a delay, whole or as a stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::StreamExt as _;
use futures_util::stream::{iter, once, unfold};
use serde::Deserialize;

/// A model that answers at once.
pub(crate) const QUICK: &str = "quick";
/// A model that answers after [`SLOW_TIME`].
pub(crate) const SLOW: &str = "slow";
pub(crate) const SLOW_TIME: Duration = Duration::from_secs(2);

/// A model that answers after [`SOON_TIME`].
pub(crate) const SOON: &str = "soon";
const SOON_TIME: Duration = Duration::from_millis(50);

/// A model whose streams last ten seconds.
pub(crate) const LONG: &str = "long";
/// A model that answers after half a minute, and belongs to a provider of its own.
pub(crate) const STALLED: &str = "stalled";
const STALLED_TIME: Duration = Duration::from_secs(30);

/// The content chunks of a stream, and the time before each.
const CHUNKS: usize = 20;
const BETWEEN_CHUNKS: Duration = Duration::from_millis(5);
const BETWEEN_CHUNKS_OF_LONG: Duration = Duration::from_millis(500);

/// Returns the body of a request with a short conversation.
pub(crate) fn request(model: &str, stream: bool) -> String {
    let system = "You are a helpful assistant who answers questions about travel. ".repeat(8);
    let user = "Which sights can I see in one day in Lisbon if I like trams? ".repeat(4);
    let messages = serde_json::json!([{"role": "system", "content": system}, {"role": "user", "content": user}]);
    let mut body =
        serde_json::json!({"model": model, "messages": messages, "max_completion_tokens": 300, "temperature": 0.2});
    if stream {
        body["stream"] = true.into();
        body["stream_options"] = serde_json::json!({"include_usage": true});
    }
    body.to_string()
}

/// Reads the system's clock, which all processes of a machine share.
#[expect(clippy::disallowed_methods, reason = "measured to the microsecond, across processes")]
pub(crate) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Returns the time at which the provider sent the first event in `text`: the id of the event contains it.
pub(crate) fn sent_at(text: &[u8]) -> Option<Duration> {
    let (_, rest) = std::str::from_utf8(text).ok()?.split_once("\"id\":\"chatcmpl-")?;
    let (micros, _) = rest.split_once('"')?;
    micros.parse().ok().map(Duration::from_micros)
}

/// The number of open calls: now, and at most so far.
#[derive(Default)]
struct InFlight {
    now: AtomicUsize,
    most: AtomicUsize,
}

/// Counts a call as open until it is dropped.
struct OpenCall(Arc<InFlight>);

impl OpenCall {
    fn new(calls: Arc<InFlight>) -> Self {
        let count = calls.now.fetch_add(1, Ordering::Relaxed) + 1;
        calls.most.fetch_max(count, Ordering::Relaxed);
        Self(calls)
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(crate) fn router() -> Router {
    Router::new()
        .route("/v1/chat/completions", post(answer))
        .route(
            "/most-in-flight",
            get(async |State(calls): State<Arc<InFlight>>| calls.most.load(Ordering::Relaxed).to_string()),
        )
        .with_state(Arc::default())
}

#[derive(Deserialize)]
struct Asked {
    model: String,
    #[serde(default)]
    stream: bool,
}

async fn answer(State(calls): State<Arc<InFlight>>, body: Bytes) -> Response {
    let Ok(asked) = serde_json::from_slice::<Asked>(&body) else {
        return (axum::http::StatusCode::BAD_REQUEST, "no chat completion").into_response();
    };
    let open_call = OpenCall::new(calls);
    match asked.model.as_str() {
        SLOW => tokio::time::sleep(SLOW_TIME).await,
        SOON => tokio::time::sleep(SOON_TIME).await,
        STALLED => tokio::time::sleep(STALLED_TIME).await,
        _ => {}
    }
    let gap = if asked.model == LONG { BETWEEN_CHUNKS_OF_LONG } else { BETWEEN_CHUNKS };
    if asked.stream { events(gap, open_call) } else { whole() }
}

const USAGE: &str = r#"{"prompt_tokens":160,"completion_tokens":80,"total_tokens":240,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}"#;

fn whole() -> Response {
    let content = "Take tram 28 from Martim Moniz through Graça and Alfama. ".repeat(8);
    let body = format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1790000000,"model":"quick-2026","choices":[{{"index":0,"message":{{"role":"assistant","content":"{content}","refusal":null,"annotations":[]}},"logprobs":null,"finish_reason":"stop"}}],"usage":{USAGE},"service_tier":"default","system_fingerprint":"fp_1"}}"#
    );
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

fn events(gap: Duration, open_call: OpenCall) -> Response {
    let first = chunk(r#"[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]"#, "null");
    let words = unfold(0, move |sent| async move {
        if sent == CHUNKS {
            return None;
        }
        tokio::time::sleep(gap).await;
        Some((chunk(r#"[{"index":0,"delta":{"content":" tram"},"finish_reason":null}]"#, "null"), sent + 1))
    });
    let last = async move {
        let _open_call = open_call;
        let finish = chunk(r#"[{"index":0,"delta":{},"finish_reason":"stop"}]"#, "null");
        finish + &chunk("[]", USAGE) + "data: [DONE]\n\n"
    };
    let all = iter([first]).chain(words).chain(once(last));
    let body = Body::from_stream(all.map(Ok::<_, std::convert::Infallible>));
    ([(CONTENT_TYPE, "text/event-stream")], body).into_response()
}

fn chunk(choices: &str, usage: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-{}\",\"object\":\"chat.completion.chunk\",\"created\":1790000000,\"model\":\"quick-2026\",\
         \"choices\":{choices},\"usage\":{usage}}}\n\n",
        now().as_micros()
    )
}
