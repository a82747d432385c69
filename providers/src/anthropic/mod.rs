//! Anthropic's Messages API.

mod batches;
mod blocks;
pub(crate) mod family;
mod iterations;
mod map;
pub(crate) mod native;
mod reply;
pub(crate) mod sampling;
mod stream;
pub(crate) mod thinking;
mod user;
mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use shared::model::catalog::{MediaUrls, ProviderConfig};
use shared::model::keys::Keys;
use shared::model::long_work::long_work;
use shared::model::provider::{Endpoint, Failure, Provider, ProviderRequest, Reply};
use shared::model::provider_batch::ProviderBatches;

use crate::answer::to_bytes;
use crate::conversation::{Conversation, invalid_request, unsupported};
use crate::http::{self, Http, KeyHeader, Server};
use crate::media;
use crate::translate::translate;

const DEFAULT_URL: &str = "https://api.anthropic.com/v1";

/// The largest request that Anthropic's Messages API takes. It answers 413 to larger ones when they have arrived.
const MAX_REQUEST_BYTES: usize = 32 * 1024 * 1024;

/// Anthropic, or another server with its Messages API.
pub struct Anthropic {
    server: Server,
    http: Arc<Http>,
    media_urls: MediaUrls,
    /// The largest request that the server takes, in bytes; `None`: it is not known.
    most_bytes: Option<usize>,
}

impl Anthropic {
    pub(crate) fn new(config: &ProviderConfig, keys: Arc<dyn Keys>, http: Arc<Http>) -> Result<Self, String> {
        let is_anthropics = config.base_url.as_deref().is_none_or(|url| url.starts_with(DEFAULT_URL));
        Ok(Self {
            server: server(config, keys)?,
            http,
            media_urls: config.media_urls.clone(),
            most_bytes: is_anthropics.then_some(MAX_REQUEST_BYTES),
        })
    }

    async fn native(&self, call: &ProviderRequest) -> Result<Reply, Failure> {
        let body = long_work(call.body.bytes(), || {
            media::check_blocks(&call.body, &self.media_urls)?;
            sized(native::body(call), self.most_bytes)
        })?;
        let response = self.http.post(&self.server, Endpoint::Messages.path(), call, body).await?;
        if call.stream {
            return Ok(Reply::Stream(translate(http::events(response), native::Events::default())));
        }
        native::whole(http::whole(response).await?).map(Reply::from)
    }

    async fn chat(&self, call: &ProviderRequest) -> Result<Reply, Failure> {
        let body = long_work(call.body.bytes(), || self.body(call))?;
        let response = self.http.post(&self.server, Endpoint::Messages.path(), call, body).await?;
        let created = self.http.clock().now().seconds();
        if call.stream {
            return Ok(Reply::Stream(translate(http::events(response), stream::Messages::new(created))));
        }
        Ok(Reply::from(reply::whole(&http::whole(response).await?, created)?))
    }

    fn body(&self, call: &ProviderRequest) -> Result<Bytes, Failure> {
        media::check(&call.body, &self.media_urls)?;
        let conversation = Conversation::parse(&call.body)?;
        if conversation.turns.is_empty() {
            return Err(invalid_request("messages", "Anthropic needs a message of the role `user` or `assistant`"));
        }
        sized(to_bytes(&map::request(call, &conversation)?), self.most_bytes)
    }
}

/// A body that is not too large for its server. Files are larger there than they are: three bytes of a file are four of base64.
fn sized(body: Bytes, most: Option<usize>) -> Result<Bytes, Failure> {
    match most.filter(|most| body.len() > *most) {
        None => Ok(body),
        Some(most) => {
            let why = format!(
                "the request has {} bytes, with its files as base64, and Anthropic takes {} MB: send fewer or smaller files",
                body.len(),
                most >> 20
            );
            Err(unsupported("messages", why))
        }
    }
}

pub(crate) fn server(config: &ProviderConfig, keys: Arc<dyn Keys>) -> Result<Server, String> {
    let server = Server::new(config, DEFAULT_URL, keys, KeyHeader::Named("x-api-key"))?;
    Ok(server.with("anthropic-version", "2023-06-01"))
}

#[async_trait]
impl Provider for Anthropic {
    async fn send(&self, call: &ProviderRequest) -> Result<Reply, Failure> {
        match call.endpoint {
            Endpoint::Messages => self.native(call).await,
            Endpoint::ChatCompletions => self.chat(call).await,
            other => {
                let what = format!("Anthropic has no {}", other.operation());
                Err(Failure::Unsupported { what, param: None })
            }
        }
    }

    fn batches(&self) -> Option<&dyn ProviderBatches> {
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_is_too_large_is_refused_before_it_is_sent() {
        let of = |bytes: usize| Bytes::from(vec![b' '; bytes]);
        assert!(sized(of(MAX_REQUEST_BYTES), Some(MAX_REQUEST_BYTES)).is_ok());
        assert!(sized(of(MAX_REQUEST_BYTES + 1), None).is_ok(), "another server has its own limit");
        let failure = sized(of(MAX_REQUEST_BYTES + 1), Some(MAX_REQUEST_BYTES)).unwrap_err();
        let Failure::Unsupported { what, param } = failure else { panic!("{failure:?}") };
        assert!(what.contains("33554433 bytes") && what.contains("32 MB"), "{what}");
        assert_eq!(param.as_deref(), Some("messages"));
    }
}
