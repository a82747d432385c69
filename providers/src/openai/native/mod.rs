//! Chat calls as requests of the Responses API, for providers that have it.
//!
//! Chat completions cannot carry all that OpenAI's newer models do: their encrypted reasoning and its summaries, for example. Some models
//! have no chat completions at all. So a chat call becomes a request for a response, and the events of the response become chunks. The
//! provider stores nothing: each request has the whole conversation.

mod failure;
mod input;
mod reader;
mod request;
mod shapes;
mod tools;
mod usage;
mod whole;

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use shared::model::long_work::long_work;
use shared::model::provider::{Failure, ProviderRefusal, ProviderRequest, Reply};
use shared::model::provider_batch::Exchange;

use super::OpenAi;
use crate::http;
use crate::translate::translate;

const PATH: &str = "/responses";

/// The models that refused to encrypt their reasoning, because they have none.
#[derive(Default)]
pub(super) struct Plain(Mutex<HashSet<String>>);

impl Plain {
    fn has(&self, model: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(model)
    }

    fn add(&self, model: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(model.to_owned());
    }
}

/// Sends a chat call. A model that refuses to encrypt its reasoning is asked again without: it has refused, so the first attempt costs
/// nothing.
pub(super) async fn send(provider: &OpenAi, call: &ProviderRequest) -> Result<Reply, Failure> {
    let is_plain = provider.plain.has(&call.model);
    match ask(provider, call, !is_plain).await {
        Err(Failure::Refused { status: 400, refusal }) if !is_plain && is_about_encryption(&refusal) => {
            provider.plain.add(&call.model);
            if let Exchange::Answered { .. } = call.exchange {
                // There is no other answer in the batch.
                let message = refusal.message;
                return Err(Failure::Unavailable { status: 503, message, retry_after: None });
            }
            ask(provider, call, false).await
        }
        answer => answer,
    }
}

async fn ask(provider: &OpenAi, call: &ProviderRequest, encrypted: bool) -> Result<Reply, Failure> {
    let body = long_work(call.body.bytes(), || request::body(call, &provider.quirks, encrypted))?;
    let response = provider.http.post(&provider.server, PATH, call, body).await.map_err(request::in_chat)?;
    if call.stream {
        return Ok(Reply::Stream(translate(http::events(response), reader::Reader::new(&call.model))));
    }
    let body = http::whole(response).await?;
    long_work(body.len(), || whole::answer(&body, &call.model)).map(Reply::from)
}

/// Whether a model cannot encrypt its reasoning. That it cannot read some of an earlier turn is another refusal.
fn is_about_encryption(refusal: &ProviderRefusal) -> bool {
    let message = refusal.message.to_ascii_lowercase();
    (message.contains("encrypted content") && message.contains("support"))
        || message.contains(request::ENCRYPTED)
        || refusal.param.as_deref().is_some_and(|param| param.starts_with("include"))
}
