//! A webhook receiver on loopback that follows a script and remembers its requests, and the names that lead to it.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Request, Response};
use axum::serve::ListenerExt as _;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use outbound::Resolve;
use shared::model::clock::{Clock, Timestamp};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The answer of a receiver.
#[derive(Debug, Clone)]
pub struct HookReply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub after: Duration,
    pub body: Bytes,
}

impl HookReply {
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), after: Duration::ZERO, body: Bytes::new() }
    }

    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Answers after a while, of the system's clock.
    #[must_use]
    pub fn after(mut self, after: Duration) -> Self {
        self.after = after;
        self
    }
}

/// One request as a receiver got it.
#[derive(Debug, Clone)]
pub struct Received {
    /// By the clock of the app.
    pub at: Timestamp,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Received {
    /// A header, or nothing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Whether one of the signatures is that of a secret, by the library of Standard Webhooks.
    #[must_use]
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let webhook = standardwebhooks::Webhook::new(secret).expect("the secret can be read");
        let timestamp = self.header("webhook-timestamp").parse().expect("the timestamp is a number");
        let expected = webhook.sign(self.header("webhook-id"), timestamp, &self.body).expect("the body is signed");
        self.header("webhook-signature").split(' ').any(|signature| signature == expected)
    }
}

struct Shared {
    clock: Clock,
    default: Mutex<HookReply>,
    next: Mutex<VecDeque<HookReply>>,
    received: Mutex<Vec<Received>>,
    connections: AtomicUsize,
}

/// A receiver that runs until it is dropped. It gives the answers of its script in order, then the default for ever.
pub struct Hook {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Hook {
    /// A receiver that answers 200.
    #[expect(clippy::disallowed_methods, reason = "a receiver is another process")]
    pub async fn start(clock: &Clock) -> Self {
        let shared = Arc::new(Shared {
            clock: clock.clone(),
            default: Mutex::new(HookReply::status(200)),
            next: Mutex::default(),
            received: Mutex::default(),
            connections: AtomicUsize::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let counting = Arc::clone(&shared);
        let listener = listener.tap_io(move |_| {
            counting.connections.fetch_add(1, Ordering::SeqCst);
        });
        let router = Router::new().fallback(receive).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("the receiver serves");
        });
        Self { address, shared, server }
    }

    /// Its URL, by its address.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("127.0.0.1")
    }

    /// Its URL, by a name.
    #[must_use]
    pub fn url_of(&self, host: &str) -> String {
        format!("http://{host}:{}/hook", self.address.port())
    }

    pub fn then(&self, reply: HookReply) {
        self.shared.next.lock().unwrap().push_back(reply);
    }

    pub fn always(&self, reply: HookReply) {
        *self.shared.default.lock().unwrap() = reply;
    }

    /// The requests so far.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// How many connections were made to it.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

async fn receive(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.expect("the body comes").to_bytes();
    shared.received.lock().unwrap().push(Received { at: shared.clock.now(), headers: parts.headers, body });
    let reply = shared.next.lock().unwrap().pop_front();
    let reply = reply.unwrap_or_else(|| shared.default.lock().unwrap().clone());
    tokio::time::sleep(reply.after).await;
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(reply.body)).expect("the answer is well formed")
}

/// Names and their addresses. A name that was not set has none.
#[derive(Clone, Default)]
pub struct Names(Arc<Mutex<HashMap<String, Vec<IpAddr>>>>);

impl Names {
    /// Lets a name mean these addresses from now on.
    pub fn set(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().expect("it is an address")).collect();
        self.0.lock().unwrap().insert(name.to_owned(), addresses);
    }

    /// Lets a name have no address.
    pub fn forget(&self, name: &str) {
        self.0.lock().unwrap().remove(name);
    }
}

#[async_trait]
impl Resolve for Names {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let found = self.0.lock().unwrap().get(name).cloned();
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}
