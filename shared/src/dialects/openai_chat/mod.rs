//! Checked request bodies: the exact text, and the members that weir needs.

pub mod accountable;
pub mod bound;
mod members;
mod shape;
pub mod stream;
mod summary;
pub mod transcript;
mod walk;

pub(crate) use shape::LEGACY_MAX_TOKENS;
pub use summary::AnswerSummary;
pub use walk::Noted;

use crate::dialects::body::{read, read_object};
use crate::model::invalid::Invalid;
use crate::model::object::Object;
use crate::model::provider::Endpoint;
use shape::{ChatShape, CompletionShape, EmbeddingShape, ModerationShape};

/// A checked body of a model endpoint.
#[derive(Debug, Clone)]
pub struct Body {
    /// The body as it was sent.
    pub object: Object,
    pub model: String,
    pub stream: bool,
    /// Whether the client wants the usage chunk of a stream.
    pub include_usage: bool,
    /// Requested answers, at least 1.
    pub choices: u64,
    /// The request's own limit of output tokens, for one answer.
    pub max_output_tokens: Option<u64>,
    /// Bytes of all text for the model. A token has at least one byte.
    pub text_bytes: u64,
    /// Number of images. Their tokens are not bounded by their bytes.
    pub images: u64,
    /// Number of sounds and files. Nothing bounds their tokens.
    pub other_media: u64,
    /// Inputs with a context of their own.
    pub contexts: u64,
    pub has_tools: bool,
    /// Whether text from the caller, such as a prediction, may be billed as output.
    pub has_prediction: bool,
    /// What decides the price of the call, and whether a budget can pay for it.
    pub noted: Noted,
}

impl Body {
    /// Reads and checks a body.
    ///
    /// # Errors
    /// If the body is not a JSON object, or a field is missing or has the wrong type. The error names the path of the
    /// field.
    pub fn parse(endpoint: Endpoint, json: &[u8]) -> Result<Self, Invalid> {
        let object = read_object(json)?;
        let length = json.len();
        let (body, known) = match endpoint {
            Endpoint::ChatCompletions => (read::<ChatShape>(json)?.into_body(object, length), &members::CHAT),
            Endpoint::Completions => (read::<CompletionShape>(json)?.into_body(object, length), &members::COMPLETION),
            Endpoint::Embeddings => (read::<EmbeddingShape>(json)?.into_body(object, length), &members::EMBEDDING),
            Endpoint::Moderations => (read::<ModerationShape>(json)?.into_body(object, length), &members::MODERATION),
        };
        Ok(Self { noted: Noted::of(known, &body.object), ..body })
    }
}
