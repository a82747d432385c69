//! A provider on loopback that speaks OpenAI's API and does nothing that the test has not told it.

use std::io;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use futures_util::stream::unfold;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// The provider. It ends when dropped.
pub struct Upstream {
    url: String,
    calls: mpsc::UnboundedReceiver<UpstreamCall>,
    _task: JoinSet<io::Result<()>>,
}

/// A call that the provider has got: the test answers it, chunk by chunk.
pub struct UpstreamCall {
    pub body: Value,
    chunks: mpsc::UnboundedSender<Result<Bytes, io::Error>>,
}

type Chunks = mpsc::UnboundedReceiver<Result<Bytes, io::Error>>;

impl Upstream {
    /// # Errors
    /// If there is no free port.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/v1", listener.local_addr()?);
        let (got, calls) = mpsc::unbounded_channel();
        let router = Router::new().route("/v1/chat/completions", post(answer)).with_state(got);
        let mut task = JoinSet::new();
        task.spawn(async { axum::serve(listener, router).await });
        Ok(Self { url, calls, _task: task })
    }

    /// The name of its key in Secrets Manager.
    pub const KEY_SECRET: &str = "weir/upstream";

    /// A models file with one model of this provider, `priced`: 1 and 2 micro-dollars per token in and out.
    #[must_use]
    pub fn models(&self) -> String {
        format!(
            "[[provider]]\nname = 'upstream'\nkind = 'openai'\nbase_url = '{}'\napi_key_secret = '{}'\n\n\
             [[model]]\nname = 'priced'\nkind = 'chat'\nprice = {{ input = 1.0, output = 2.0 }}\ncontext_tokens = 128000\n\
             max_output_tokens = 4096\ntargets = [{{ provider = 'upstream', model = 'upstream-1' }}]\n",
            self.url,
            Self::KEY_SECRET
        )
    }

    /// The next call that is made.
    pub async fn call(&mut self) -> Option<UpstreamCall> {
        self.calls.recv().await
    }

    /// Whether there were no calls but those that were taken.
    #[must_use]
    pub fn is_quiet(&mut self) -> bool {
        self.calls.try_recv().is_err()
    }
}

async fn answer(State(got): State<mpsc::UnboundedSender<UpstreamCall>>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let content_type = if body["stream"] == true { "text/event-stream" } else { "application/json" };
    let (chunks, told) = mpsc::unbounded_channel();
    let _ = got.send(UpstreamCall { body, chunks });
    let body = Body::from_stream(unfold(told, async |mut told: Chunks| Some((told.recv().await?, told))));
    ([("content-type", content_type)], body).into_response()
}

impl UpstreamCall {
    /// Sends an event of the stream.
    pub fn event(&self, data: impl AsRef<[u8]>) {
        self.bytes([b"data: ", data.as_ref(), b"\n\n"].concat());
    }

    /// Sends bytes as they are.
    pub fn bytes(&self, bytes: impl Into<Bytes>) {
        let _ = self.chunks.send(Ok(bytes.into()));
    }

    /// Breaks the connection.
    pub fn break_off(self) {
        let _ = self.chunks.send(Err(io::ErrorKind::ConnectionReset.into()));
    }
}
