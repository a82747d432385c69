//! OpenAI, and servers with its API: Azure, Groq, Together, vLLM, Ollama and others.
//!
//! Bodies pass through, including members that weir does not know. `docs/models.md` lists the members that weir sets.

mod batches;
mod calls;
mod form;
mod map;
mod media;
mod native;
mod request;
mod system;
mod thoughts;

use std::sync::Arc;

use async_trait::async_trait;
use shared::model::catalog::{MediaUrls, ProviderConfig, Quirks, ResponsesApi};
use shared::model::keys::Keys;
use shared::model::long_work::long_work;
use shared::model::provider::{Endpoint, Failure, Provider, ProviderRequest, Reply, Whole};
use shared::model::provider_batch::ProviderBatches;

use crate::answer;
use crate::http::{self, Http, KeyHeader, Server};
use crate::media as urls;
use crate::translate::translate;

const DEFAULT_URL: &str = "https://api.openai.com/v1";

/// A provider with OpenAI's API at some base URL.
pub struct OpenAi {
    server: Arc<Server>,
    http: Arc<Http>,
    quirks: Quirks,
    media_urls: MediaUrls,
    plain: native::Plain,
}

impl OpenAi {
    pub(crate) fn new(config: &ProviderConfig, keys: Arc<dyn Keys>, http: Arc<Http>) -> Result<Self, String> {
        let (quirks, media_urls) = (config.quirks.clone(), config.media_urls.clone());
        Ok(Self { server: Arc::new(server(config, keys)?), http, quirks, media_urls, plain: native::Plain::default() })
    }
}

pub(crate) fn server(config: &ProviderConfig, keys: Arc<dyn Keys>) -> Result<Server, String> {
    Server::new(config, DEFAULT_URL, keys, KeyHeader::Bearer)
}

#[async_trait]
impl Provider for OpenAi {
    async fn send(&self, call: &ProviderRequest) -> Result<Reply, Failure> {
        if !call.uploads.is_empty() {
            return self.send_form(call).await;
        }
        if call.endpoint == Endpoint::ChatCompletions && self.quirks.responses == ResponsesApi::Native {
            long_work(call.body.bytes(), || urls::check(&call.body, &self.media_urls))?;
            return native::send(self, call).await;
        }
        let body = long_work(call.body.bytes(), || {
            urls::check(&call.body, &self.media_urls)?;
            Ok(match call.endpoint {
                Endpoint::Images | Endpoint::Speech => media::body(call, &self.quirks).to_bytes(),
                _ => request::body(call, &self.quirks),
            })
        })?;
        let response = self.http.post(&self.server, call.endpoint.path(), call, body).await?;
        match call.endpoint {
            Endpoint::Images => return media::images(response).await.map(Reply::from),
            Endpoint::Speech if call.stream => {
                return Ok(Reply::Stream(translate(http::events(response), media::Events)));
            }
            Endpoint::Speech => return media::sound(call, response).await.map(Reply::from),
            _ => {}
        }
        if call.stream {
            let chunks = map::Chunks::new(&call.body, self.quirks.reasoning_out.clone());
            return Ok(Reply::Stream(translate(http::events(response), chunks)));
        }
        let mut body = http::whole(response).await?;
        let usage = map::usage_of_whole(&body)?;
        if call.endpoint == Endpoint::ChatCompletions
            && let Some(told) = long_work(body.len(), || thoughts::told(&body, "message", &self.quirks.reasoning_out))
        {
            body = told;
        }
        if call.endpoint == Endpoint::Embeddings && answer::wants_base64(&call.body) {
            body = long_work(body.len(), || answer::in_base64(&body)).unwrap_or(body);
        }
        Ok(Reply::from(Whole::json(body, usage)))
    }

    fn batches(&self) -> Option<&dyn ProviderBatches> {
        Some(self)
    }
}

impl OpenAi {
    /// Sends a call that has files.
    async fn send_form(&self, call: &ProviderRequest) -> Result<Reply, Failure> {
        let form = long_work(call.uploads.bytes(), || form::write(&media::body(call, &self.quirks), &call.uploads));
        let headers = call.headers.iter().cloned().chain([("content-type", form.content_type)]).collect();
        let sent = ProviderRequest { headers, ..call.clone() };
        let response = self.http.post(&self.server, call.endpoint.path(), &sent, form.body).await?;
        match call.endpoint {
            Endpoint::ImageEdits => media::images(response).await.map(Reply::from),
            _ if call.stream && media::is_event_stream(&response) => {
                Ok(Reply::Stream(translate(http::events(response), media::Events)))
            }
            // Models that cannot stream ignore the wish.
            _ if call.stream => media::transcript(call, response).await.and_then(|whole| media::as_event(&whole)),
            _ => media::transcript(call, response).await.map(Reply::from),
        }
    }
}
