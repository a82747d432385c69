//! Calls to a model provider, their answers, and their failures.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use super::content_type::ContentType;
use super::error_chain::ErrorChain;
use super::form::Uploads;
use super::keys::KEY_RETRY_MS;
use super::object::Object;
use super::provider_batch::{Exchange, ProviderBatches};
use super::tokens::Usage;

/// A provider of models. Implementations are in the crate `providers`. They accept and return OpenAI's shapes, and
/// Anthropic's for [`Endpoint::Messages`].
///
/// An implementation makes one attempt. Timeouts other than for connecting, retries and fallback belong to
/// `app::dispatch`.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Sends `call`. Returns after the whole answer, or after the start of a streamed answer.
    ///
    /// # Errors
    /// See [`Failure`].
    async fn send(&self, call: &ProviderRequest) -> Result<Reply, Failure>;

    /// The batch API of the provider; `None` if it has none that weir knows.
    fn batches(&self) -> Option<&dyn ProviderBatches> {
        None
    }
}

/// One attempt at a provider.
#[derive(Debug, Clone)]
pub struct ProviderRequest {
    pub endpoint: Endpoint,
    /// The provider's name of the model. The implementation writes it into the body.
    pub model: String,
    /// The client's body, in the shape of the endpoint.
    pub body: Object,
    /// The files of a client's form, whose texts are in `body`.
    pub uploads: Uploads,
    pub stream: bool,
    /// The most output tokens that the model can write, as the models file says. `None` for models that write no text. A
    /// provider whose API requires a limit sends it for a body without one.
    pub max_output_tokens: Option<u64>,
    /// Time to establish a connection.
    pub connect: Duration,
    /// Headers of the client that a provider with the same API gets too.
    pub headers: Vec<(&'static str, String)>,
    /// W3C trace context to pass on.
    pub traceparent: Option<String>,
    pub exchange: Exchange,
}

/// The operations that reach a provider. Names are OpenAI's and Anthropic's paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    ChatCompletions,
    Completions,
    Embeddings,
    Moderations,
    Images,
    ImageEdits,
    Speech,
    Transcriptions,
    Translations,
    /// Anthropic's API. Its bodies, answers and events have Anthropic's shapes.
    Messages,
}

impl Endpoint {
    /// The path below the base URL.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::ChatCompletions => "/chat/completions",
            Self::Completions => "/completions",
            Self::Embeddings => "/embeddings",
            Self::Moderations => "/moderations",
            Self::Images => "/images/generations",
            Self::ImageEdits => "/images/edits",
            Self::Speech => "/audio/speech",
            Self::Transcriptions => "/audio/transcriptions",
            Self::Translations => "/audio/translations",
            Self::Messages => "/messages",
        }
    }

    /// `gen_ai.operation.name` of `OpenTelemetry`'s `GenAI` conventions.
    #[must_use]
    pub fn operation(self) -> &'static str {
        match self {
            Self::ChatCompletions | Self::Messages => "chat",
            Self::Completions => "text_completion",
            Self::Embeddings => "embeddings",
            Self::Moderations => "moderations",
            Self::Images => "image_generation",
            Self::ImageEdits => "image_edit",
            Self::Speech => "speech",
            Self::Transcriptions => "transcription",
            Self::Translations => "translation",
        }
    }
}

/// A provider's answer.
pub enum Reply {
    Whole(Box<Whole>),
    /// The events. The end of the stream is the end of the answer.
    Stream(BoxStream<'static, Result<Event, Failure>>),
}

impl From<Whole> for Reply {
    fn from(whole: Whole) -> Self {
        Self::Whole(Box::new(whole))
    }
}

/// A complete answer.
#[derive(Debug, Clone, Default)]
pub struct Whole {
    /// In the shape of the endpoint: JSON, or sound.
    pub body: Bytes,
    pub content_type: ContentType,
    /// The usage; `None` if the provider did not report it.
    pub usage: Option<Usage>,
    /// The pieces that the answer has, if some are billed by the piece; see [`Usage::pieces`].
    pub pieces: Option<u64>,
}

impl Whole {
    /// An answer in JSON that has no pieces.
    #[must_use]
    pub fn json(body: Bytes, usage: Option<Usage>) -> Self {
        Self { body, usage, ..Self::default() }
    }
}

/// One event of a streamed answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The chunk or event as JSON in the shape of the endpoint, without `data:` and without line breaks.
    pub data: Bytes,
    /// The usage of the call so far, if this chunk reports it.
    pub usage: Option<Usage>,
}

/// Why a provider gave no answer.
///
/// `Display` is for callers. It leaves out the provider's own words, which may name the operator's account; only those of a
/// refusal are passed on.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The request was written down for a batch.
    #[error("the request was not sent")]
    NotSent,
    /// There was no connection: the request was not sent.
    #[error("the connection failed")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The connection broke after it was made: the provider may have the whole request.
    #[error("the connection broke")]
    Interrupted(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// weir itself had no file descriptor for a connection. This says nothing about the provider.
    #[error("weir has too many connections open")]
    OwnShortage(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A limit of the target's timeouts ended the attempt.
    #[error("no {awaited} within {} ms", after.as_millis())]
    TimedOut { awaited: Awaited, after: Duration },
    /// The time for the whole call ended the attempt.
    #[error("the time for all attempts was over")]
    OutOfTime,
    /// The provider asks for fewer calls.
    #[error("the provider throttles")]
    Throttled { message: String, retry_after: Option<Duration> },
    /// The provider had an internal error.
    #[error("the provider answered {status}")]
    Unavailable { status: u16, message: String, retry_after: Option<Duration> },
    /// The provider refused the request. `refusal` is its error in the shape of OpenAI's error object.
    #[error("the provider refused with {status}: {}", refusal.message)]
    Refused { status: u16, refusal: ProviderRefusal },
    /// The provider does not accept weir's key.
    #[error("the provider does not accept its key: {message}")]
    Unauthorized { message: String },
    /// The provider cannot be called, because the deployment does not give it what it needs. `what` is for callers,
    /// `reason` for the operator. `retry_after` is set if weir looks again by itself.
    #[error("{what}")]
    NotSetUp { what: &'static str, reason: String, retry_after: Option<Duration> },
    /// The answer does not follow the provider's API.
    #[error("the provider's answer is not understood: {0}")]
    Malformed(String),
    /// This provider has no such operation or cannot express a field of the request.
    #[error("{what}")]
    Unsupported { what: String, param: Option<String> },
    /// Calls are suspended after repeated failures.
    #[error("the provider failed repeatedly and is being left alone")]
    CircuitOpen { retry_after: Duration },
}

/// What a provider did not send in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaited {
    Connection,
    /// The whole answer, or the first event of a stream.
    Answer,
    NextEvent,
}

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connection => "connection",
            Self::Answer => "answer",
            Self::NextEvent => "next event",
        })
    }
}

/// What a failure says about the health of its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Symptom {
    /// The target is down: no request can cause this.
    Outage,
    /// The target did not answer in time. A request that takes long can cause this, too.
    Stall,
    /// Nothing: the request, the key or weir itself can be the cause.
    None,
}

/// OpenAI's code for a prompt that is too long for the model. Agents shorten their conversation when they read it.
pub const PROMPT_TOO_LONG: &str = "context_length_exceeded";

/// A provider's refusal, in the words of OpenAI's error object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProviderRefusal {
    pub message: String,
    pub kind: Option<String>,
    pub param: Option<String>,
    pub code: Option<String>,
}

impl Failure {
    /// Whether the same call may succeed at the same provider later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(_)
                | Self::Interrupted(_)
                | Self::OwnShortage(_)
                | Self::TimedOut { .. }
                | Self::OutOfTime
                | Self::Throttled { .. }
                | Self::Unavailable { .. }
                | Self::Malformed(_)
        )
    }

    /// A key that cannot be read.
    #[must_use]
    pub fn no_key(reason: impl Into<String>) -> Self {
        Self::NotSetUp {
            what: "its key cannot be read",
            reason: reason.into(),
            retry_after: Some(Duration::from_millis(KEY_RETRY_MS)),
        }
    }

    /// A wrong entry of the provider in the models file.
    #[must_use]
    pub fn wrong_entry(reason: impl Into<String>) -> Self {
        Self::NotSetUp { what: "its settings are wrong", reason: reason.into(), retry_after: None }
    }

    /// Whether another provider may serve the call. A refusal of the request itself is final, and so is the end of its time.
    /// 402, 403 and 404 are about the operator's account and the model at this provider.
    #[must_use]
    pub fn may_fall_back(&self) -> bool {
        match self {
            Self::Refused { status, .. } => matches!(status, 402..=404),
            Self::OutOfTime => false,
            _ => true,
        }
    }

    /// What the failure says about its target. A circuit breaker counts only failures that no caller can cause: a status of
    /// 500 or an answer that is not understood may follow from what the request asks for, and a broken connection from its
    /// length. 521 to 524 are from proxies that did not reach the provider or waited too long for it.
    #[must_use]
    pub fn symptom(&self) -> Symptom {
        match self {
            Self::Unreachable(_) | Self::TimedOut { awaited: Awaited::Connection, .. } => Symptom::Outage,
            Self::Unavailable { status: 502 | 503 | 521..=523 | 529, .. } => Symptom::Outage,
            Self::Unavailable { status: 408 | 504 | 524, .. } | Self::TimedOut { .. } => Symptom::Stall,
            _ => Symptom::None,
        }
    }

    /// Whether the provider may bill the attempt although it gave no answer: it had the request, and did not refuse it. A
    /// proxy that waited too long (408, 504, 524) does not know either.
    #[must_use]
    pub fn may_be_billed(&self) -> bool {
        match self {
            Self::TimedOut { awaited, .. } => *awaited != Awaited::Connection,
            Self::Unavailable { status, .. } => matches!(status, 408 | 504 | 524),
            Self::Interrupted(_) | Self::OutOfTime | Self::Malformed(_) => true,
            _ => false,
        }
    }

    /// The kind of the failure, for `error.type` of a span: one of a small set of words or status codes.
    #[must_use]
    pub fn kind(&self) -> Cow<'static, str> {
        match self {
            Self::NotSent => "not_sent".into(),
            Self::Unreachable(_) => "unreachable".into(),
            Self::OwnShortage(_) => "own_shortage".into(),
            Self::Interrupted(_) => "interrupted".into(),
            Self::TimedOut { .. } | Self::OutOfTime => "timeout".into(),
            Self::Throttled { .. } => "429".into(),
            Self::Unavailable { status, .. } | Self::Refused { status, .. } => status.to_string().into(),
            Self::Unauthorized { .. } => "401".into(),
            Self::NotSetUp { .. } => "not_set_up".into(),
            Self::Malformed(_) => "malformed".into(),
            Self::Unsupported { .. } => "unsupported".into(),
            Self::CircuitOpen { .. } => "circuit_open".into(),
        }
    }

    /// A summary for the log. It leaves out the provider's message, which may quote a prompt.
    #[must_use]
    pub fn summary(&self) -> String {
        match self {
            Self::Unreachable(cause) => format!("unreachable: {}", ErrorChain(&**cause)),
            Self::OwnShortage(cause) => format!("no file descriptor left: {}", ErrorChain(&**cause)),
            Self::Interrupted(cause) => format!("connection broke: {}", ErrorChain(&**cause)),
            Self::NotSent | Self::TimedOut { .. } | Self::OutOfTime => self.to_string(),
            Self::Throttled { .. } => "throttled".to_owned(),
            Self::Unavailable { status, .. } => format!("unavailable with {status}"),
            Self::Refused { status, .. } => format!("refused with {status}"),
            Self::Unauthorized { .. } => "provider key not accepted".to_owned(),
            Self::NotSetUp { reason, .. } => format!("not set up: {reason}"),
            Self::Malformed(_) => "answer not understood".to_owned(),
            Self::Unsupported { param, .. } => format!("unsupported: {}", param.as_deref().unwrap_or("operation")),
            Self::CircuitOpen { .. } => "circuit open".to_owned(),
        }
    }

    /// The time after which the provider accepts another call.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after, .. }
            | Self::Unavailable { retry_after, .. }
            | Self::NotSetUp { retry_after, .. } => *retry_after,
            Self::CircuitOpen { retry_after } => Some(*retry_after),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_the_request_is_final_and_one_of_the_account_is_not() {
        for (status, falls_back) in
            [(400, false), (402, true), (403, true), (404, true), (405, false), (413, false), (422, false)]
        {
            let refused = Failure::Refused { status, refusal: ProviderRefusal::default() };
            assert_eq!(refused.may_fall_back(), falls_back, "{status}");
            assert_eq!((refused.symptom(), refused.is_retryable()), (Symptom::None, false), "{status}");
        }
        assert!(Failure::Unauthorized { message: String::new() }.may_fall_back());
        assert!(!Failure::OutOfTime.may_fall_back());
    }
}
