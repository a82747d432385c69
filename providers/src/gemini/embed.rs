//! Embeddings of Gemini's models, through `batchEmbedContents`.

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::model::provider::{Failure, ProviderRequest, Whole};

use super::contents::unsigned;
use super::wire::{Content, Payload};
use super::{Gemini, resource};
use crate::answer::{self, to_bytes};
use crate::conversation::{invalid_request, unsupported};
use crate::counts;
use crate::http;

/// Calls that run at the same time for one request.
const CONCURRENT: usize = 4;
/// Google's limit of texts per call.
const MAX_TEXTS_PER_CALL: usize = 100;

#[derive(Serialize)]
struct Batch<'a> {
    requests: Vec<Request<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    model: &'a str,
    content: Content<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimensionality: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Embedded {
    embeddings: Vec<Embedding>,
    usage_metadata: Option<Tokens>,
}

#[derive(Deserialize)]
struct Embedding {
    values: Vec<f32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tokens {
    #[serde(default, deserialize_with = "counts::member")]
    prompt_token_count: Option<u64>,
}

pub(super) async fn embed(gemini: &Gemini, call: &ProviderRequest) -> Result<Whole, Failure> {
    let texts = texts(call)?;
    let bodies = texts.chunks(MAX_TEXTS_PER_CALL).map(|texts| body(call, texts));
    let calls: Vec<_> = bodies.map(|body| part(gemini, call, body)).collect();
    let parts: Vec<Embedded> = stream::iter(calls).buffered(CONCURRENT).try_collect().await?;
    let mut tokens = parts.iter().map(|part| part.usage_metadata.as_ref()?.prompt_token_count);
    let used = tokens.try_fold(0_u64, |sum, tokens| sum.checked_add(tokens?));
    let vectors: Vec<_> =
        parts.into_iter().flat_map(|part| part.embeddings).map(|embedding| embedding.values).collect();
    if vectors.len() != texts.len() {
        return Err(Failure::Malformed(format!("{} embeddings for {} texts", vectors.len(), texts.len())));
    }
    let whole = answer::embeddings(&call.model, &vectors, answer::wants_base64(&call.body), used.unwrap_or(0));
    Ok(Whole { usage: whole.usage.filter(|_| used.is_some()), ..whole })
}

fn texts(call: &ProviderRequest) -> Result<Vec<String>, Failure> {
    match call.body.get::<Value>("input") {
        Some(Value::String(text)) => Ok(vec![text]),
        Some(Value::Array(items)) if items.iter().all(Value::is_string) => {
            Ok(items.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        }
        Some(Value::Array(_)) => Err(unsupported("input", "Gemini embeds texts, not tokens")),
        _ => Err(invalid_request("input", "`input` must be a string or an array of strings")),
    }
}

fn body(call: &ProviderRequest, texts: &[String]) -> Bytes {
    let model = resource(&call.model);
    let output_dimensionality = call.body.get("dimensions");
    let content = |text| Content { role: None, parts: vec![unsigned(Payload::Text(text))] };
    let requests = texts.iter().map(|text| Request { model: &model, content: content(text), output_dimensionality });
    to_bytes(&Batch { requests: requests.collect() })
}

async fn part(gemini: &Gemini, call: &ProviderRequest, body: Bytes) -> Result<Embedded, Failure> {
    let response = gemini.post(call, "batchEmbedContents", body).await?;
    serde_json::from_slice(&http::whole(response).await?)
        .map_err(|error| Failure::Malformed(format!("the answer has no embeddings: {error}")))
}
