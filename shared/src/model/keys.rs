//! The keys of model providers.

use std::sync::Arc;

use async_trait::async_trait;

use super::catalog::{KeySource, ProviderConfig};
use super::clock::Clock;
use super::provider::Provider;
use super::secret::Secret;

/// Milliseconds for which a key that could not be read is not read again.
pub const KEY_RETRY_MS: u64 = 10_000;

/// Looks keys of providers up. An implementation remembers what it read.
#[async_trait]
pub trait Keys: Send + Sync {
    /// The key; `None` if the provider needs none.
    ///
    /// # Errors
    /// `KeyError` if the provider needs a key and it cannot be read.
    async fn key(&self, source: &KeySource) -> Result<Option<Secret>, KeyError>;

    /// Another key than `refused`, which the provider did not accept; `None` if there is none. The key is read again at
    /// most once a minute.
    async fn renewed(&self, source: &KeySource, refused: &Secret) -> Option<Secret>;
}

/// Why a key cannot be read, in words for the operator: it names the variable or the secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeyError(pub String);

/// One key for every source, known from the start.
pub struct FixedKey(pub Secret);

impl FixedKey {
    /// The key, and a name for its source.
    #[must_use]
    pub fn with_source(key: Secret) -> (Arc<dyn Keys>, KeySource) {
        (Arc::new(Self(key)), KeySource::Env("the key".to_owned()))
    }
}

#[async_trait]
impl Keys for FixedKey {
    async fn key(&self, source: &KeySource) -> Result<Option<Secret>, KeyError> {
        Ok((*source != KeySource::None).then(|| self.0.clone()))
    }

    async fn renewed(&self, _: &KeySource, _: &Secret) -> Option<Secret> {
        None
    }
}

/// Makes the provider of an entry of the models file. An entry that is wrong makes a provider that fails each call with
/// the reason.
pub type MakeProvider = Arc<dyn Fn(&ProviderConfig) -> Arc<dyn Provider> + Send + Sync>;

/// Makes the [`MakeProvider`] of a process.
pub type ConnectProviders = fn(Arc<dyn Keys>, &Clock) -> MakeProvider;
