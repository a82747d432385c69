//! The members that are read from a chunk of a chat completion.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::halves::ChunkText;
use crate::model::object::Object;
use crate::model::provider::Failure;

#[derive(Deserialize)]
pub(super) struct Chunk {
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    #[serde(default)]
    pub service_tier: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Choice {
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    pub delta: Option<Delta>,
    #[serde(default)]
    pub logprobs: Option<Logprobs>,
    #[serde(default)]
    pub finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
pub(super) struct Delta {
    #[serde(default)]
    pub content: Option<ChunkText>,
    #[serde(default)]
    pub refusal: Option<ChunkText>,
    #[serde(default)]
    reasoning_content: Option<Box<RawValue>>,
    /// The reasoning as a string. Some providers use this name for an object, which is ignored.
    #[serde(default)]
    reasoning: Option<Box<RawValue>>,
    #[serde(default)]
    pub tool_calls: Option<Vec<CallPiece>>,
}

/// A piece of a tool call. OpenAI identifies the call by `index`. Imitators omit the index or the id.
#[derive(Deserialize)]
pub(super) struct CallPiece {
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
pub(super) struct CalledPiece {
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default, alias = "input")]
    pub arguments: Option<ChunkText>,
}

impl CallPiece {
    pub(super) fn called(&self) -> Option<&CalledPiece> {
        self.function.as_ref().or(self.custom.as_ref())
    }

    /// Whether a custom tool is called.
    pub(super) fn is_custom(&self) -> bool {
        self.function.is_none() && self.custom.is_some()
    }
}

#[derive(Default, Deserialize)]
pub(super) struct Logprobs {
    #[serde(default)]
    pub content: Option<Vec<Logprob>>,
}

/// The log probability of a token, and those of the likeliest tokens at its place.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(super) struct Logprob {
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
    pub(super) fn read(json: &[u8]) -> Result<Self, Failure> {
        serde_json::from_slice(json)
            .map_err(|error| Failure::Malformed(format!("the chunk is no chat completion's: {error}")))
    }

    /// The choice that is read. weir asks for only one.
    pub(super) fn choice(self) -> Option<Choice> {
        self.choices?.into_iter().find(|choice| choice.index.unwrap_or(0) == 0)
    }
}

impl Delta {
    /// The reasoning, from one of its two names.
    pub(super) fn reasoning(&self) -> Option<ChunkText> {
        let names = [&self.reasoning_content, &self.reasoning];
        names.into_iter().flatten().find_map(|json| serde_json::from_str(json.get()).ok())
    }
}

impl Logprob {
    /// The log probability as events have it: without bytes.
    pub(super) fn in_event(&self) -> Object {
        let short = |token: &str, logprob: f64| Object::default().with("token", token).with("logprob", &logprob);
        let top: Vec<Object> = self.top_logprobs.iter().map(|top| short(&top.token, top.logprob)).collect();
        short(&self.token, self.logprob).with("top_logprobs", &top)
    }
}
