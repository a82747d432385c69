//! HTTP for providers: clients, servers with their headers, and bounded reading.

mod failure;
mod google;
mod json_lines;
mod overflow;
mod server;
mod sigv4;
mod sse;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
pub(crate) use reqwest::Method;
use reqwest::StatusCode;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use shared::model::clock::Clock;
use shared::model::provider::{Awaited, Failure, ProviderRequest};
use shared::model::provider_batch::{Exchange, WrittenRequest};
use shared::model::secret::Secret;
use shared::model::shortage::is_shortage;

pub(crate) use failure::{
    ErrorBody, ended_with_error, failure_of_event, failure_of_google, refused_failure, unauthorized_failure,
};
pub(crate) use json_lines::json_lines;
pub(crate) use server::{KeyHeader, Server};
pub(crate) use sigv4::Aws;
use sigv4::Signed;
pub(crate) use sse::{SseEvent, events};

/// The limit of an answer that is not streamed. The largest answers are embeddings of a full batch, and ten images.
pub(crate) const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// The limit of a stream: 128,000 tokens with the 20 likeliest alternatives of each are about as long.
pub(crate) const MAX_STREAM_BYTES: usize = 256 * 1024 * 1024;
/// The limit of an error's body. The rest is not read.
const MAX_ERROR_BYTES: usize = 64 * 1024;
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A request to a provider's server.
pub(crate) struct Sent<'a> {
    pub(crate) method: Method,
    /// Below the base URL.
    pub(crate) path: &'a str,
    pub(crate) headers: &'a [(&'static str, String)],
    pub(crate) body: Bytes,
    /// Time to establish a connection.
    pub(crate) connect: Duration,
    pub(crate) traceparent: Option<&'a str>,
}

/// The HTTP clients of this process, one for each connection timeout.
///
/// A client is built on first use, because loading the trusted roots takes milliseconds. It is then kept with its pool
/// of connections.
pub(crate) struct Http {
    clock: Clock,
    clients: Mutex<HashMap<Duration, reqwest::Client>>,
    aws: Aws,
}

impl Http {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, clients: Mutex::default(), aws: Aws::default() }
    }

    /// Signs requests with these credentials instead of those of the process.
    pub(crate) fn with_aws(self, aws: Aws) -> Self {
        Self { aws, ..self }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    fn client(&self, connect: Duration) -> Result<reqwest::Client, Failure> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&connect) {
            return Ok(client.clone());
        }
        let client = reqwest::Client::builder()
            .connect_timeout(connect)
            .tcp_nodelay(true)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("weir/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| unanswered(error, connect))?;
        clients.insert(connect, client.clone());
        Ok(client)
    }

    /// Posts `body` and returns the answer if its status is a success.
    pub(crate) async fn post(
        &self,
        to: &Server,
        path: &str,
        call: &ProviderRequest,
        body: Bytes,
    ) -> Result<reqwest::Response, Failure> {
        match &call.exchange {
            Exchange::Network => {}
            Exchange::Written(place) => {
                // The place is new: a call is written once.
                let _ = place.set(WrittenRequest { path: path.to_owned(), body });
                return Err(Failure::NotSent);
            }
            Exchange::Answered { status, body } => return self.succeeded(batched_answer(*status, body.clone())?).await,
        }
        let (connect, traceparent) = (call.connect, call.traceparent.as_deref());
        self.send(to, &Sent { method: Method::POST, path, headers: &call.headers, body, connect, traceparent }).await
    }

    /// Sends a request and returns the answer if its status is a success. A provider that does not accept its key is asked
    /// once more if there is a newer key by now.
    pub(crate) async fn send(&self, to: &Server, sent: &Sent<'_>) -> Result<reqwest::Response, Failure> {
        let key = to.key().await?;
        let answered = self.send_with(key.as_ref(), to, sent).await;
        if to.scope().is_some() && matches!(answered, Err(Failure::Unauthorized { .. })) {
            self.aws.forget().await;
        }
        let (Err(Failure::Unauthorized { .. }), Some(refused)) = (&answered, &key) else { return answered };
        match to.renewed_key(refused).await {
            Some(newer) => self.send_with(Some(&newer), to, sent).await,
            None => answered,
        }
    }

    async fn send_with(
        &self,
        key: Option<&Secret>,
        to: &Server,
        sent: &Sent<'_>,
    ) -> Result<reqwest::Response, Failure> {
        let Sent { method, path, body, connect, .. } = sent;
        let mut headers = to.headers(key, sent.headers)?;
        if let Some(trace) = sent.traceparent.and_then(|text| HeaderValue::from_str(text).ok()) {
            headers.insert("traceparent", trace);
        }
        // A provider that compresses a stream holds events back. The client unpacks an answer that is compressed nevertheless.
        headers.entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static("identity"));
        let url = format!("{}{path}", to.base_url());
        self.sign(method.as_str(), &url, body, to, &mut headers).await?;
        let request = self.client(*connect)?.request(method.clone(), url).headers(headers).body(body.clone());
        let response = request.send().await.map_err(|error| unanswered(error, *connect))?;
        // AWS answers 403 to credentials that it does not accept, and to a role that may not call the model.
        if to.scope().is_some() && response.status() == StatusCode::FORBIDDEN {
            return Err(unauthorized_failure());
        }
        self.succeeded(response).await
    }

    async fn succeeded(&self, response: reqwest::Response) -> Result<reqwest::Response, Failure> {
        if response.status().is_success() { Ok(response) } else { Err(self.read_failure(response).await) }
    }

    /// Adds a signature to the headers, if the server wants one.
    async fn sign(
        &self,
        method: &str,
        url: &str,
        body: &[u8],
        to: &Server,
        headers: &mut HeaderMap,
    ) -> Result<(), Failure> {
        match to.scope() {
            Some(scope) => self.aws.sign(Signed { method, url, body, now: self.clock.now() }, scope, headers).await,
            None => Ok(()),
        }
    }

    /// Gets a path of a server, with the headers of its calls. Returns the status of the answer.
    pub(crate) async fn status_of(&self, server: &Server, path: &str, connect: Duration) -> Result<u16, Failure> {
        let mut headers = server.headers(server.key().await?.as_ref(), &[])?;
        let url = format!("{}{path}", server.base_url());
        self.sign("GET", &url, &[], server, &mut headers).await?;
        let request = self.client(connect)?.get(url).headers(headers);
        Ok(request.send().await.map_err(|error| unanswered(error, connect))?.status().as_u16())
    }

    async fn read_failure(&self, response: reqwest::Response) -> Failure {
        let status = response.status().as_u16();
        let retry_after = failure::retry_after(response.headers(), self.clock.now());
        let (body, _) = read(response, MAX_ERROR_BYTES).await;
        failure::failure_of_status(status, retry_after, &without_mark(body))
    }
}

/// The answer to a request of a batch, as if it came now.
fn batched_answer(status: u16, body: Bytes) -> Result<reqwest::Response, Failure> {
    let response = http::Response::builder().status(status).header(CONTENT_TYPE, "application/json").body(body);
    let wrong = |error| Failure::Malformed(format!("a result of the batch has the status {status}: {error}"));
    response.map(reqwest::Response::from).map_err(wrong)
}

/// The failure of a request that has no answer.
fn unanswered(error: reqwest::Error, connect: Duration) -> Failure {
    if is_shortage(&error) {
        return Failure::OwnShortage(error.without_url().into());
    }
    if error.is_connect() && error.is_timeout() {
        return Failure::TimedOut { awaited: Awaited::Connection, after: connect };
    }
    let was_connected = !error.is_connect() && !error.is_builder();
    // A base URL may carry credentials; the name of the provider is in the log anyway.
    let cause = error.without_url().into();
    if was_connected { Failure::Interrupted(cause) } else { Failure::Unreachable(cause) }
}

/// Reads a whole answer, which is UTF-8: weir passes it on as JSON, and looks only at some of its members.
pub(crate) async fn whole(response: reqwest::Response) -> Result<Bytes, Failure> {
    let body = without_mark(whole_bytes(response).await?);
    match std::str::from_utf8(&body) {
        Ok(_) => Ok(body),
        Err(_) => Err(Failure::Malformed("the answer is not UTF-8".to_owned())),
    }
}

/// Some servers begin a text with a byte order mark, which is no JSON.
fn without_mark(body: Bytes) -> Bytes {
    if body.starts_with(BYTE_ORDER_MARK) { body.slice(BYTE_ORDER_MARK.len()..) } else { body }
}

/// Reads a whole answer that weir passes on as it is.
pub(crate) async fn whole_bytes(response: reqwest::Response) -> Result<Bytes, Failure> {
    match read(response, MAX_ANSWER_BYTES).await {
        (body, Ok(true)) => Ok(body),
        (_, Ok(false)) => Err(Failure::Malformed(format!("the answer is longer than {MAX_ANSWER_BYTES} bytes"))),
        (_, Err(error)) => Err(Failure::Interrupted(error.without_url().into())),
    }
}

/// Reads at most `limit` bytes of a body. Returns whether that was all of it.
async fn read(response: reqwest::Response, limit: usize) -> (Bytes, Result<bool, reqwest::Error>) {
    let mut body = BytesMut::new();
    let mut stream = response.bytes_stream();
    while let Some(chunk) = stream.next().await {
        tokio::task::consume_budget().await; // A body that is always ready must not keep its task from looking at time limits.
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(error) => return (body.freeze(), Err(error)),
        };
        let room = limit - body.len();
        if chunk.len() > room {
            body.extend_from_slice(&chunk[..room]);
            return (body.freeze(), Ok(false));
        }
        body.extend_from_slice(&chunk);
    }
    (body.freeze(), Ok(true))
}
