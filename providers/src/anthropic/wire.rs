//! The shapes of the Messages API that weir writes and reads.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use shared::model::tokens::{Label, Served, Usage};

use super::iterations::{self, Iterations};
use crate::counts;

#[derive(Serialize)]
pub(super) struct Request<'a> {
    pub model: &'a str,
    pub max_tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<System<'a>>,
    pub messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<ToolChoice<'a>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub stop_sequences: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_config: Option<OutputConfig<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata<'a>>,
    pub stream: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum System<'a> {
    Text(String),
    Blocks(Vec<Marked<'a>>),
}

#[derive(Serialize)]
pub(super) struct Message<'a> {
    pub role: &'static str,
    pub content: Vec<Marked<'a>>,
}

/// A block, and a mark if the input up to it is to be kept.
#[derive(Serialize)]
pub(super) struct Marked<'a> {
    #[serde(flatten)]
    pub block: Block<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<CacheControl>,
}

#[derive(Serialize)]
pub(super) struct CacheControl {
    #[serde(rename = "type")]
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block<'a> {
    Thinking {
        thinking: &'a str,
        signature: &'a str,
    },
    RedactedThinking {
        data: &'a str,
    },
    Text {
        text: &'a str,
    },
    Image {
        source: Source<'a>,
    },
    Document {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<&'a str>,
    },
    ToolUse {
        id: &'a str,
        name: &'a str,
        input: &'a RawValue,
    },
    ToolResult {
        tool_use_id: &'a str,
        content: Vec<Marked<'a>>,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Source<'a> {
    Base64 { media_type: &'a str, data: &'a str },
    Url { url: &'a str },
    Text { media_type: &'static str, data: String },
}

#[derive(Serialize)]
pub(super) struct Tool<'a> {
    pub name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<&'a str>,
    pub input_schema: &'a RawValue,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub strict: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<CacheControl>,
}

#[derive(Serialize)]
pub(super) struct ToolChoice<'a> {
    #[serde(rename = "type")]
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disable_parallel_tool_use: bool,
}

#[derive(Serialize)]
pub(super) struct OutputConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effort: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format<'a>>,
}

#[derive(Serialize)]
pub(super) struct Format<'a> {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub schema: &'a RawValue,
}

#[derive(Serialize)]
pub(super) struct Metadata<'a> {
    pub user_id: Cow<'a, str>,
}

/// An answer, or the start of a streamed one.
#[derive(Deserialize)]
pub(super) struct Reply {
    pub id: String,
    pub model: String,
    #[serde(default)]
    pub content: Vec<ReplyBlock>,
    pub stop_reason: Option<String>,
    #[serde(default)]
    pub usage: Counts,
}

/// A block of an answer. Blocks of types that weir does not know have none of these members.
#[derive(Deserialize)]
pub(super) struct ReplyBlock {
    #[serde(rename = "type")]
    pub kind: String,
    pub text: Option<String>,
    pub thinking: Option<String>,
    pub signature: Option<String>,
    /// Of `redacted_thinking`.
    pub data: Option<String>,
    pub id: Option<String>,
    pub name: Option<String>,
    pub input: Option<Box<RawValue>>,
}

/// An event of a stream. One struct has the members of all types, because each type has few.
#[derive(Deserialize)]
pub(super) struct StreamEvent {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub index: usize,
    pub message: Option<Reply>,
    pub content_block: Option<ReplyBlock>,
    pub delta: Option<Delta>,
    pub usage: Option<Counts>,
    #[serde(default)]
    pub error: Value,
}

#[derive(Deserialize)]
pub(super) struct Delta {
    pub text: Option<String>,
    pub thinking: Option<String>,
    pub signature: Option<String>,
    pub partial_json: Option<String>,
    pub stop_reason: Option<String>,
}

/// Tokens so far. In a stream, the counts of an event replace the earlier ones.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) struct Counts {
    #[serde(default, deserialize_with = "counts::member")]
    input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "counts::member")]
    cache_creation_input_tokens: Option<u64>,
    cache_creation: Option<Creation>,
    #[serde(default, deserialize_with = "counts::member")]
    cache_read_input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "counts::member")]
    output_tokens: Option<u64>,
    output_tokens_details: Option<OutputDetails>,
    #[serde(default, deserialize_with = "iterations::read")]
    iterations: Option<Iterations>,
    #[serde(default, deserialize_with = "word")]
    inference_geo: Option<Label>,
    #[serde(default, deserialize_with = "word")]
    speed: Option<Label>,
}

/// Reads a word; `None` if it is no text.
fn word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Label>, D::Error> {
    Ok(Value::deserialize(deserializer)?.as_str().map(Label::new))
}

/// The stored tokens by the time for which they are stored.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct Creation {
    #[serde(default, deserialize_with = "counts::member")]
    ephemeral_1h_input_tokens: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct OutputDetails {
    #[serde(default, deserialize_with = "counts::member")]
    thinking_tokens: Option<u64>,
}

impl Counts {
    pub(super) fn updated_by(self, newer: Self) -> Self {
        Self {
            input_tokens: newer.input_tokens.or(self.input_tokens),
            cache_creation_input_tokens: newer.cache_creation_input_tokens.or(self.cache_creation_input_tokens),
            cache_creation: newer.cache_creation.or(self.cache_creation),
            cache_read_input_tokens: newer.cache_read_input_tokens.or(self.cache_read_input_tokens),
            output_tokens: newer.output_tokens.or(self.output_tokens),
            output_tokens_details: newer.output_tokens_details.or(self.output_tokens_details),
            iterations: newer.iterations.or(self.iterations),
            inference_geo: newer.inference_geo.or(self.inference_geo),
            speed: newer.speed.or(self.speed),
        }
    }

    /// The usage as OpenAI counts it: the input includes the tokens that the cache served and stored.
    pub(super) fn usage(&self) -> Usage {
        let cached_input = self.cache_read_input_tokens.unwrap_or(0);
        let cache_write = self.cache_creation_input_tokens.unwrap_or(0);
        let mut usage = Usage {
            input: self.input_tokens.unwrap_or(0).saturating_add(cached_input).saturating_add(cache_write),
            cached_input,
            cache_write,
            cache_write_1h: self.cache_creation.and_then(|creation| creation.ephemeral_1h_input_tokens).unwrap_or(0),
            output: self.output_tokens.unwrap_or(0),
            reasoning: self.output_tokens_details.and_then(|details| details.thinking_tokens).unwrap_or(0),
            ..Usage::default()
        };
        let Iterations { compactions, longest_prompt } = self.iterations.unwrap_or_default();
        usage += compactions;
        let (geo, speed) = (self.inference_geo.unwrap_or_default(), self.speed.unwrap_or_default());
        Usage { served: Served { longest_prompt, geo, speed, ..Served::default() }, ..usage }
    }
}
