//! The way to receivers. The crate `outbound` sends over HTTP; tests have their own receivers.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// Sends deliveries to URLs that customers chose, and to no address inside the network.
#[async_trait]
pub trait Receivers: Send + Sync {
    /// Whether a URL may be registered: its form, and that its host has public addresses only.
    ///
    /// A name may resolve to another address tomorrow, so [`Receivers::post`] checks each address that it connects to.
    ///
    /// # Errors
    /// Why not, in words for its owner.
    async fn check(&self, url: &str) -> Result<(), RefusedUrl>;

    /// Makes one attempt. Redirects are not followed; an attempt takes at most 15 seconds.
    ///
    /// # Errors
    /// If no status came back.
    async fn post(&self, post: &Post) -> Result<ReceiverAnswer, SendError>;
}

/// One attempt: headers and body as Standard Webhooks writes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    pub url: String,
    /// `webhook-id`
    pub id: String,
    /// `webhook-timestamp`, in Unix seconds.
    pub timestamp: u64,
    /// `webhook-signature`
    pub signature: String,
    pub body: String,
    /// `traceparent`, the W3C trace context.
    pub traceparent: Option<String>,
}

/// A receiver's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverAnswer {
    pub status: u16,
    /// The value of `Retry-After`.
    pub retry_after: Option<String>,
}

/// Why a URL may not be registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RefusedUrl(pub String);

/// Why a receiver did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum SendError {
    #[error("the URL is not one that events are sent to")]
    UrlRefused,
    #[error("the host has an address that events are not sent to")]
    AddressRefused,
    #[error("the host's name has no address")]
    NameNotResolved,
    #[error("no connection could be made")]
    NotConnected,
    /// weir itself had no file descriptor for a connection. This says nothing about the receiver.
    #[error("weir has too many connections open")]
    OwnShortage,
    #[error("the connection broke before a status came")]
    ConnectionBroken,
    #[error("no status came within 15 seconds")]
    TimedOut,
}

impl SendError {
    /// `timed_out` and the like.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::UrlRefused => "url_refused",
            Self::AddressRefused => "address_refused",
            Self::NameNotResolved => "name_not_resolved",
            Self::NotConnected => "not_connected",
            Self::OwnShortage => "own_shortage",
            Self::ConnectionBroken => "connection_broken",
            Self::TimedOut => "timed_out",
        }
    }
}
