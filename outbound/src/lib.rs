//! Sends requests to URLs that customers chose. These requests must not reach anything inside the network.
//!
//! A URL is checked when it is registered, so that its owner learns of an error. It is checked again at every
//! connection, because its name may have another address by then. [`Resolve`] resolves names. All addresses of a name
//! are checked, and a connection is made only to an address that was checked. There is no proxy, no redirect is
//! followed, and no connection is reused. Every port is allowed: an address is refused, not a service.

mod address;
mod resolve;
mod target;

use std::error::Error;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;
use shared::model::shortage::is_shortage;
use shared::model::webhook::{Post, ReceiverAnswer, Receivers, RefusedUrl, SendError};

use resolve::{Checked, Unusable};
pub use resolve::{Resolve, SystemResolver};
use target::Target;

/// Time to establish a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// The most bytes that are read of an answer. The rest is dropped.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Settings that differ between a deployment, a developer's machine and a test. The defaults are those of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Also allows `http` and loopback addresses, for a server on a developer's machine.
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
    /// Built on first use: loading the trusted roots takes milliseconds, and checking URLs needs no client.
    client: OnceLock<reqwest::Client>,
}

impl Outbound {
    /// Uses the system's resolver. The client is built on first use.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self::with_resolver(Arc::new(SystemResolver), options)
    }

    /// Uses the given resolver. Its addresses are checked like the system's.
    #[must_use]
    pub fn with_resolver(resolver: Arc<dyn Resolve>, options: Options) -> Self {
        let names = Checked { resolver, permit_loopback: options.permit_loopback };
        Self { names, options, client: OnceLock::new() }
    }

    /// Builds the client now. Lambda gives a function a whole processor while it starts.
    ///
    /// # Errors
    /// If the trusted roots cannot be loaded.
    pub fn warm(self) -> Result<Self, reqwest::Error> {
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
            Err(Unusable::Shortage) => Err(RefusedUrl(format!(
                "The host of `url`, `{name}`, could not be looked up for the moment; try again."
            ))),
        }
    }

    async fn post(&self, post: &Post) -> Result<ReceiverAnswer, SendError> {
        let target = Target::parse(&post.url, self.options.permit_loopback).map_err(|_| SendError::UrlRefused)?;
        let request = self
            .client()
            .map_err(|error| kind(&error))?
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
        let answer = ReceiverAnswer { status: response.status().as_u16(), retry_after: retry_after.map(str::to_owned) };
        discard(response).await;
        Ok(answer)
    }
}

/// Reads an answer up to a limit, so that its sender is not cut off. Errors are ignored: the status is known already.
async fn discard(mut response: reqwest::Response) {
    let mut left = MAX_ANSWER_BYTES;
    while let Ok(Some(chunk)) = response.chunk().await
        && chunk.len() <= left
    {
        left -= chunk.len();
    }
}

/// Why a request has no answer. The error itself is dropped, because it may quote the URL.
fn kind(error: &reqwest::Error) -> SendError {
    match unusable(error) {
        Some(Unusable::Address) => SendError::AddressRefused,
        Some(Unusable::Name) => SendError::NameNotResolved,
        Some(Unusable::Shortage) => SendError::OwnShortage,
        None if is_shortage(error) => SendError::OwnShortage,
        None if error.is_timeout() && !error.is_connect() => SendError::TimedOut,
        None if error.is_connect() || error.is_builder() => SendError::NotConnected,
        None => SendError::ConnectionBroken,
    }
}

/// Finds the resolver's error among the causes of the client's error.
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
