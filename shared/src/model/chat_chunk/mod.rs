//! The members that are read from a chunk of a chat completion, and how its pieces of tool calls belong together.

mod calls;
mod citations;
mod progress;
mod text;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use calls::KnownCalls;
pub use citations::Annotations;
pub use progress::Progress;
pub use text::{ChunkText, Halves};

use super::object::Object;
use super::provider::Failure;
use super::reasoning::ReasoningDetails;

/// A whole chat completion as the only chunk of a stream.
///
/// # Errors
/// `Malformed` if it has no list of choices.
pub fn chunk_of_whole(whole: &[u8]) -> Result<Bytes, Failure> {
    let malformed = || Failure::Malformed("the answer is no chat completion".to_owned());
    let body = Object::parse(whole).map_err(|_| malformed())?;
    let mut choices: Vec<Object> = body.get("choices").ok_or_else(malformed)?;
    for choice in &mut choices {
        if let Some(message) = choice.get::<Box<RawValue>>("message") {
            choice.set_raw("delta", message);
            choice.remove("message");
        }
    }
    Ok(body.with("choices", &choices).to_bytes())
}

/// A chunk of a chat completion.
#[derive(Deserialize)]
pub struct Chunk {
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    #[serde(default)]
    pub service_tier: Option<String>,
}

/// What a chunk adds to a choice.
#[derive(Deserialize)]
pub struct Choice {
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    pub delta: Option<Delta>,
    /// Some servers repeat the whole message in a chunk.
    #[serde(default)]
    pub message: Option<Annotated>,
    #[serde(default)]
    pub logprobs: Option<Logprobs>,
    #[serde(default)]
    pub finish_reason: Option<String>,
}

/// What is read of a whole message.
#[derive(Deserialize)]
pub struct Annotated {
    #[serde(default)]
    pub annotations: Annotations,
}

/// What a chunk adds to a message. A whole message has the same members.
#[derive(Default, Deserialize)]
pub struct Delta {
    #[serde(default)]
    pub content: Option<ChunkText>,
    #[serde(default)]
    pub refusal: Option<ChunkText>,
    #[serde(default)]
    pub annotations: Annotations,
    #[serde(default)]
    reasoning_content: Option<Box<RawValue>>,
    /// The reasoning as a string. Some providers use this name for an object, which is ignored.
    #[serde(default)]
    reasoning: Option<Box<RawValue>>,
    #[serde(default)]
    reasoning_details: Option<Box<RawValue>>,
    #[serde(default)]
    pub tool_calls: Option<Vec<CallPiece>>,
}

/// A piece of a tool call. OpenAI identifies the call by `index`. Imitators omit the index or the id.
#[derive(Deserialize)]
pub struct CallPiece {
    #[serde(default)]
    pub index: Option<u64>,
    #[serde(default)]
    pub id: Option<String>,
    #[serde(default)]
    function: Option<CalledPiece>,
    #[serde(default)]
    custom: Option<CalledPiece>,
}

/// A piece of what is called. A custom tool has an `input` instead of `arguments`.
#[derive(Default, Deserialize)]
pub struct CalledPiece {
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default, alias = "input")]
    pub arguments: Option<ChunkText>,
}

impl CallPiece {
    #[must_use]
    pub fn called(&self) -> Option<&CalledPiece> {
        self.function.as_ref().or(self.custom.as_ref())
    }

    /// The name of the tool that a piece begins to call. An empty one counts as none.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.called()?.name.as_deref().filter(|name| !name.is_empty())
    }

    /// The provider's id of the call. An empty one counts as none.
    #[must_use]
    pub fn provider_id(&self) -> Option<String> {
        self.id.clone().filter(|id| !id.is_empty())
    }

    /// Whether a custom tool is called.
    #[must_use]
    pub fn is_custom(&self) -> bool {
        self.function.is_none() && self.custom.is_some()
    }
}

/// The log probabilities of a piece of text.
#[derive(Default, Deserialize)]
pub struct Logprobs {
    #[serde(default)]
    pub content: Option<Vec<Logprob>>,
}

/// The log probability of a token, and those of the likeliest tokens at its place.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Logprob {
    #[serde(deserialize_with = "alone")]
    token: String,
    logprob: f64,
    #[serde(default, deserialize_with = "null_is_empty")]
    bytes: Vec<u8>,
    #[serde(default)]
    top_logprobs: Vec<TopLogprob>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
struct TopLogprob {
    #[serde(deserialize_with = "alone")]
    token: String,
    logprob: f64,
    #[serde(default, deserialize_with = "null_is_empty")]
    bytes: Vec<u8>,
}

fn alone<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(ChunkText::deserialize(deserializer)?.alone())
}

fn null_is_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Chunk {
    /// # Errors
    /// `Malformed` if this is no chunk.
    pub fn read(json: &[u8]) -> Result<Self, Failure> {
        serde_json::from_slice(json)
            .map_err(|error| Failure::Malformed(format!("the chunk is no chat completion's: {error}")))
    }

    /// The choice that is read. weir asks for only one.
    #[must_use]
    pub fn choice(self) -> Option<Choice> {
        self.choices?.into_iter().find(|choice| choice.index.unwrap_or(0) == 0)
    }
}

impl Delta {
    /// The reasoning, from one of its two names, else from its details.
    #[must_use]
    pub fn reasoning(&self) -> Option<ChunkText> {
        let names = [&self.reasoning_content, &self.reasoning];
        let named = names.into_iter().flatten().find_map(|json| serde_json::from_str(json.get()).ok());
        named.or_else(|| Some(self.reasoning_details().text().into()))
    }

    /// The reasoning that the model wants back.
    #[must_use]
    pub fn reasoning_details(&self) -> ReasoningDetails {
        self.reasoning_details.as_deref().map(ReasoningDetails::read).unwrap_or_default()
    }
}

impl Logprob {
    /// The log probability as events have it: without bytes.
    #[must_use]
    pub fn in_event(&self) -> Object {
        let short = |token: &str, logprob: f64| Object::default().with("token", token).with("logprob", &logprob);
        let top: Vec<Object> = self.top_logprobs.iter().map(|top| short(&top.token, top.logprob)).collect();
        short(&self.token, self.logprob).with("top_logprobs", &top)
    }
}
