//! Embeddings of Amazon's Titan and Nova and of Cohere, through `InvokeModel`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_bedrockruntime::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_bedrockruntime::error::BoxError;
use aws_smithy_types::Blob;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use shared::model::provider::{Failure, ProviderRequest, Reply, Whole};

use super::{failure, settings};
use crate::answer;
use crate::conversation::{invalid_request, unsupported};

/// Calls that run at the same time for one request. Titan and Nova take one text per call.
const CONCURRENT: usize = 8;
/// Cohere's limit of texts per call.
const MAX_TEXTS_PER_CALL: usize = 96;

/// The vendor whose request and answer shapes a model has.
#[derive(Clone, Copy)]
enum Maker {
    Titan,
    Nova,
    Cohere,
}

pub(super) async fn embed(client: &Client, call: &ProviderRequest) -> Result<Reply, Failure> {
    let maker = maker(&call.model)?;
    let texts = texts(call)?;
    let per_call = match maker {
        Maker::Titan | Maker::Nova => 1,
        Maker::Cohere => MAX_TEXTS_PER_CALL,
    };
    let calls = texts.chunks(per_call).map(|texts| invoke(client, call, maker, body(call, maker, texts)));
    // The futures are made before the stream; otherwise they would have to be `Send` for every lifetime.
    let calls: Vec<_> = calls.collect();
    let parts: Vec<Part> = stream::iter(calls).buffered(CONCURRENT).try_collect().await?;
    let used = parts.iter().map(|part| part.tokens).try_fold(0_u64, |sum, tokens| Some(sum + tokens?));
    let vectors: Vec<_> = parts.into_iter().flat_map(|part| part.vectors).collect();
    if vectors.len() != texts.len() {
        return Err(Failure::Malformed(format!("{} embeddings for {} texts", vectors.len(), texts.len())));
    }
    let base64 = answer::wants_base64(&call.body);
    let whole = answer::embeddings(&call.model, &vectors, base64, used.unwrap_or(0));
    Ok(Reply::from(Whole { usage: whole.usage.filter(|_| used.is_some()), ..whole }))
}

fn maker(model: &str) -> Result<Maker, Failure> {
    if model.contains("amazon.titan-embed") {
        return Ok(Maker::Titan);
    }
    if model.contains("amazon.nova") && model.contains("embeddings") {
        return Ok(Maker::Nova);
    }
    if model.contains("cohere.embed") {
        return Ok(Maker::Cohere);
    }
    Err(unsupported("model", format!("weir does not know how `{model}` embeds through Bedrock")))
}

fn texts(call: &ProviderRequest) -> Result<Vec<String>, Failure> {
    match call.body.get::<Value>("input") {
        Some(Value::String(text)) => Ok(vec![text]),
        Some(Value::Array(items)) if items.iter().all(Value::is_string) => {
            Ok(items.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        }
        Some(Value::Array(_)) => Err(unsupported("input", "Bedrock embeds texts, not tokens")),
        _ => Err(invalid_request("input", "`input` must be a string or an array of strings")),
    }
}

fn body(call: &ProviderRequest, maker: Maker, texts: &[String]) -> Value {
    let dimensions: Option<u64> = call.body.get("dimensions");
    match maker {
        Maker::Titan => {
            let mut body = json!({"inputText": texts.first()});
            match dimensions {
                Some(length) if call.model.contains("embed-image") => {
                    body["embeddingConfig"] = json!({"outputEmbeddingLength": length});
                }
                Some(length) => body["dimensions"] = json!(length),
                None => {}
            }
            body
        }
        Maker::Nova => {
            // A text that is too long is refused, as at OpenAI, and not shortened.
            let text = json!({"truncationMode": "NONE", "value": texts.first()});
            let purpose = call.body.get::<String>("input_type").unwrap_or_else(|| "GENERIC_INDEX".to_owned());
            let mut params = json!({"embeddingPurpose": purpose, "text": text});
            if let Some(length) = dimensions {
                params["embeddingDimension"] = json!(length);
            }
            json!({"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": params})
        }
        Maker::Cohere => {
            let kind = call.body.get::<String>("input_type").unwrap_or_else(|| "search_document".to_owned());
            let mut body = json!({"texts": texts, "input_type": kind, "embedding_types": ["float"]});
            if let Some(length) = dimensions {
                body["output_dimension"] = json!(length);
            }
            body
        }
    }
}

/// The result of one call.
struct Part {
    vectors: Vec<Vec<f32>>,
    tokens: Option<u64>,
}

async fn invoke(client: &Client, call: &ProviderRequest, maker: Maker, body: Value) -> Result<Part, Failure> {
    let counted = CountedTokens::default();
    let operation =
        client.invoke_model().model_id(&call.model).content_type("application/json").accept("application/json");
    let operation = operation.body(Blob::new(body.to_string())).customize();
    let sending = operation.config_override(settings(call)).interceptor(counted.clone()).send();
    let output = Box::pin(sending).await.map_err(|error| failure::of_call(error, call.connect))?;
    let answer: Value = serde_json::from_slice(output.body.as_ref())
        .map_err(|error| Failure::Malformed(format!("the embedding is not JSON: {error}")))?;
    let (vectors, tokens) = match maker {
        Maker::Titan => (json!([answer["embedding"]]), answer["inputTextTokenCount"].as_u64()),
        Maker::Nova => (json!([answer["embeddings"][0]["embedding"]]), None),
        // Older models answer with a list. Newer ones answer with a list per type.
        Maker::Cohere => (answer.pointer("/embeddings/float").unwrap_or(&answer["embeddings"]).clone(), None),
    };
    let vectors = serde_json::from_value(vectors)
        .map_err(|error| Failure::Malformed(format!("the answer has no embedding: {error}")))?;
    Ok(Part { vectors, tokens: tokens.or(counted.tokens()) })
}

/// Reads the token count of `InvokeModel`. It is in a header that the SDK does not pass on.
#[derive(Debug, Clone, Default)]
struct CountedTokens(Arc<AtomicU64>);

const UNKNOWN: u64 = 0;

impl CountedTokens {
    fn tokens(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|tokens| *tokens != UNKNOWN)
    }
}

impl Intercept for CountedTokens {
    fn name(&self) -> &'static str {
        "CountedTokens"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let header = context.response().headers().get("x-amzn-bedrock-input-token-count");
        let tokens = header.and_then(|text| text.parse().ok()).unwrap_or(UNKNOWN);
        self.0.store(tokens, Ordering::Relaxed);
        Ok(())
    }
}
