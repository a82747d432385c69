//! The members that are read from a chunk of a chat completion.

use serde::{Deserialize, Serialize};
use serde_json::Value;

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
    pub content: Option<String>,
    #[serde(default)]
    pub refusal: Option<String>,
    #[serde(default)]
    reasoning_content: Value,
    /// The reasoning as a string. Some providers use this name for an object, which is ignored.
    #[serde(default)]
    reasoning: Value,
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
    pub function: Option<FunctionPiece>,
}

#[derive(Default, Deserialize)]
pub(super) struct FunctionPiece {
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub arguments: Option<String>,
}

#[derive(Default, Deserialize)]
pub(super) struct Logprobs {
    #[serde(default)]
    pub content: Option<Vec<Logprob>>,
}

/// The log probability of a token, and those of the likeliest tokens at its place.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(super) struct Logprob {
    token: String,
    logprob: f64,
    #[serde(default, deserialize_with = "null_is_empty")]
    bytes: Vec<u8>,
    #[serde(default)]
    top_logprobs: Vec<TopLogprob>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
struct TopLogprob {
    token: String,
    logprob: f64,
    #[serde(default, deserialize_with = "null_is_empty")]
    bytes: Vec<u8>,
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
    pub(super) fn reasoning(&self) -> Option<&str> {
        self.reasoning_content.as_str().or(self.reasoning.as_str())
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
