//! Batches of a provider: many requests that it answers within a day, at a lower price.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use super::clock::Timestamp;
use super::provider::Failure;

/// How a request reaches its provider.
#[derive(Debug, Clone, Default)]
pub enum Exchange {
    /// Now, over the network.
    #[default]
    Network,
    /// Not at all: the request is written down for a batch. The call fails with [`Failure::NotSent`].
    Written(Arc<OnceLock<WrittenRequest>>),
    /// It was in a batch, and this is the provider's answer.
    Answered { status: u16, body: Bytes },
}

/// A request as it would be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenRequest {
    /// Below the base URL.
    pub path: String,
    pub body: Bytes,
}

/// The batch API of a provider.
#[async_trait]
pub trait ProviderBatches: Send + Sync {
    /// Gives requests to the provider. Returns the id of its batch.
    ///
    /// # Errors
    /// See [`Failure`]. If it may be billed, the provider may have the batch: see [`ProviderBatches::find`].
    async fn submit(&self, batch: &NewBatch) -> Result<String, Failure>;

    /// Whether [`ProviderBatches::find`] can tell.
    fn can_find(&self) -> bool;

    /// Looks for a batch whose submission at `since` had no answer. `None`: the provider does not have it.
    ///
    /// # Errors
    /// `Unsupported` if the API cannot tell.
    async fn find(&self, tag: &str, since: Timestamp) -> Result<Option<String>, Failure>;

    /// Asks how far a batch is.
    ///
    /// # Errors
    /// `Refused` with 404 if the provider has no such batch any more.
    async fn state(&self, id: &str) -> Result<BatchState, Failure>;

    /// Asks the provider to run no further request of a batch.
    ///
    /// # Errors
    /// See [`Failure`]. A batch that has ended may be refused.
    async fn cancel(&self, id: &str) -> Result<(), Failure>;

    /// Reads what became of the requests of an ended batch, in any order.
    ///
    /// # Errors
    /// See [`Failure`]; also within the stream.
    async fn results(&self, ended: &EndedBatch) -> Result<BoxStream<'static, Result<RequestEnd, Failure>>, Failure>;

    /// Deletes what the provider keeps of an ended batch.
    ///
    /// # Errors
    /// See [`Failure`].
    async fn delete(&self, ended: &EndedBatch) -> Result<(), Failure>;
}

/// Requests for a provider's batch. All have the same path.
#[derive(Debug, Clone)]
pub struct NewBatch {
    /// By which [`ProviderBatches::find`] finds it.
    pub tag: String,
    pub path: String,
    /// The id of each request, which its result has too, and its body.
    pub requests: Vec<(String, Bytes)>,
}

/// How far a provider's batch is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchState {
    Running,
    /// Each request was answered, or given up.
    Ended(EndedBatch),
    /// The provider did not take the batch. No request was run.
    Refused(BatchRefusal),
}

/// An ended batch of a provider.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndedBatch {
    pub id: String,
    /// The provider's files with results.
    pub results: Vec<String>,
    /// The provider's file with the requests.
    pub input: Option<String>,
}

/// Why a provider did not take a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchRefusal {
    /// It has too many requests waiting: it may take the batch later.
    pub is_full: bool,
    /// For the log.
    pub reason: String,
    /// The provider's file with the requests.
    pub input: Option<String>,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestEnd {
    pub id: String,
    /// `None`: it was not run, because the batch expired or was cancelled.
    pub answer: Option<(u16, Bytes)>,
}
