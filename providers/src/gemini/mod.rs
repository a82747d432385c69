//! Google's Gemini API.

mod contents;
mod embed;
mod family;
mod map;
mod reply;
mod signatures;
mod stream;
mod thinking;
mod wire;

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use shared::model::catalog::{MediaUrls, ProviderConfig};
use shared::model::keys::Keys;
use shared::model::long_work::long_work;
use shared::model::provider::{Endpoint, Failure, Provider, ProviderRequest, Reply};

use self::signatures::Signatures;
use crate::answer::{Answer, to_bytes};
use crate::conversation::{Conversation, invalid_request};
use crate::http::{self, Http, KeyHeader, Server};
use crate::media;
use crate::translate::translate;

const DEFAULT_URL: &str = "https://generativelanguage.googleapis.com/v1beta";

/// Google's Gemini API, or another server with it.
pub struct Gemini {
    server: Server,
    http: Arc<Http>,
    media_urls: MediaUrls,
}

impl Gemini {
    pub(crate) fn new(config: &ProviderConfig, keys: Arc<dyn Keys>, http: Arc<Http>) -> Result<Self, String> {
        Ok(Self { server: server(config, keys)?, http, media_urls: config.media_urls.clone() })
    }

    async fn chat(&self, call: &ProviderRequest) -> Result<Reply, Failure> {
        let (body, one_call) = long_work(call.body.bytes(), || self.body(call))?;
        let method = if call.stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
        let response = self.post(call, method, body).await?;
        let created = self.http.clock().now().seconds();
        let answer = Answer { id: String::new(), created, model: call.model.clone() };
        if call.stream {
            return Ok(Reply::Stream(translate(http::events(response), stream::Chunks::new(answer, one_call))));
        }
        let body = http::whole(response).await?;
        let text = std::str::from_utf8(&body).unwrap_or_default();
        reply::whole(text, answer, one_call).map(Reply::from)
    }

    /// The body of a call, and whether the answer may have only one call of a tool.
    fn body(&self, call: &ProviderRequest) -> Result<(Bytes, bool), Failure> {
        media::check(&call.body, &self.media_urls)?;
        let conversation = Conversation::parse(&map::without_json_mode(&call.body))?;
        if conversation.turns.is_empty() {
            return Err(invalid_request("messages", "Gemini needs a message of the role `user` or `assistant`"));
        }
        let signatures = Signatures::of(&call.body);
        let request = map::request(&call.model, &call.body, &conversation, &signatures)?;
        Ok((to_bytes(&request), !conversation.parallel))
    }

    async fn post(&self, call: &ProviderRequest, method: &str, body: Bytes) -> Result<reqwest::Response, Failure> {
        let path = format!("/{}:{method}", resource(&call.model));
        self.http.post(&self.server, &path, call, body).await
    }
}

/// Google's name of a model. A tuned model is not among `models`.
fn resource(model: &str) -> Cow<'_, str> {
    if model.contains('/') { model.into() } else { format!("models/{model}").into() }
}

pub(crate) fn server(config: &ProviderConfig, keys: Arc<dyn Keys>) -> Result<Server, String> {
    Server::new(config, DEFAULT_URL, keys, KeyHeader::Named("x-goog-api-key"))
}

#[async_trait]
impl Provider for Gemini {
    async fn send(&self, call: &ProviderRequest) -> Result<Reply, Failure> {
        match call.endpoint {
            Endpoint::ChatCompletions => self.chat(call).await,
            Endpoint::Embeddings => embed::embed(self, call).await.map(Reply::from),
            other => {
                let what = format!("Gemini has no {}", other.operation());
                Err(Failure::Unsupported { what, param: None })
            }
        }
    }
}
