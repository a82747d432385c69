//! The provider of an entry that is wrong.

use async_trait::async_trait;
use shared::model::provider::{Failure, Provider, ProviderRequest, Reply};

/// Fails each call with the reason, so that the model's next target is tried.
pub(crate) struct Wrong(pub(crate) String);

#[async_trait]
impl Provider for Wrong {
    async fn send(&self, _: &ProviderRequest) -> Result<Reply, Failure> {
        Err(Failure::wrong_entry(self.0.clone()))
    }
}
