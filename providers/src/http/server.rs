//! The server of a provider: its URL, and the headers of every call.

use std::sync::Arc;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use shared::model::catalog::{Auth, KeySource, ProviderConfig};
use shared::model::keys::Keys;
use shared::model::provider::Failure;
use shared::model::secret::Secret;

use super::sigv4::Scope;

/// Where a provider is called, and with which headers.
pub(crate) struct Server {
    base_url: String,
    keys: Arc<dyn Keys>,
    key: KeySource,
    sent_as: KeyHeader,
    /// Headers of the models file; `$KEY` stands for the key.
    configured: Vec<(HeaderName, String)>,
    /// Headers that this kind of provider always needs. A configured header with the same name replaces one.
    fixed: Vec<(HeaderName, HeaderValue)>,
    /// What requests are signed for; `None` if they have a key.
    scope: Option<Scope>,
}

/// The header of the key if no configured header contains it.
#[derive(Clone, Copy)]
pub(crate) enum KeyHeader {
    Bearer,
    Named(&'static str),
}

/// The header that lists the betas of Anthropic's API that a call uses.
const BETAS: &str = "anthropic-beta";

/// Stands for the key in the value of a configured header.
const KEY_PLACEHOLDER: &str = "$KEY";

impl Server {
    /// # Errors
    /// If the base URL is not a URL, or a header cannot be sent.
    pub(crate) fn new(
        config: &ProviderConfig,
        default_url: &str,
        keys: Arc<dyn Keys>,
        sent_as: KeyHeader,
    ) -> Result<Self, String> {
        let base_url = config.base_url.clone().unwrap_or_else(|| default_url.to_owned());
        reqwest::Url::parse(&base_url).map_err(|error| format!("`base_url` is no URL: {error}"))?;
        let configured = config.headers.iter().map(configured).collect::<Result<_, _>>()?;
        let scope = (config.auth == Auth::Sigv4).then(|| Scope::of(&base_url, config.region.clone()));
        Ok(Self { base_url, scope, keys, key: config.key.clone(), sent_as, configured, fixed: Vec::new() })
    }

    /// Adds a header that this kind of provider always needs. A configured header with the same name replaces it.
    pub(crate) fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.fixed.push((HeaderName::from_static(name), HeaderValue::from_static(value)));
        self
    }

    pub(super) fn scope(&self) -> Option<&Scope> {
        self.scope.as_ref()
    }

    pub(super) fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The key of the provider; `None` if it needs none.
    pub(super) async fn key(&self) -> Result<Option<Secret>, Failure> {
        self.keys.key(&self.key).await.map_err(|error| Failure::no_key(error.0))
    }

    /// Another key than the one that the provider did not accept.
    pub(super) async fn renewed_key(&self, refused: &Secret) -> Option<Secret> {
        self.keys.renewed(&self.key, refused).await
    }

    /// The headers of a call. One of the client replaces one that this kind of provider always needs, and no other. Its betas join those
    /// of the models file.
    pub(super) fn headers(
        &self,
        key: Option<&Secret>,
        client: &[(&'static str, String)],
    ) -> Result<HeaderMap, Failure> {
        // Files and secret stores often add a line break.
        let key = key.map_or("", Secret::expose).trim();
        let sendable = |text: &str| {
            sensitive(text).map_err(|()| Failure::no_key("the key has characters that a header cannot carry"))
        };
        let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        headers.extend(self.fixed.iter().cloned());
        for (name, value) in client {
            // One that cannot be sent came from no header.
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(*name, value);
            }
        }
        let placed = self.configured.iter().any(|(_, value)| value.contains(KEY_PLACEHOLDER));
        if !key.is_empty() && !placed {
            match self.sent_as {
                KeyHeader::Bearer => headers.insert(AUTHORIZATION, sendable(&format!("Bearer {key}"))?),
                KeyHeader::Named(name) => headers.insert(name, sendable(key)?),
            };
        }
        for (name, value) in &self.configured {
            let value = sendable(&value.replace(KEY_PLACEHOLDER, key))?;
            match headers.get(name).filter(|_| name == BETAS) {
                Some(theirs) => headers.insert(name, joined(&value, theirs)),
                None => headers.insert(name, value),
            };
        }
        Ok(headers)
    }
}

/// Two values of a header that has a list.
fn joined(first: &HeaderValue, second: &HeaderValue) -> HeaderValue {
    let bytes = [first.as_bytes(), b",", second.as_bytes()].concat();
    HeaderValue::from_bytes(&bytes).unwrap_or_else(|_| first.clone())
}

/// Checks a header of the models file.
fn configured((name, value): &(String, String)) -> Result<(HeaderName, String), String> {
    let header = name.parse().map_err(|_| format!("`{name}` is no name of a header"))?;
    sensitive(value).map_err(|()| format!("the value of header `{name}` cannot be sent"))?;
    Ok((header, value.clone()))
}

/// A header's value that no log prints.
fn sensitive(value: &str) -> Result<HeaderValue, ()> {
    let mut value = HeaderValue::from_str(value).map_err(drop)?;
    value.set_sensitive(true);
    Ok(value)
}
