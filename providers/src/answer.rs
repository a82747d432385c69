//! Answers and chunks in OpenAI's shapes, for providers with other shapes.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};
use shared::model::object::Object;
use shared::model::provider::{Event, Whole};
use shared::model::tokens::Usage;

use crate::thought::{Reasoning, Thought};

/// The members that all chunks of one chat completion share.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    pub id: String,
    /// Unix seconds.
    pub created: u64,
    pub model: String,
}

/// One choice of a whole answer.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    pub reasoning: Reasoning,
    pub text: Option<String>,
    pub tool_calls: Vec<ToolCall>,
    pub finish: Finish,
}

/// A function that the model wants to be called.
#[derive(Debug, Clone)]
pub(crate) struct ToolCall {
    pub id: String,
    pub name: String,
    /// JSON text.
    pub arguments: String,
}

/// Why a choice ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    Stop,
    Length,
    ToolCalls,
    ContentFilter,
}

impl Finish {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
        }
    }
}

/// The outermost object. Its members have the order in which OpenAI sends them.
#[derive(Serialize)]
struct Body<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<Value>,
    usage: Option<Value>,
}

impl Answer {
    pub(crate) fn whole(&self, choices: &[Choice], usage: Usage) -> Whole {
        let choices = choices.iter().enumerate().map(|(index, choice)| choice.message(index)).collect();
        let body = self.body("chat.completion", choices, Some(usage));
        Whole::json(body, Some(usage))
    }

    /// The first chunk of a choice.
    pub(crate) fn role(&self, choice: usize) -> Event {
        self.delta(choice, json!({"role": "assistant", "content": ""}), None)
    }

    pub(crate) fn text(&self, choice: usize, text: &str) -> Event {
        self.delta(choice, json!({"content": text}), None)
    }

    pub(crate) fn thought(&self, choice: usize, thought: &Thought) -> Event {
        let mut delta = json!({"reasoning_details": [thought.json()]});
        if let Some(text) = thought.text() {
            delta["reasoning_content"] = text.into();
        }
        self.delta(choice, delta, None)
    }

    /// The start of the tool call number `index`.
    pub(crate) fn tool_call(&self, choice: usize, index: usize, id: &str, name: &str) -> Event {
        let function = json!({"name": name, "arguments": ""});
        let call = json!({"index": index, "id": id, "type": "function", "function": function});
        self.delta(choice, json!({"tool_calls": [call]}), None)
    }

    /// A piece of the arguments of tool call number `index`.
    pub(crate) fn arguments(&self, choice: usize, index: usize, piece: &str) -> Event {
        let call = json!({"index": index, "function": {"arguments": piece}});
        self.delta(choice, json!({"tool_calls": [call]}), None)
    }

    pub(crate) fn finish(&self, choice: usize, finish: Finish) -> Event {
        self.delta(choice, json!({}), Some(finish))
    }

    /// The last chunk, which has no choices.
    pub(crate) fn usage(&self, usage: Usage) -> Event {
        Event { data: self.body("chat.completion.chunk", Vec::new(), Some(usage)), usage: Some(usage) }
    }

    pub(crate) fn delta(&self, index: usize, delta: Value, finish: Option<Finish>) -> Event {
        let finish = finish.map(Finish::name);
        self.choice(json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": finish}))
    }

    /// A chunk with this choice.
    pub(crate) fn choice(&self, choice: Value) -> Event {
        Event { data: self.body("chat.completion.chunk", vec![choice], None), usage: None }
    }

    fn body(&self, object: &'static str, choices: Vec<Value>, usage: Option<Usage>) -> Bytes {
        let usage = usage.map(|usage| usage_json(&usage));
        to_bytes(&Body { id: &self.id, object, created: self.created, model: &self.model, choices, usage })
    }
}

impl Choice {
    fn message(&self, index: usize) -> Value {
        let mut message = json!({"role": "assistant", "content": self.text, "refusal": null});
        let Reasoning { text, details } = &self.reasoning;
        if !text.is_empty() {
            message["reasoning_content"] = text.as_str().into();
        }
        if !details.is_empty() {
            message["reasoning_details"] = details.as_slice().into();
        }
        if !self.tool_calls.is_empty() {
            message["tool_calls"] = self.tool_calls.iter().map(ToolCall::json).collect();
        }
        json!({"index": index, "message": message, "logprobs": null, "finish_reason": self.finish.name()})
    }
}

impl ToolCall {
    fn json(&self) -> Value {
        json!({"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}})
    }
}

/// OpenAI's `usage` of a chat completion. Counts that few providers have are there if they are not 0.
pub(crate) fn usage_json(usage: &Usage) -> Value {
    let mut json = json!({
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input.saturating_add(usage.output),
        "prompt_tokens_details": {"cached_tokens": usage.cached_input, "cache_write_tokens": usage.cache_write},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    });
    if usage.cache_write_30m > 0 || usage.cache_write_12h > 0 {
        json["prompt_tokens_details"]["cache_write_tokens_details"] =
            json!({"ttl_30m_tokens": usage.cache_write_30m, "ttl_12h_tokens": usage.cache_write_12h});
    }
    for (part, tokens) in
        [("prompt_tokens_details", usage.audio_input), ("completion_tokens_details", usage.audio_output)]
    {
        if tokens > 0 {
            json[part]["audio_tokens"] = tokens.into();
        }
    }
    json
}

/// Compact JSON. Writing fails only for maps whose keys are not strings, and the types of this crate have none.
pub(crate) fn to_bytes<T: Serialize>(value: &T) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}

/// An answer with one embedding per input, in OpenAI's shape. In base64, a number is a little-endian `f32`.
pub(crate) fn embeddings(model: &str, vectors: &[Vec<f32>], base64: bool, input: u64) -> Whole {
    #[derive(Serialize)]
    struct Item {
        object: &'static str,
        index: usize,
        embedding: Value,
    }
    #[derive(Serialize)]
    struct List<'a> {
        object: &'static str,
        data: Vec<Item>,
        model: &'a str,
        usage: Value,
    }
    let item = |(index, vector): (usize, &Vec<f32>)| {
        let embedding = if base64 { Value::from(base64_of(vector)) } else { json!(vector) };
        Item { object: "embedding", index, embedding }
    };
    let data = vectors.iter().enumerate().map(item).collect();
    let usage = json!({"prompt_tokens": input, "total_tokens": input});
    let body = to_bytes(&List { object: "list", data, model, usage });
    Whole::json(body, Some(Usage { input, ..Usage::default() }))
}

/// An answer with embeddings as the client asked for them: in base64, although the provider answered with numbers.
///
/// A client that asked for base64 decodes the answer as base64: given a list of numbers, openai-node returns an empty vector.
pub(crate) fn in_base64(body: &Bytes) -> Option<Bytes> {
    let mut answer = Object::parse(body).ok()?;
    let mut data: Vec<Object> = answer.get("data")?;
    let mut has_changed = false;
    for item in &mut data {
        if let Some(vector) = item.get::<Vec<f32>>("embedding") {
            item.set("embedding", &base64_of(&vector));
            has_changed = true;
        }
    }
    answer.set("data", &data);
    has_changed.then(|| answer.to_bytes())
}

pub(crate) fn wants_base64(request: &Object) -> bool {
    request.get::<String>("encoding_format").is_some_and(|format| format == "base64")
}

fn base64_of(vector: &[f32]) -> String {
    use base64::Engine as _;
    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
