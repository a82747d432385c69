//! `POST /v1/quote`: what a body would cost at most if it were sent to its route, and what would admit or refuse it now.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::request::Parts;
use serde::Serialize;
use shared::app::{BatchQuote, LevelQuote, Quote, Quotes, Rate, Refusal, RefusedLine, ResponseRequest, ServedModels};
use shared::dialects::openai_batches::CreateBatch;
use shared::dialects::openai_chat::Body;
use shared::dialects::openai_responses::CreateResponse;
use shared::edge::{Rejection, SentBody, call_options, is_anthropics, read_body, refusal_code};
use shared::model::catalog::ModelKind;
use shared::model::clock::{Clock, Timestamp};
use shared::model::invalid::Invalid;
use shared::model::meter::Standing;
use shared::model::money::MicroUsd;
use shared::model::object::Object;
use shared::model::project::Caller;
use shared::model::provider::Endpoint;

/// A body with the route that it is for.
enum Quoted {
    Call(Endpoint, Box<Body>),
    Response(Box<CreateResponse>),
    Batch(Box<CreateBatch>),
}

/// Its body has a file, whose length decides the cost.
const NO_QUOTE: &str = "A transcription has no quote, because its cost depends on the sound.";

impl Quoted {
    /// Reads a body. Its members tell its route: `input_file_id`, `messages`, `prompt` or `input`; of bodies with the last two, also the kind
    /// of model. A client of Anthropic's API says so in a header.
    fn parse(json: &[u8], served: &ServedModels, now: Timestamp, is_anthropics: bool) -> Result<Self, Invalid> {
        let object = Object::parse(json).unwrap_or_default();
        let kind = object.get::<String>("model").and_then(|name| served.model(&name).ok().map(|model| model.kind));
        let call = |endpoint| Ok(Self::Call(endpoint, Box::new(Body::parse(endpoint, json)?)));
        match kind {
            _ if object.text("input_file_id").is_some() => Ok(Self::Batch(Box::new(CreateBatch::parse(json)?))),
            _ if object.text("messages").is_some() && is_anthropics => call(Endpoint::Messages),
            _ if object.text("messages").is_some() => call(Endpoint::ChatCompletions),
            Some(ModelKind::Image) => call(Endpoint::Images),
            Some(ModelKind::Speech) => call(Endpoint::Speech),
            Some(ModelKind::Transcription) => Err(Invalid::field("model", NO_QUOTE)),
            _ if object.text("prompt").is_some() && object.text("input").is_none() => call(Endpoint::Completions),
            Some(ModelKind::Embedding) => call(Endpoint::Embeddings),
            Some(ModelKind::Moderation) => call(Endpoint::Moderations),
            Some(ModelKind::Chat) | None => Ok(Self::Response(Box::new(CreateResponse::parse(json, now)?))),
        }
    }

    fn path(&self) -> String {
        match self {
            Self::Call(endpoint, _) => format!("/v1{}", endpoint.path()),
            Self::Response(_) => "/v1/responses".to_owned(),
            Self::Batch(_) => "/v1/batches".to_owned(),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct QuoteJson {
    object: &'static str,
    /// The route that the body is for.
    endpoint: String,
    model: String,
    max_input_tokens: u64,
    max_output_tokens: u64,
    /// `null` if the model has no price.
    max_cost_usd: Option<MicroUsd>,
    /// The tokens that count against `tokens_per_minute` until the call ends.
    rate_limited_tokens: u64,
    admitted: bool,
    levels: Vec<LevelJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<BatchJson>,
}

/// What a quote of a batch says of its lines.
#[derive(Serialize)]
struct BatchJson {
    lines: u64,
    /// Lines that would not be run.
    refused_lines: u64,
    first_refused: Option<RefusedLineJson>,
}

#[derive(Serialize)]
struct RefusedLineJson {
    line: u64,
    status_code: u16,
    /// As the file of errors would have it.
    error: Option<Object>,
}

#[derive(Serialize)]
struct LevelJson {
    level: &'static str,
    budget_usd: Option<MicroUsd>,
    left_usd: Option<MicroUsd>,
    requests_per_minute: Option<RateJson>,
    tokens_per_minute: Option<RateJson>,
    concurrent_requests: Option<RateJson>,
    /// `null` if the level would admit the call.
    refusal: Option<RefusalJson>,
}

#[derive(Serialize)]
struct RateJson {
    limit: u64,
    remaining: u64,
}

#[derive(Serialize)]
struct RefusalJson {
    code: &'static str,
    message: String,
    /// When the same call may be admitted; `null`: never under this limit.
    retry_after_seconds: Option<u64>,
}

pub(crate) async fn quote(
    State(quotes): State<Arc<Quotes>>,
    State(clock): State<Clock>,
    caller: Caller,
    parts: Parts,
    body: SentBody,
) -> Result<Json<QuoteJson>, Rejection> {
    let served = quotes.models().await?;
    let quoted = read_body(body, |json| Quoted::parse(json, &served, clock.now(), is_anthropics(&parts.headers)))?;
    let (endpoint, options) = (quoted.path(), call_options(&parts, &caller)?);
    Ok(Json(match quoted {
        Quoted::Call(of, body) => QuoteJson::new(endpoint, quotes.of_call(caller, of, *body, &options).await?),
        Quoted::Response(create) => {
            let request = ResponseRequest { create: *create, options };
            QuoteJson::new(endpoint, quotes.of_response(caller, request).await?)
        }
        Quoted::Batch(create) => QuoteJson::of_batch(endpoint, quotes.of_batch(&caller, &create, &options).await?),
    }))
}

impl QuoteJson {
    fn new(endpoint: String, quote: Quote) -> Self {
        Self {
            object: "quote",
            endpoint,
            model: quote.model,
            max_input_tokens: quote.bound.input,
            max_output_tokens: quote.bound.output,
            max_cost_usd: quote.max_cost,
            rate_limited_tokens: quote.counted_tokens,
            admitted: quote.levels.iter().all(|level| level.refusal.is_none()),
            levels: quote.levels.into_iter().map(LevelJson::from).collect(),
            batch: None,
        }
    }

    fn of_batch(endpoint: String, quote: BatchQuote) -> Self {
        let BatchQuote { model, lines, bound, max_cost, refused, first_refused, levels } = quote;
        let batch =
            BatchJson { lines, refused_lines: refused, first_refused: first_refused.map(RefusedLineJson::from) };
        // The lines of a batch do not count against the tokens per minute.
        Self { batch: Some(batch), ..Self::new(endpoint, Quote { model, bound, max_cost, counted_tokens: 0, levels }) }
    }
}

impl From<RefusedLine> for RefusedLineJson {
    fn from(RefusedLine { line, error }: RefusedLine) -> Self {
        let body = Object::parse(&error.body).unwrap_or_default();
        Self { line, status_code: error.status, error: body.get("error") }
    }
}

impl From<LevelQuote> for LevelJson {
    fn from(LevelQuote { standing, refusal }: LevelQuote) -> Self {
        let Standing { level, budget, left, rates, concurrent_requests } = standing;
        let rate = |rate: Rate| RateJson { limit: rate.limit, remaining: rate.remaining };
        let open = |(limit, open): (u64, u64)| RateJson { limit, remaining: limit.saturating_sub(open) };
        Self {
            level: level.code(),
            budget_usd: budget,
            left_usd: left,
            requests_per_minute: rates.requests.map(rate),
            tokens_per_minute: rates.tokens.map(rate),
            concurrent_requests: concurrent_requests.map(open),
            refusal: refusal.map(RefusalJson::from),
        }
    }
}

impl From<Refusal> for RefusalJson {
    fn from(refusal: Refusal) -> Self {
        Self {
            code: refusal_code(&refusal),
            message: refusal.to_string(),
            retry_after_seconds: refusal.retry_after.map(|wait| wait.as_millis().div_ceil(1_000) as u64),
        }
    }
}
