//! Requests to URLs that customers chose, which must reach nothing inside the network.
//!
//! A URL is checked when it is registered, for its owner's sake, and at every connection, because a name may mean
//! something else by then: names are resolved by [`Resolve`], all addresses are checked, and a connection is made to
//! those that were checked and to no other. There is no proxy, no redirect is followed, and no connection is kept for
//! the next request. Every port is allowed: what is refused is an address, whatever listens there.

mod address;
mod resolve;
mod target;

use std::error::Error;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;
use shared::model::webhook::{Answer, Post, Receivers, RefusedUrl, SendError};

use resolve::{Checked, Unusable};
pub use resolve::{Resolve, SystemResolver};
use target::Target;

/// Time until there is a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// What is read of an answer; the rest is not waited for.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// What differs between a deployment, a developer's machine and a test. The default is a deployment's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Also allows `http` and loopback addresses: for a server on a developer's own machine.
    pub permit_loopback: bool,
    /// Time for one attempt, from the resolution of the name to the end of the answer.
    pub timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { permit_loopback: false, timeout: Duration::from_secs(15) }
    }
}

/// Sends over HTTPS to public addresses.
pub struct Outbound {
    names: Checked,
    options: Options,
    /// Loading the trusted roots takes milliseconds, and who only checks URLs needs none.
    client: OnceLock<reqwest::Client>,
}

impl Outbound {
    /// With the system's resolver. The client is made when it is first used.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self::with_resolver(Arc::new(SystemResolver), options)
    }

    /// With a resolver of one's own, whose addresses are checked as well.
    #[must_use]
    pub fn with_resolver(resolver: Arc<dyn Resolve>, options: Options) -> Self {
        let names = Checked { resolver, permit_loopback: options.permit_loopback };
        Self { names, options, client: OnceLock::new() }
    }

    /// Makes the client now: while a function starts, Lambda gives it a whole processor.
    ///
    /// # Errors
    /// If the trusted roots cannot be loaded.
    pub fn warmed(self) -> Result<Self, reqwest::Error> {
        self.client()?;
        Ok(self)
    }

    fn client(&self) -> Result<&reqwest::Client, reqwest::Error> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = reqwest::Client::builder()
            .dns_resolver(Arc::new(self.names.clone()))
            .no_proxy()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .pool_max_idle_per_host(0)
            .connect_timeout(CONNECT)
            .timeout(self.options.timeout)
            .tcp_nodelay(true)
            .user_agent(concat!("weir-webhooks/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(self.client.get_or_init(|| client))
    }
}

#[async_trait]
impl Receivers for Outbound {
    async fn check(&self, url: &str) -> Result<(), RefusedUrl> {
        let target = Target::parse(url, self.options.permit_loopback)?;
        let Some(name) = target.name() else { return Ok(()) };
        let resolved = tokio::time::timeout(CONNECT, self.names.addresses(name)).await.unwrap_or(Err(Unusable::Name));
        match resolved {
            Ok(_) => Ok(()),
            Err(Unusable::Name) => Err(RefusedUrl(format!("The host of `url`, `{name}`, has no address in DNS."))),
            Err(Unusable::Address) => Err(RefusedUrl(format!(
                "The host of `url`, `{name}`, has an address that is not public; events are sent to public addresses only."
            ))),
        }
    }

    async fn post(&self, post: &Post) -> Result<Answer, SendError> {
        let target = Target::parse(&post.url, self.options.permit_loopback).map_err(|_| SendError::UrlRefused)?;
        let request = self
            .client()
            .map_err(|_| SendError::NotConnected)?
            .post(target.into_url())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", &post.id)
            .header("webhook-timestamp", post.timestamp)
            .header("webhook-signature", &post.signature)
            .body(post.body.clone());
        let request = match &post.traceparent {
            Some(traceparent) => request.header("traceparent", traceparent),
            None => request,
        };
        let response = request.send().await.map_err(|error| kind(&error))?;
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let answer = Answer { status: response.status().as_u16(), retry_after: retry_after.map(str::to_owned) };
        discard(response).await;
        Ok(answer)
    }
}

/// Reads an answer, so that its sender is not cut off, up to a limit. The status has been seen: nothing depends on it.
async fn discard(mut response: reqwest::Response) {
    let mut left = MAX_ANSWER_BYTES;
    while let Ok(Some(chunk)) = response.chunk().await
        && chunk.len() <= left
    {
        left -= chunk.len();
    }
}

/// What became of a request without an answer. The error itself is not kept: it may quote the URL.
fn kind(error: &reqwest::Error) -> SendError {
    match unusable(error) {
        Some(Unusable::Address) => SendError::AddressRefused,
        Some(Unusable::Name) => SendError::NameNotResolved,
        None if error.is_timeout() && !error.is_connect() => SendError::TimedOut,
        None if error.is_connect() => SendError::NotConnected,
        None => SendError::ConnectionBroken,
    }
}

/// The resolver's own error, among the causes of the client's.
fn unusable(error: &reqwest::Error) -> Option<Unusable> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(unusable) = error.downcast_ref::<Unusable>() {
            return Some(*unusable);
        }
        cause = error.source();
    }
    None
}
