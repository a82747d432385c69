//! A server that plays recorded answers and records requests.

use std::io::Read as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde_json::Value;
use shared::model::catalog::{Catalog, KeySource};
use shared::model::clock::Clock;
use shared::model::form::Uploads;
use shared::model::keys::{KeyError, Keys};
use shared::model::object::Object;
use shared::model::provider::{Endpoint, Event, Failure, Provider, ProviderRequest, Reply};
use shared::model::provider_batch::Exchange;
use shared::model::secret::Secret;

/// The server's answer.
#[derive(Clone)]
pub(crate) struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, &'static str)>,
    /// Sent one after the other, as separate pieces.
    pub pieces: Vec<Bytes>,
    /// Whether the connection breaks after the last piece.
    pub breaks: bool,
}

impl Answer {
    pub(crate) fn json(status: u16, body: &'static str) -> Self {
        let pieces = vec![Bytes::from_static(body.as_bytes())];
        Self { status, headers: vec![("content-type", "application/json")], pieces, breaks: false }
    }

    /// JSON that is compressed, in two pieces.
    pub(crate) fn gzipped(status: u16, content_type: &'static str, body: &str) -> Self {
        let mut encoder = flate2::read::GzEncoder::new(body.as_bytes(), flate2::Compression::fast());
        let mut packed = Vec::new();
        encoder.read_to_end(&mut packed).unwrap();
        let pieces = packed.chunks(packed.len() / 2 + 1).map(Bytes::copy_from_slice).collect();
        Self {
            status,
            headers: vec![("content-type", content_type), ("content-encoding", "gzip")],
            pieces,
            breaks: false,
        }
    }

    /// A stream in pieces of three bytes: every line and every longer character is cut.
    pub(crate) fn sse(text: &str) -> Self {
        let pieces = text.as_bytes().chunks(3).map(Bytes::copy_from_slice).collect();
        Self { status: 200, headers: vec![("content-type", "text/event-stream")], pieces, breaks: false }
    }

    pub(crate) fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// A request that the server got.
#[derive(Clone)]
pub(crate) struct Got {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

type Shared = Arc<(Answer, Mutex<Option<Got>>)>;

/// A running server.
pub(crate) struct Server {
    pub base_url: String,
    shared: Shared,
}

impl Server {
    pub(crate) async fn start(answer: Answer) -> Self {
        let shared: Shared = Arc::new((answer, Mutex::new(None)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let router = Router::new().fallback(play).with_state(shared.clone());
        #[expect(clippy::disallowed_methods, reason = "the server lives beside the test, not in a function")]
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { base_url, shared }
    }

    /// The last request.
    pub(crate) fn got(&self) -> Got {
        self.shared.1.lock().unwrap().clone().expect("a request came")
    }
}

async fn play(State(shared): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    *shared.1.lock().unwrap() = Some(Got { path: parts.uri.to_string(), headers: parts.headers, body });
    let answer = shared.0.clone();
    let end = answer.breaks.then(|| Err(std::io::Error::other("the test ends the connection here")));
    let pieces = stream::iter(answer.pieces.into_iter().map(Ok).chain(end)).then(|piece| async {
        // Another turn of the runtime, so that each piece is written on its own.
        tokio::task::yield_now().await;
        piece
    });
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response.body(Body::from_stream(pieces)).unwrap()
}

/// A server that reads one request and closes the connection: its URL, and its work.
pub(crate) async fn closing_server() -> (String, impl Future<Output = ()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let work = async move {
        let (socket, _) = listener.accept().await.unwrap();
        socket.readable().await.unwrap();
        while socket.try_read(&mut [0; 4_096]).is_ok_and(|read| read > 0) {}
    };
    (url, work)
}

/// The address of a port where nothing listens.
pub(crate) async fn unused_url() -> String {
    let address = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    format!("http://{address}")
}

/// The only provider of a catalog; the key of each is `sk-provider`.
pub(crate) fn provider(toml: &str) -> Arc<dyn Provider> {
    let catalog = Catalog::parse(toml).unwrap();
    let clock = Clock::manual(1_700_000_000_000);
    providers::connect(Arc::new(TestKeys), &clock)(catalog.provider("it").unwrap())
}

/// The key `sk-provider`, which is `sk-newer` when it is asked for again.
struct TestKeys;

#[async_trait::async_trait]
impl Keys for TestKeys {
    async fn key(&self, source: &KeySource) -> Result<Option<Secret>, KeyError> {
        match source {
            KeySource::None => Ok(None),
            KeySource::Env(name) if name == "ABSENT" => Err(KeyError("`ABSENT` is not set".to_owned())),
            KeySource::Env(name) if name == "BROKEN" => Ok(Some(Secret::new("line\nbreak"))),
            _ => Ok(Some(Secret::new("sk-provider"))),
        }
    }

    async fn renewed(&self, _: &KeySource, refused: &Secret) -> Option<Secret> {
        (refused.expose() == "sk-provider").then(|| Secret::new("sk-newer"))
    }
}

pub(crate) fn call(endpoint: Endpoint, body: &str, stream: bool) -> ProviderRequest {
    ProviderRequest {
        endpoint,
        model: "their-model".to_owned(),
        body: Object::parse(body.as_bytes()).unwrap(),
        uploads: Uploads::default(),
        stream,
        max_output_tokens: None,
        connect: Duration::from_secs(2),
        headers: Vec::new(),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        exchange: Exchange::Network,
    }
}

/// The events of a streamed reply; the last may be a failure.
pub(crate) async fn drain(reply: Reply) -> Vec<Result<Event, Failure>> {
    let Reply::Stream(stream) = reply else { panic!("the reply is not a stream") };
    stream.collect().await
}

/// The events of a stream without failures, one line each.
pub(crate) async fn lines(reply: Reply) -> String {
    let events = drain(reply).await;
    let line = |event: Result<Event, Failure>| {
        let data = String::from_utf8(event.unwrap().data.to_vec()).unwrap();
        assert!(!data.contains(['\n', '\r']), "{data}");
        data + "\n"
    };
    events.into_iter().map(line).collect()
}

/// Compares JSON lines one by one, so that a difference names its line.
#[track_caller]
pub(crate) fn same_lines(actual: &str, expected: &str) {
    let values = |text: &str| -> Vec<Value> { text.lines().map(|line| serde_json::from_str(line).unwrap()).collect() };
    let (actual, expected) = (values(actual), values(expected));
    for (one, other) in actual.iter().zip(&expected) {
        assert_eq!(one, other, "\n{one:#}\n{other:#}");
    }
    assert_eq!(actual.len(), expected.len(), "{:#?}", actual.last());
}

pub(crate) fn json(text: impl AsRef<[u8]>) -> Value {
    serde_json::from_slice(text.as_ref()).unwrap()
}

pub(crate) fn whole(reply: Reply) -> shared::model::provider::Whole {
    let Reply::Whole(whole) = reply else { panic!("the reply is a stream") };
    *whole
}

pub(crate) fn failure(result: Result<Reply, Failure>) -> Failure {
    result.err().expect("the provider fails")
}
