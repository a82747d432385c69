//! Signs requests with the AWS credentials of the process, for endpoints of AWS that speak another provider's API.

use std::time::{Duration, SystemTime};

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use shared::model::clock::Timestamp;
use shared::model::error_chain::ErrorChain;
use shared::model::provider::Failure;
use tokio::sync::{Mutex, OnceCell};

/// How long credentials are kept that do not say when they end. They may be in a file that changes.
const KEPT: Duration = Duration::from_secs(15 * 60);
/// Credentials that end sooner are read again, so that they do not end while a request is on its way.
const MARGIN: Duration = Duration::from_secs(5 * 60);

/// The AWS credentials of this process, which are looked for with the first request.
#[derive(Default)]
pub(crate) struct Aws {
    source: OnceCell<Source>,
    held: Mutex<Option<Held>>,
}

struct Source {
    credentials: Option<SharedCredentialsProvider>,
    region: Option<String>,
}

struct Held {
    credentials: Credentials,
    until: SystemTime,
}

/// What a signature says about the endpoint that it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    service: &'static str,
    /// `None` stands for the region of the process.
    region: Option<String>,
}

impl Scope {
    /// The scope of an endpoint of Amazon Bedrock. Its two hosts are services of their own.
    pub(crate) fn of(base_url: &str, region: Option<String>) -> Self {
        let service = if base_url.contains("bedrock-mantle") { "bedrock-mantle" } else { "bedrock" };
        Self { service, region }
    }
}

/// A request as it is sent.
pub(crate) struct Signed<'a> {
    pub method: &'a str,
    pub url: &'a str,
    pub body: &'a [u8],
    pub now: Timestamp,
}

impl Aws {
    pub(crate) fn with(credentials: Credentials) -> Self {
        let credentials = Some(SharedCredentialsProvider::new(credentials));
        Self { source: OnceCell::new_with(Some(Source { credentials, region: None })), held: Mutex::default() }
    }

    /// Adds the headers of the signature. It covers the body, its type, the host and AWS's own headers: proxies may change others.
    ///
    /// # Errors
    /// `NotSetUp` if there are no credentials, or no region.
    pub(crate) async fn sign(
        &self,
        request: Signed<'_>,
        scope: &Scope,
        headers: &mut HeaderMap,
    ) -> Result<(), Failure> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(request.now.0);
        let source = self.source.get_or_init(load).await;
        let Some(region) = scope.region.as_ref().or(source.region.as_ref()) else {
            return Err(Failure::wrong_entry("its requests are signed for a region; set `region`"));
        };
        let credentials = self.credentials(source, now).await?;
        let identity = credentials.into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name(scope.service)
            .time(now)
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| unsigned(&error))?;
        let is_covered = |name: &HeaderName| *name == CONTENT_TYPE || name.as_str().starts_with("x-amz");
        let covered = headers.iter().filter(|(name, _)| is_covered(name));
        let covered = covered.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let body = SignableBody::Bytes(request.body);
        let signable =
            SignableRequest::new(request.method, request.url, covered, body).map_err(|error| unsigned(&error))?;
        let (instructions, _) = sign(signable, &params.into()).map_err(|error| unsigned(&error))?.into_parts();
        let (signature, _) = instructions.into_parts();
        for header in signature {
            let mut value = HeaderValue::from_str(header.value()).map_err(|error| unsigned(&error))?;
            value.set_sensitive(true);
            headers.insert(header.name(), value);
        }
        Ok(())
    }

    /// Forgets the credentials, because an endpoint did not accept them.
    pub(crate) async fn forget(&self) {
        *self.held.lock().await = None;
    }

    async fn credentials(&self, source: &Source, now: SystemTime) -> Result<Credentials, Failure> {
        let mut held = self.held.lock().await;
        if let Some(held) = held.as_ref().filter(|held| now < held.until) {
            return Ok(held.credentials.clone());
        }
        let Some(provider) = &source.credentials else { return Err(Failure::no_key("there are no AWS credentials")) };
        let found = provider.provide_credentials().await;
        let credentials = found.map_err(|error| Failure::no_key(ErrorChain(&error).to_string()))?;
        let until = credentials.expiry().map_or(now + KEPT, |end| end - MARGIN);
        *held = Some(Held { credentials: credentials.clone(), until });
        Ok(credentials)
    }
}

/// Finds out where credentials come from: environment variables on Lambda, profiles and others elsewhere.
async fn load() -> Source {
    let config = aws_config::defaults(BehaviorVersion::latest()).load().await;
    let region = config.region().map(Region::to_string);
    Source { credentials: config.credentials_provider(), region }
}

fn unsigned(error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::no_key(format!("the request cannot be signed: {}", ErrorChain(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_follows_from_the_host() {
        for (url, service) in [
            ("https://bedrock-runtime.eu-central-1.amazonaws.com/openai/v1", "bedrock"),
            ("https://vpce-1.bedrock-runtime.eu-central-1.vpce.amazonaws.com/openai/v1", "bedrock"),
            ("https://bedrock-mantle.us-east-1.api.aws/v1", "bedrock-mantle"),
        ] {
            assert_eq!(Scope::of(url, None), Scope { service, region: None }, "{url}");
        }
    }
}
