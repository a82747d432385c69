//! HTTP for providers: clients, endpoints with their headers, and bounded reading.

mod failure;
mod sse;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use shared::model::catalog::{KeySource, ProviderConfig};
use shared::model::clock::Clock;
use shared::model::provider::{Failure, ProviderRequest};
use shared::model::secret::Secret;

pub(crate) use failure::{ErrorBody, failure_of_event, unauthorized_failure};
pub(crate) use sse::{SseEvent, events};

/// The limit of an answer that is not streamed. The largest answers are embeddings of a full batch.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// The limit of an error's body. The rest is not read.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// The HTTP clients of this process, one for each connection timeout.
///
/// A client is built on first use, because loading the trusted roots takes milliseconds. It is then kept with its pool
/// of connections.
pub(crate) struct Http {
    clock: Clock,
    clients: Mutex<HashMap<Duration, reqwest::Client>>,
}

impl Http {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, clients: Mutex::default() }
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
            .map_err(|error| Failure::Unreachable(error.into()))?;
        clients.insert(connect, client.clone());
        Ok(client)
    }

    /// Posts `body` and returns the answer if its status is a success.
    pub(crate) async fn post(
        &self,
        to: &Endpoint,
        path: &str,
        call: &ProviderRequest,
        body: Bytes,
    ) -> Result<reqwest::Response, Failure> {
        let mut headers = to.headers()?;
        if let Some(trace) = call.traceparent.as_deref().and_then(|text| HeaderValue::from_str(text).ok()) {
            headers.insert("traceparent", trace);
        }
        let request = self.client(call.connect)?.post(format!("{}{path}", to.base_url)).headers(headers).body(body);
        let response = request.send().await.map_err(|error| unsent(error, call.connect))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.read_failure(response).await)
    }

    async fn read_failure(&self, response: reqwest::Response) -> Failure {
        let status = response.status().as_u16();
        let retry_after = failure::retry_after(response.headers(), self.clock.now());
        let (body, _) = read(response, MAX_ERROR_BYTES).await;
        failure::failure_of_status(status, retry_after, &body)
    }
}

fn unsent(error: reqwest::Error, connect: Duration) -> Failure {
    if error.is_connect() && error.is_timeout() {
        return Failure::TimedOut { awaited: "connection", after: connect };
    }
    // A base URL may carry credentials; the name of the provider is in the log anyway.
    Failure::Unreachable(error.without_url().into())
}

/// Reads a whole answer.
pub(crate) async fn whole(response: reqwest::Response) -> Result<Bytes, Failure> {
    match read(response, MAX_ANSWER_BYTES).await {
        (body, Ok(true)) => Ok(body),
        (_, Ok(false)) => Err(Failure::Malformed(format!("the answer is longer than {MAX_ANSWER_BYTES} bytes"))),
        (_, Err(error)) => Err(Failure::Unreachable(error.without_url().into())),
    }
}

/// Reads at most `limit` bytes of a body. Returns whether that was all of it.
async fn read(response: reqwest::Response, limit: usize) -> (Bytes, Result<bool, reqwest::Error>) {
    let mut body = BytesMut::new();
    let mut stream = response.bytes_stream();
    while let Some(chunk) = stream.next().await {
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

/// The URL of a provider and the headers of every call.
pub(crate) struct Endpoint {
    base_url: String,
    /// `Err` names the missing key.
    headers: Result<HeaderMap, String>,
}

/// The header of the key if no configured header contains it.
pub(crate) enum KeyHeader {
    Bearer,
    Named(&'static str),
}

/// Stands for the key in the value of a configured header.
const KEY_PLACEHOLDER: &str = "$KEY";

impl Endpoint {
    /// # Errors
    /// If the base URL is not a URL, or a header cannot be sent.
    pub(crate) fn new(
        config: &ProviderConfig,
        default_url: &str,
        key: Option<Secret>,
        sent_as: KeyHeader,
    ) -> Result<Self, String> {
        let base_url = config.base_url.clone().unwrap_or_else(|| default_url.to_owned());
        reqwest::Url::parse(&base_url).map_err(|error| format!("`base_url` is no URL: {error}"))?;
        let key = key.filter(|key| !key.expose().trim().is_empty());
        let headers = match (&config.key, key) {
            (KeySource::Env(name), None) => Err(format!("the environment variable `{name}` is not set")),
            (KeySource::Secret(name), None) => Err(format!("the secret `{name}` was not found")),
            (KeySource::None, _) => Ok(headers(config, None, &sent_as)?),
            (_, Some(key)) => Ok(headers(config, Some(&key), &sent_as)?),
        };
        Ok(Self { base_url, headers })
    }

    /// Adds a header that this kind of provider always needs. A configured header with the same name replaces it.
    pub(crate) fn with(mut self, name: &'static str, value: &'static str) -> Self {
        if let Ok(headers) = &mut self.headers {
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        }
        self
    }

    fn headers(&self) -> Result<HeaderMap, Failure> {
        self.headers.clone().map_err(|message| Failure::Unauthorized { message })
    }
}

fn headers(config: &ProviderConfig, key: Option<&Secret>, sent_as: &KeyHeader) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    // Files and secret stores often add a line break.
    let key = key.map_or("", Secret::expose).trim();
    let placed = config.headers.iter().any(|(_, value)| value.contains(KEY_PLACEHOLDER));
    if !key.is_empty() && !placed {
        match sent_as {
            KeyHeader::Bearer => headers.insert(AUTHORIZATION, sensitive(&format!("Bearer {key}"))?),
            KeyHeader::Named(name) => headers.insert(*name, sensitive(key)?),
        };
    }
    for (name, value) in &config.headers {
        let header: HeaderName = name.parse().map_err(|_| format!("`{name}` is no name of a header"))?;
        let value = value.replace(KEY_PLACEHOLDER, key);
        headers.insert(header, sensitive(&value).map_err(|_| format!("the value of header `{name}` cannot be sent"))?);
    }
    Ok(headers)
}

/// A header's value that no log prints.
fn sensitive(value: &str) -> Result<HeaderValue, String> {
    let mut value =
        HeaderValue::from_str(value).map_err(|_| "the key has characters that a header cannot carry".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}
