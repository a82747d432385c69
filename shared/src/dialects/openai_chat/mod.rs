//! Request bodies that were checked: what weir needs to know of them, beside their exact text.

pub mod bound;
mod shape;
pub mod stream;
pub mod transcript;

pub(crate) use shape::LEGACY_MAX_TOKENS;

use crate::dialects::parts;
use crate::model::invalid::Invalid;
use crate::model::object::Object;
use crate::model::provider::Endpoint;
use shape::{ChatShape, CompletionShape, EmbeddingShape, ModerationShape};

/// A body of one of the model endpoints, checked.
#[derive(Debug, Clone)]
pub struct Body {
    /// The body as it was sent.
    pub object: Object,
    pub model: String,
    pub stream: bool,
    /// Whether the client wants the usage chunk of a stream.
    pub include_usage: bool,
    /// Answers asked for, at least 1.
    pub choices: u64,
    /// Output tokens that the request allows itself, for one answer.
    pub max_output_tokens: Option<u64>,
    /// Bytes of everything that is text to the model; a token is at least one byte.
    pub text_bytes: u64,
    /// Images, whose tokens their length does not bound.
    pub images: u64,
    /// Sounds and files, of which nothing is known.
    pub other_media: u64,
    /// Inputs that each have a context of their own.
    pub contexts: u64,
    pub has_tools: bool,
    /// Whether text predicted by the caller may be billed as output.
    pub has_prediction: bool,
}

impl Body {
    /// Reads and checks a body.
    ///
    /// # Errors
    /// Not JSON, not an object, a field that is missing or has the wrong type: said with the path of the field.
    pub fn parse(endpoint: Endpoint, json: &[u8]) -> Result<Self, Invalid> {
        let object = Object::parse(json).map_err(|error| not_json(&error))?;
        match endpoint {
            Endpoint::ChatCompletions => Ok(parts::read::<ChatShape>(json)?.into_body(object, json.len())),
            Endpoint::Completions => Ok(parts::read::<CompletionShape>(json)?.into_body(object, json.len())),
            Endpoint::Embeddings => Ok(parts::read::<EmbeddingShape>(json)?.into_body(object, json.len())),
            Endpoint::Moderations => Ok(parts::read::<ModerationShape>(json)?.into_body(object, json.len())),
        }
    }
}

pub(super) fn not_json(error: &serde_json::Error) -> Invalid {
    let message = match error.classify() {
        serde_json::error::Category::Data => format!("The request body must be a JSON object: {error}."),
        _ => format!("We could not parse the JSON body of your request: {error}."),
    };
    Invalid { message, param: None, code: None }
}
