//! A provider on loopback that speaks OpenAI's API and sends only the bytes that the test gives it.

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

/// The provider. It ends when it is dropped.
pub struct Upstream {
    url: String,
    calls: mpsc::UnboundedReceiver<UpstreamCall>,
    _task: JoinSet<io::Result<()>>,
}

/// A call of the provider, which the test answers chunk by chunk.
pub struct UpstreamCall {
    pub body: Value,
    chunks: mpsc::UnboundedSender<Result<Bytes, io::Error>>,
}

type Chunks = mpsc::UnboundedReceiver<Result<Bytes, io::Error>>;

impl Upstream {
    /// Starts the provider on a free port.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/v1", listener.local_addr()?);
        let (got, calls) = mpsc::unbounded_channel();
        let router = Router::new().route("/v1/chat/completions", post(answer)).with_state(got);
        let mut task = JoinSet::new();
        task.spawn(async { axum::serve(listener, router).await });
        Ok(Self { url, calls, _task: task })
    }

    /// The name of the provider's key in Secrets Manager.
    pub const KEY_SECRET: &str = "weir/upstream";

    /// Returns a models file with one model of this provider, `priced`. A token of input costs one micro-dollar, a
    /// token of output two.
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

    /// Waits for the next call.
    pub async fn call(&mut self) -> Option<UpstreamCall> {
        self.calls.recv().await
    }

    /// Whether there was no call that the test has not yet got from [`Upstream::call`].
    #[must_use]
    pub fn is_quiet(&mut self) -> bool {
        self.calls.try_recv().is_err()
    }
}

async fn answer(State(calls): State<mpsc::UnboundedSender<UpstreamCall>>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let content_type = if body["stream"] == true { "text/event-stream" } else { "application/json" };
    let (chunks, receiver) = mpsc::unbounded_channel();
    let _ = calls.send(UpstreamCall { body, chunks });
    let body =
        Body::from_stream(unfold(receiver, async |mut receiver: Chunks| Some((receiver.recv().await?, receiver))));
    ([("content-type", content_type)], body).into_response()
}

impl UpstreamCall {
    /// Sends an event of the stream.
    pub fn event(&self, data: impl AsRef<[u8]>) {
        self.bytes([b"data: ", data.as_ref(), b"\n\n"].concat());
    }

    /// Sends bytes unchanged.
    pub fn bytes(&self, bytes: impl Into<Bytes>) {
        let _ = self.chunks.send(Ok(bytes.into()));
    }

    /// Breaks the connection.
    pub fn break_off(self) {
        let _ = self.chunks.send(Err(io::ErrorKind::ConnectionReset.into()));
    }
}
