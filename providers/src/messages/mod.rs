//! Anthropic's Messages API at providers that speak another one.
//!
//! A call becomes a chat completion. Its answer becomes a message again. What would change the answer and cannot be said in a chat
//! completion is refused by name; what only tunes Anthropic's servers is left out.

mod accepts;
mod answer;
mod params;
mod request;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use shared::model::long_work::long_work;
use shared::model::provider::{Endpoint, Failure, Provider, ProviderRequest, Reply};
use shared::model::provider_batch::ProviderBatches;

pub use accepts::Accepts;

use crate::translate::translate;

/// A provider that knows chat completions, and messages for none or some of its models.
pub struct OverChat {
    inner: Arc<dyn Provider>,
    accepts: Accepts,
    speaks_messages: fn(&str) -> bool,
}

impl OverChat {
    #[must_use]
    pub fn new(inner: Arc<dyn Provider>, accepts: Accepts) -> Self {
        Self { inner, accepts, speaks_messages: |_| false }
    }

    /// Leaves the messages to the provider for the models whose name `speaks_messages` accepts.
    #[must_use]
    pub fn except(self, speaks_messages: fn(&str) -> bool) -> Self {
        Self { speaks_messages, ..self }
    }

    async fn message(&self, call: &ProviderRequest) -> Result<Reply, Failure> {
        let body = long_work(call.body.bytes(), || request::body(call, self.accepts))?;
        // The headers are for Anthropic's API.
        let chat = ProviderRequest { endpoint: Endpoint::ChatCompletions, body, headers: Vec::new(), ..call.clone() };
        match self.inner.send(&chat).await.map_err(params::renamed)? {
            Reply::Whole(whole) => long_work(whole.body.len(), || answer::whole(&whole, &call.model)).map(Reply::from),
            Reply::Stream(chunks) => {
                let chunks = chunks.map_err(params::renamed);
                Ok(Reply::Stream(translate(chunks, answer::Stream::new(&call.model))))
            }
        }
    }
}

#[async_trait]
impl Provider for OverChat {
    async fn send(&self, call: &ProviderRequest) -> Result<Reply, Failure> {
        match call.endpoint {
            Endpoint::Messages if !(self.speaks_messages)(&call.model) => self.message(call).await,
            _ => self.inner.send(call).await,
        }
    }

    fn batches(&self) -> Option<&dyn ProviderBatches> {
        self.inner.batches()
    }
}
