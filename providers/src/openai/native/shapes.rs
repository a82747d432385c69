//! The shapes of the Responses API, as far as they are read.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use shared::model::chat_chunk::ChunkText;
use shared::model::provider::Failure;

use super::failure::failure;

/// The members of events that are read.
#[derive(Default, Deserialize)]
pub(super) struct Seen {
    #[serde(rename = "type", default)]
    pub(super) kind: Option<String>,
    #[serde(default)]
    pub(super) output_index: Option<u64>,
    #[serde(default)]
    pub(super) item: Option<Box<RawValue>>,
    #[serde(default)]
    pub(super) delta: Option<Box<RawValue>>,
    #[serde(default)]
    pub(super) logprobs: Option<Box<RawValue>>,
    #[serde(default)]
    pub(super) annotation: Option<Box<RawValue>>,
    #[serde(default)]
    pub(super) response: Option<Box<RawValue>>,
}

/// A response, as far as it is read.
#[derive(Deserialize)]
pub(super) struct Response {
    #[serde(default)]
    pub(super) id: Option<String>,
    #[serde(default)]
    pub(super) created_at: Value,
    #[serde(default)]
    pub(super) model: Option<String>,
    #[serde(default)]
    pub(super) status: Option<String>,
    #[serde(default)]
    pub(super) error: Value,
    #[serde(default)]
    pub(super) incomplete_details: Value,
    #[serde(default)]
    pub(super) output: Option<Vec<Box<RawValue>>>,
    #[serde(default)]
    pub(super) usage: Value,
    #[serde(default)]
    pub(super) service_tier: Value,
}

impl Response {
    pub(super) fn has_output(&self) -> bool {
        self.output.is_some()
    }

    pub(super) fn failure(&self) -> Option<Failure> {
        failure(&self.error)
    }
}

/// The type of an item. Items of types that are not read may have any other members.
#[derive(Deserialize)]
struct ItemType {
    #[serde(rename = "type", default)]
    pub(super) kind: String,
}

/// An item of the output.
#[derive(Default, Deserialize)]
pub(super) struct Item {
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) id: Option<String>,
    #[serde(default)]
    pub(super) call_id: Option<String>,
    #[serde(default)]
    pub(super) name: Option<String>,
    #[serde(default, alias = "input")]
    pub(super) arguments: Option<ChunkText>,
    #[serde(default)]
    pub(super) content: Option<Vec<Part>>,
    #[serde(default)]
    pub(super) summary: Option<Vec<Part>>,
    #[serde(default)]
    pub(super) encrypted_content: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Part {
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    #[serde(default, alias = "refusal")]
    pub(super) text: Option<ChunkText>,
    #[serde(default)]
    pub(super) annotations: Option<Vec<Box<RawValue>>>,
    #[serde(default)]
    pub(super) logprobs: Option<Box<RawValue>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Called {
    Function,
    Custom,
}

pub(super) fn call_kind(kind: &str) -> Option<Called> {
    match kind {
        "function_call" => Some(Called::Function),
        "custom_tool_call" => Some(Called::Custom),
        _ => None,
    }
}

/// An item; one without members if its type is not read.
///
/// # Errors
/// `Malformed` if a member has another shape than it has in the Responses API.
pub(super) fn item_of(json: &RawValue) -> Result<Item, Failure> {
    let malformed = |error| Failure::Malformed(format!("an item of the response is not understood: {error}"));
    let kind: ItemType = serde_json::from_str(json.get()).map_err(malformed)?;
    let is_read = matches!(kind.kind.as_str(), "message" | "reasoning") || call_kind(&kind.kind).is_some();
    if is_read { serde_json::from_str(json.get()).map_err(malformed) } else { Ok(Item::default()) }
}

/// # Errors
/// `Malformed` if the JSON is no response.
pub(super) fn read_response(json: &[u8]) -> Result<Response, Failure> {
    serde_json::from_slice(json).map_err(|error| Failure::Malformed(format!("this is no response: {error}")))
}

/// The log probabilities in the shape of a chat completion, which has the bytes of each token or `null`.
pub(super) fn in_chat(logprobs: &RawValue) -> Option<Vec<Value>> {
    let mut list: Vec<Value> = serde_json::from_str(logprobs.get()).ok()?;
    let complete = |entry: &mut Value| {
        if let Some(entry) = entry.as_object_mut() {
            entry.entry("bytes").or_insert(Value::Null);
        }
    };
    for entry in &mut list {
        complete(entry);
        let top = entry.get_mut("top_logprobs").and_then(Value::as_array_mut);
        top.into_iter().flatten().for_each(complete);
    }
    Some(list).filter(|list| !list.is_empty())
}
