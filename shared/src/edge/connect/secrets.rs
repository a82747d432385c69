//! Keys from the environment and from Secrets Manager, read on first use.
//!
//! A secret that cannot be read fails only the calls that need it. A function therefore reads none when it starts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use aws_sdk_secretsmanager::Client;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};

use super::aws;
use crate::edge::config::env;
use crate::model::catalog::KeySource;
use crate::model::clock::{Clock, Timestamp};
use crate::model::error_chain::ErrorChain;
use crate::model::keys::{KEY_RETRY_MS, KeyError, Keys};
use crate::model::secret::Secret;

/// How long a key that a provider refused is not read again.
const RENEW_MS: u64 = 60_000;

type Found = Result<Secret, KeyError>;

/// Reads the secret of a name.
pub(super) type ReadSecret = Arc<dyn Fn(String) -> BoxFuture<'static, Found> + Send + Sync>;

/// The secrets that a process has read. All callers that want the same secret wait for one read.
pub(super) struct SecretKeys {
    read: ReadSecret,
    clock: Clock,
    known: Mutex<HashMap<String, Reading>>,
}

#[derive(Clone)]
struct Reading {
    found: Shared<BoxFuture<'static, Found>>,
    begun_at: Timestamp,
}

impl SecretKeys {
    /// Keys from Secrets Manager. The client is made on first use.
    pub(super) fn of_aws(clock: Clock) -> Self {
        let client = Arc::new(OnceLock::new());
        let read = move |name: String| {
            let client: Client = client.get_or_init(aws::secrets_manager).clone();
            async move { read_one(&client, &name).await }.boxed()
        };
        Self::new(Arc::new(read), clock)
    }

    pub(super) fn new(read: ReadSecret, clock: Clock) -> Self {
        Self { read, clock, known: Mutex::default() }
    }

    async fn secret(&self, name: &str) -> Found {
        self.reading(name).await
    }

    fn reading(&self, name: &str) -> Shared<BoxFuture<'static, Found>> {
        let now = self.clock.now();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |reading: &Reading| matches!(reading.found.peek(), Some(Err(_)));
        match known.get(name) {
            Some(reading) if !failed(reading) || reading.begun_at.apart(now) < KEY_RETRY_MS => reading.found.clone(),
            _ => self.begin(&mut known, name, now, None),
        }
    }

    /// Begins to read a secret. If that fails, `kept` remains.
    fn begin(
        &self,
        known: &mut HashMap<String, Reading>,
        name: &str,
        now: Timestamp,
        kept: Option<Secret>,
    ) -> Shared<BoxFuture<'static, Found>> {
        let found = (self.read)(name.to_owned());
        let found = async move {
            let found = found.await;
            if let Err(error) = &found {
                tracing::error!(reason = error.0, older_remains = kept.is_some(), "secret not read");
            }
            found.or_else(|error| kept.ok_or(error))
        };
        let found = found.boxed().shared();
        known.insert(name.to_owned(), Reading { found: found.clone(), begun_at: now });
        found
    }

    async fn renewed_secret(&self, name: &str, refused: &Secret) -> Option<Secret> {
        let reading = {
            let now = self.clock.now();
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            match known.get(name) {
                // Another call has begun to read it, or has read another key since.
                Some(reading) if reading.found.peek().is_none_or(|found| found.as_ref() != Ok(refused)) => {
                    reading.found.clone()
                }
                Some(reading) if now.apart(reading.begun_at) < RENEW_MS => return None,
                _ => self.begin(&mut known, name, now, Some(refused.clone())),
            }
        };
        reading.await.ok().filter(|secret| secret != refused)
    }
}

#[async_trait]
impl Keys for SecretKeys {
    async fn key(&self, source: &KeySource) -> Result<Option<Secret>, KeyError> {
        match source {
            KeySource::Secret(name) => self.secret(name).await.map(Some),
            other => EnvKeys.key(other).await,
        }
    }

    async fn renewed(&self, source: &KeySource, refused: &Secret) -> Option<Secret> {
        let KeySource::Secret(name) = source else { return None };
        self.renewed_secret(name, refused).await
    }
}

/// Keys from the environment only, for a process without Secrets Manager.
pub struct EnvKeys;

#[async_trait]
impl Keys for EnvKeys {
    async fn key(&self, source: &KeySource) -> Result<Option<Secret>, KeyError> {
        let absent = |reason| Err(KeyError(reason));
        match source {
            KeySource::None => Ok(None),
            KeySource::Env(name) => match env(name).filter(|value| !value.trim().is_empty()) {
                Some(value) => Ok(Some(Secret::new(value))),
                None => absent(format!("the environment variable `{name}` is not set")),
            },
            KeySource::Secret(name) => absent(format!(
                "the secret `{name}` is in Secrets Manager, which this process does not read; use `api_key_env`"
            )),
        }
    }

    async fn renewed(&self, _: &KeySource, _: &Secret) -> Option<Secret> {
        None
    }
}

async fn read_one(client: &Client, name: &str) -> Found {
    let wrong = |why: &str| KeyError(format!("the secret `{name}` cannot be read: {why}"));
    let answer = Box::pin(client.get_secret_value().secret_id(name).send()).await;
    let answer = answer.map_err(|error| {
        let hint = "check its name and that the stack's parameter `ProviderSecrets` matches it";
        wrong(&format!("{}; {hint}", ErrorChain(&error)))
    })?;
    let value = answer.secret_string.ok_or_else(|| wrong("it is not a string; store the key as text"))?;
    match value.trim() {
        "" => Err(wrong("it is empty; put the key into it")),
        value => Ok(Secret::new(value)),
    }
}

#[cfg(test)]
mod tests;
