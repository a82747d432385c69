//! Simulated chat completions and legacy completions.

use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::{Value, json};
use shared::model::provider::{Event, Failure, ProviderRefusal, ProviderRequest, Reply, Whole};
use shared::model::tokens::Usage;

use super::length::Length;
use super::pace::Pace;
use super::sample::{object_without_schema, sample};
use super::{invalid_request, text};
use crate::answer::{Answer, Choice, Finish, ToolCall, to_bytes, usage_json};
use crate::thought::Reasoning;

const MAX_CHOICES: u64 = 128;
/// `builtin/simulator.toml` has the same values.
const CONTEXT_TOKENS: u64 = 128_000;
/// The most texts of one legacy completion.
const MAX_TEXTS: usize = 2_048;
/// The most tokens of a picture. A picture also never counts more tokens than its URL has bytes.
const MAX_IMAGE_TOKENS: u64 = 85;

pub(super) async fn chat(
    call: &ProviderRequest,
    fingerprint: &str,
    created: u64,
    pace: Pace,
) -> Result<Reply, Failure> {
    let messages: Vec<Value> = call
        .body
        .get("messages")
        .filter(|messages: &Vec<Value>| !messages.is_empty())
        .ok_or_else(|| invalid_request("messages", "`messages` must be an array with at least one message"))?;
    let choices = choices_of(call, &messages, fingerprint)?;
    let output = choices.iter().map(|choice| pieces(choice).len() as u64).sum();
    let usage = Usage { input: within_context(prompt_tokens(call, &messages))?, output, ..Usage::default() };
    let id = format!("chatcmpl-sim-{}", short(fingerprint));
    let answer = Answer { id, created, model: call.model.clone() };
    if call.stream {
        return Ok(Reply::Stream(pace_events(chunks(&answer, &choices, usage), pace)));
    }
    pace.wait_for_tokens(u32::try_from(output).unwrap_or(u32::MAX)).await;
    Ok(Reply::from(answer.whole(&choices, usage)))
}

fn short(fingerprint: &str) -> &str {
    fingerprint.get(..24).unwrap_or(fingerprint)
}

fn choices(call: &ProviderRequest) -> Result<usize, Failure> {
    let n = call.body.get::<u64>("n").unwrap_or(1);
    let allowed = (1..=MAX_CHOICES).contains(&n);
    if !allowed {
        return Err(invalid_request("n", format!("`n` must be between 1 and {MAX_CHOICES}")));
    }
    Ok(usize::try_from(n).unwrap_or(1))
}

/// The answers that the caller asks for. What they have in common is made once.
fn choices_of(call: &ProviderRequest, messages: &[Value], fingerprint: &str) -> Result<Vec<Choice>, Failure> {
    let count = choices(call)?;
    let mut length = Length::of(call)?;
    if let Some(tool) = forced_tool(call)? {
        let arguments = sample(&tool["parameters"]);
        let arguments = if arguments.is_object() { arguments.to_string() } else { "{}".to_owned() };
        let name = tool["name"].as_str().unwrap_or_default();
        let id = |n| format!("call_sim_{}_{n}", short(fingerprint));
        return Ok((0..count).map(|n| tool_choice(id(n), name, length.cut(&arguments))).collect());
    }
    let (reply, format) = (text::reply(messages), call.body.get::<Value>("response_format").unwrap_or_default());
    let fixed = match format["type"].as_str() {
        Some("json_schema") => Some(sample(&format["json_schema"]["schema"]).to_string()),
        _ => None,
    };
    let text = |n| match (&fixed, format["type"].as_str()) {
        (Some(fixed), _) => fixed.clone(),
        (None, Some("json_object")) => object_without_schema(&text::numbered(&reply, n)).to_string(),
        _ => text::numbered(&reply, n),
    };
    Ok((0..count).map(|n| text_choice(length.cut(&text(n)))).collect())
}

fn tool_choice(id: String, name: &str, (arguments, finish): (String, Finish)) -> Choice {
    let finish = if finish == Finish::Length { finish } else { Finish::ToolCalls };
    Choice {
        reasoning: Reasoning::default(),
        text: None,
        tool_calls: vec![ToolCall { id, name: name.to_owned(), arguments }],
        finish,
    }
}

fn text_choice((text, finish): (String, Finish)) -> Choice {
    Choice { reasoning: Reasoning::default(), text: Some(text), tool_calls: Vec::new(), finish }
}

/// The function that the caller requires, if any.
fn forced_tool(call: &ProviderRequest) -> Result<Option<Value>, Failure> {
    let choice: Value = call.body.get("tool_choice").unwrap_or_default();
    let wanted = match &choice {
        Value::String(word) if word == "required" => None,
        Value::Object(_) => Some(choice.pointer("/function/name").and_then(Value::as_str).unwrap_or_default()),
        _ => return Ok(None),
    };
    let tools: Vec<Value> = call.body.get("tools").unwrap_or_default();
    let mut functions = tools.iter().map(|tool| &tool["function"]);
    let found = functions.find(|function| wanted.is_none_or(|name| function["name"] == name));
    found
        .cloned()
        .map(Some)
        .ok_or_else(|| invalid_request("tool_choice", "`tool_choice` asks for a function that `tools` does not have"))
}

/// Tokens of the messages and tools, never more than their bytes.
fn prompt_tokens(call: &ProviderRequest, messages: &[Value]) -> u64 {
    let texts: u64 = messages.iter().map(|message| text::count(&text::content(message))).sum();
    let parts = messages.iter().filter_map(|message| message["content"].as_array()).flatten();
    let images = parts.filter_map(|part| part.pointer("/image_url/url")?.as_str());
    let images: u64 = images.map(|url| MAX_IMAGE_TOKENS.min(url.len() as u64)).sum();
    texts + images + call.body.text("tools").map_or(0, text::count)
}

/// # Errors
/// `Refused`, in the words of OpenAI, if the tokens exceed the simulator's context.
fn within_context(input: u64) -> Result<u64, Failure> {
    if input <= CONTEXT_TOKENS {
        return Ok(input);
    }
    let message = format!("the simulator's context is {CONTEXT_TOKENS} tokens, and the input has {input}");
    let kind = Some("invalid_request_error".to_owned());
    let code = Some("context_length_exceeded".to_owned());
    Err(Failure::Refused {
        status: 400,
        refusal: ProviderRefusal { message, kind, param: Some("messages".to_owned()), code },
    })
}

/// The content of a choice, token by token.
fn pieces(choice: &Choice) -> Vec<&str> {
    match (&choice.text, choice.tool_calls.first()) {
        (Some(text), _) => text::tokens(text),
        (None, Some(call)) => text::tokens(&call.arguments),
        (None, None) => Vec::new(),
    }
}

fn chunks(answer: &Answer, choices: &[Choice], usage: Usage) -> Vec<Event> {
    let mut events = Vec::new();
    for (index, choice) in choices.iter().enumerate() {
        events.push(answer.role(index));
        if let Some(call) = choice.tool_calls.first() {
            events.push(answer.tool_call(index, 0, &call.id, &call.name));
        }
        for piece in pieces(choice) {
            let calls = choice.text.is_none();
            events.push(if calls { answer.arguments(index, 0, piece) } else { answer.text(index, piece) });
        }
        events.push(answer.finish(index, choice.finish));
    }
    events.push(answer.usage(usage));
    events
}

/// Delays each event by the time of one token.
fn pace_events(events: Vec<Event>, pace: Pace) -> stream::BoxStream<'static, Result<Event, Failure>> {
    let events = stream::iter(events.into_iter().enumerate());
    let paced = events.then(move |(index, event)| async move {
        pace.wait_for_tokens(u32::from(index > 0)).await;
        Ok(event)
    });
    paced.boxed()
}

/// Legacy completions: one choice per prompt and `n`.
pub(super) async fn completion(
    call: &ProviderRequest,
    fingerprint: &str,
    created: u64,
    pace: Pace,
) -> Result<Reply, Failure> {
    let prompts = prompts(call)?;
    let n = choices(call)?;
    if prompts.len() * n > MAX_TEXTS {
        return Err(invalid_request("prompt", format!("`prompt` and `n` ask for more than {MAX_TEXTS} texts")));
    }
    let mut texts = Vec::new();
    let mut length = Length::of(call)?;
    for prompt in &prompts {
        let text = text::continuation(prompt);
        texts.extend((0..n).map(|n| length.cut(&text::numbered(&text, n))));
    }
    let input = within_context(prompts.iter().map(|prompt| text::count(prompt)).sum())?;
    let output: u64 = texts.iter().map(|(text, _)| text::count(text)).sum();
    let usage = Usage { input, output, ..Usage::default() };
    let legacy = Legacy { id: format!("cmpl-sim-{}", short(fingerprint)), created, model: &call.model };
    if call.stream {
        return Ok(Reply::Stream(pace_events(legacy.chunks(&texts, usage), pace)));
    }
    pace.wait_for_tokens(u32::try_from(output).unwrap_or(u32::MAX)).await;
    let choices = texts.iter().enumerate().map(|(index, (text, finish))| Legacy::choice(index, text, Some(*finish)));
    let body = legacy.body(choices.collect(), Some(usage));
    Ok(Reply::from(Whole::json(to_bytes(&body), Some(usage))))
}

fn prompts(call: &ProviderRequest) -> Result<Vec<String>, Failure> {
    let wrong = || {
        invalid_request("prompt", "`prompt` must be a string, an array of strings or of tokens, or an array of such")
    };
    match call.body.get::<Value>("prompt") {
        None => Ok(vec![String::new()]),
        Some(Value::String(text)) => Ok(vec![text]),
        Some(Value::Array(items)) if items.iter().all(Value::is_u64) => Ok(vec![tokens_as_text(&items)]),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| match item {
                Value::String(text) => Ok(text.clone()),
                Value::Array(tokens) => Ok(tokens_as_text(tokens)),
                _ => Err(wrong()),
            })
            .collect(),
        Some(_) => Err(wrong()),
    }
}

fn tokens_as_text(tokens: &[Value]) -> String {
    tokens.iter().map(Value::to_string).collect::<Vec<_>>().join(" ")
}

/// The shape of a legacy completion.
struct Legacy<'a> {
    id: String,
    created: u64,
    model: &'a str,
}

impl Legacy<'_> {
    fn body(&self, choices: Vec<Value>, usage: Option<Usage>) -> Value {
        json!({
            "id": self.id, "object": "text_completion", "created": self.created, "model": self.model,
            "choices": choices, "usage": usage.map(|usage| usage_json(&usage)),
        })
    }

    fn choice(index: usize, text: &str, finish: Option<Finish>) -> Value {
        json!({"index": index, "text": text, "logprobs": null, "finish_reason": finish.map(Finish::name)})
    }

    fn chunks(&self, texts: &[(String, Finish)], usage: Usage) -> Vec<Event> {
        let mut events = Vec::new();
        for (index, (text, finish)) in texts.iter().enumerate() {
            let pieces = text::tokens(text).into_iter().map(|piece| Self::choice(index, piece, None));
            let last = Self::choice(index, "", Some(*finish));
            events.extend(pieces.chain([last]).map(|choice| self.event(vec![choice], None)));
        }
        events.push(self.event(Vec::new(), Some(usage)));
        events
    }

    fn event(&self, choices: Vec<Value>, usage: Option<Usage>) -> Event {
        Event { data: to_bytes(&self.body(choices, usage)), usage }
    }
}
