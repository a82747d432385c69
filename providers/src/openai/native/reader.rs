//! Reads the events of a response as chunks of a chat completion.

use std::collections::HashMap;

use serde_json::value::RawValue;
use serde_json::{Value, json};
use shared::model::chat_chunk::{ChunkText, Halves};
use shared::model::object::Object;
use shared::model::provider::{Event, Failure};
use shared::model::tokens::{Label, Served, Usage};

use super::failure::error_of;
use super::shapes::{Called, Item, Response, Seen, call_kind, in_chat, item_of, read_response};
use super::usage;
use crate::answer::{Answer, Finish};
use crate::counts;
use crate::http::{ErrorBody, SseEvent, failure_of_event};
use crate::translate::{Step, Translate};

/// `format` of the entries of `reasoning_details` that this module writes and reads.
pub(super) const FORMAT: &str = "openai-responses-v1";
/// The member of such an entry with the id of the tool call that the model made next. OpenAI wants each reasoning before what it led to.
pub(super) const BEFORE: &str = "before";

/// What came of an item so far.
#[derive(Default)]
struct Progress {
    is_done: bool,
    /// Whether a piece of its text or of its arguments came.
    has_text: bool,
    has_annotations: bool,
    halves: Halves,
    /// The number of its tool call.
    call: Option<(usize, Called)>,
}

/// Writes chunks of one answer.
#[derive(Default)]
pub(super) struct Reader {
    answer: Answer,
    items: HashMap<u64, Progress>,
    /// The chunks for the event that is read.
    ready: Vec<Event>,
    has_begun: bool,
    calls: usize,
    /// The number of the next entry of `reasoning_details`.
    entries: usize,
    has_thoughts: bool,
    /// Whether the next piece of a summary begins a part behind other thoughts.
    is_next_part: bool,
    /// Encrypted reasoning that waits for the item that it led to.
    waiting: Vec<Value>,
}

impl Reader {
    pub(super) fn new(model: &str) -> Self {
        Self { answer: Answer { model: model.to_owned(), ..Answer::default() }, ..Self::default() }
    }

    /// Reads a response that has ended.
    ///
    /// # Errors
    /// If it failed, or has not ended.
    pub(super) fn last(&mut self, response: Response) -> Result<Vec<Event>, Failure> {
        self.head(&response);
        if let Some(failure) = response.failure() {
            return Err(failure);
        }
        let finish = match response.status.as_deref() {
            Some("completed") => None,
            Some("incomplete") => Some(match response.incomplete_details["reason"].as_str() {
                Some("content_filter") => Finish::ContentFilter,
                _ => Finish::Length,
            }),
            Some("failed") => return Err(failure_of_event(&ErrorBody::default())),
            status => {
                let status = status.unwrap_or("none");
                return Err(Failure::Malformed(format!("the response ended with the status `{status}`")));
            }
        };
        // Some servers send no events about items. Others number the items of the events in another way.
        if self.items.is_empty() {
            for (index, item) in (0..).zip(response.output.into_iter().flatten()) {
                self.done(index, item_of(&item)?)?;
            }
        }
        self.tell_waiting(None);
        let finish = finish.unwrap_or(if self.calls > 0 { Finish::ToolCalls } else { Finish::Stop });
        self.begin();
        self.ready.push(self.answer.finish(0, finish));
        let mut events = std::mem::take(&mut self.ready);
        if let Some(usage) = usage_of(&response.usage, &response.service_tier) {
            events.push(with_tier(self.answer.usage(usage), &response.service_tier));
        }
        Ok(events)
    }

    fn head(&mut self, response: &Response) {
        if let Some(id) = &response.id {
            self.answer.id.clone_from(id);
        }
        if let Some(model) = &response.model {
            self.answer.model.clone_from(model);
        }
        if let Some(created) = counts::read(&response.created_at) {
            self.answer.created = created;
        }
    }

    fn event(&mut self, name: &str, seen: Seen) -> Result<Step, Failure> {
        let index = seen.output_index.unwrap_or(0);
        let item = || seen.item.as_deref().map_or_else(|| Ok(Item::default()), item_of);
        // A piece of another shape than a text is of a type that is not read.
        let delta = || seen.delta.as_deref().and_then(|json| serde_json::from_str(json.get()).ok());
        match name {
            "response.created" | "response.in_progress" | "response.queued" => {
                if let Some(response) = &seen.response {
                    self.head(&read_response(response.get().as_bytes())?);
                }
            }
            "response.output_item.added" => {
                let item = item()?;
                self.items.entry(index).or_default();
                if call_kind(&item.kind).is_some() {
                    self.begin_call(index, &item)?;
                }
            }
            "response.output_item.done" => self.done(index, item()?)?,
            "response.output_text.delta" => self.text(index, "content", delta(), seen.logprobs.as_deref()),
            "response.refusal.delta" => self.text(index, "refusal", delta(), None),
            "response.output_text.annotation.added" => {
                self.items.entry(index).or_default().has_annotations = true;
                self.annotate(seen.annotation.as_deref());
            }
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                self.argue(index, delta())?;
            }
            "response.reasoning_summary_part.added" => self.next_summary(),
            "response.reasoning_summary_text.delta" => self.summarise(index, delta()),
            "response.reasoning_text.delta" => self.text(index, "reasoning_content", delta(), None),
            "response.completed" | "response.incomplete" | "response.failed" => {
                let response = seen.response.ok_or_else(|| Failure::Malformed(format!("`{name}` has no response")))?;
                let response = read_response(response.get().as_bytes())?;
                let status = name.strip_prefix("response.").map(str::to_owned);
                return self.last(Response { status, ..response }).map(Step::Last);
            }
            _ => {}
        }
        Ok(Step::More(std::mem::take(&mut self.ready)))
    }

    /// Adds what the events before did not say about an item that has ended.
    fn done(&mut self, index: u64, item: Item) -> Result<(), Failure> {
        let progress = self.items.entry(index).or_default();
        if std::mem::replace(&mut progress.is_done, true) {
            return Ok(());
        }
        let (is_new, is_uncited) = (!progress.has_text, !progress.has_annotations);
        match item.kind.as_str() {
            "message" => {
                for part in item.content.into_iter().flatten() {
                    let member = if part.kind == "refusal" { "refusal" } else { "content" };
                    if is_new {
                        self.text(index, member, part.text, part.logprobs.as_deref());
                    }
                    if is_uncited {
                        part.annotations.iter().flatten().for_each(|annotation| self.annotate(Some(annotation)));
                    }
                }
            }
            "reasoning" => {
                if is_new {
                    let (summary, content) = (item.summary.unwrap_or_default(), item.content.unwrap_or_default());
                    for part in summary {
                        self.next_summary();
                        self.summarise(index, part.text);
                    }
                    content.into_iter().for_each(|part| self.text(index, "reasoning_content", part.text, None));
                }
                self.remember(item.id, item.encrypted_content);
            }
            kind if call_kind(kind).is_some() => {
                self.begin_call(index, &item)?;
                if is_new {
                    self.argue(index, item.arguments)?;
                }
            }
            // What runs at the provider is not for the client.
            _ => {}
        }
        self.end_text(index);
        Ok(())
    }

    fn text(&mut self, index: u64, member: &str, text: Option<ChunkText>, logprobs: Option<&RawValue>) {
        let Some(text) = self.joined(index, text) else { return };
        if member == "reasoning_content" {
            self.has_thoughts = true;
        } else {
            self.tell_waiting(None);
        }
        let mut choice = json!({"index": 0, "delta": {member: text}, "logprobs": null, "finish_reason": null});
        if let Some(list) = logprobs.and_then(in_chat) {
            choice["logprobs"] = json!({"content": list});
        }
        self.begin();
        self.ready.push(self.answer.choice(choice));
    }

    /// The text of a piece; `None` if there is none.
    fn joined(&mut self, index: u64, text: Option<ChunkText>) -> Option<String> {
        let progress = self.items.entry(index).or_default();
        let text = progress.halves.join(&text?).into_owned();
        progress.has_text |= !text.is_empty();
        Some(text).filter(|text| !text.is_empty())
    }

    /// Adds half of a character without its other half.
    fn end_text(&mut self, index: u64) {
        let progress = self.items.entry(index).or_default();
        let rest = progress.halves.end();
        match progress.call {
            _ if rest.is_empty() => {}
            Some(call) => self.tell_piece(call, rest),
            None => self.tell(json!({"content": rest})),
        }
    }

    fn annotate(&mut self, annotation: Option<&RawValue>) {
        let annotation: Value = annotation.and_then(|json| serde_json::from_str(json.get()).ok()).unwrap_or_default();
        if annotation["type"] != "url_citation" {
            return;
        }
        let mut citation = annotation;
        if let Some(members) = citation.as_object_mut() {
            members.remove("type");
        }
        self.tell(json!({"annotations": [{"type": "url_citation", "url_citation": citation}]}));
    }

    fn begin_call(&mut self, index: u64, item: &Item) -> Result<(), Failure> {
        if self.items.entry(index).or_default().call.is_some() {
            return Ok(());
        }
        let malformed = |what| Failure::Malformed(format!("a tool call begins without {what}"));
        let name = item.name.as_deref().filter(|name| !name.is_empty()).ok_or_else(|| malformed("a name"))?;
        let id = item.call_id.as_ref().or(item.id.as_ref()).ok_or_else(|| malformed("an id"))?;
        self.tell_waiting(Some(id));
        let (call, kind) = (self.calls, call_kind(&item.kind).unwrap_or(Called::Function));
        self.calls += 1;
        self.items.entry(index).or_default().call = Some((call, kind));
        self.begin();
        self.ready.push(match kind {
            Called::Function => self.answer.tool_call(0, call, id, name),
            Called::Custom => {
                let begun = json!({"index": call, "id": id, "type": "custom", "custom": {"name": name, "input": ""}});
                self.answer.delta(0, json!({"tool_calls": [begun]}), None)
            }
        });
        Ok(())
    }

    fn argue(&mut self, index: u64, piece: Option<ChunkText>) -> Result<(), Failure> {
        let Some(piece) = self.joined(index, piece) else { return Ok(()) };
        let Some(call) = self.items.entry(index).or_default().call else {
            return Err(Failure::Malformed("arguments came for no tool call".to_owned()));
        };
        self.tell_piece(call, &piece);
        Ok(())
    }

    fn tell_piece(&mut self, (call, kind): (usize, Called), piece: &str) {
        self.ready.push(match kind {
            Called::Function => self.answer.arguments(0, call, piece),
            Called::Custom => {
                self.answer.delta(0, json!({"tool_calls": [{"index": call, "custom": {"input": piece}}]}), None)
            }
        });
    }

    /// A new part of a summary is an entry of its own.
    fn next_summary(&mut self) {
        self.entries += 1;
        self.is_next_part = self.has_thoughts;
    }

    fn summarise(&mut self, index: u64, piece: Option<ChunkText>) {
        let Some(piece) = self.joined(index, piece) else { return };
        self.has_thoughts = true;
        let entry = json!({"type": "reasoning.summary", "summary": piece, "format": FORMAT, "index": self.entries});
        // Readers of the text alone see the parts by the blank line between them.
        let separator = if std::mem::take(&mut self.is_next_part) { "\n\n" } else { "" };
        self.tell(json!({"reasoning_content": format!("{separator}{piece}"), "reasoning_details": [entry]}));
    }

    /// Keeps encrypted reasoning until it is known what it led to.
    fn remember(&mut self, id: Option<String>, encrypted: Option<String>) {
        self.entries += 1;
        let Some(data) = encrypted.filter(|data| !data.is_empty()) else { return };
        let mut entry = json!({"type": "reasoning.encrypted", "data": data, "format": FORMAT, "index": self.entries});
        if let Some(id) = id {
            entry["id"] = id.into();
        }
        self.waiting.push(entry);
        self.entries += 1;
    }

    fn tell_waiting(&mut self, call: Option<&str>) {
        let mut waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return;
        }
        if let Some(call) = call {
            waiting.iter_mut().for_each(|entry| entry[BEFORE] = call.into());
        }
        self.tell(json!({"reasoning_details": waiting}));
    }

    fn tell(&mut self, delta: Value) {
        self.begin();
        self.ready.push(self.answer.delta(0, delta, None));
    }

    /// The first chunk comes with the first content. Until then another target may answer if this one fails, and the model may think for
    /// as long as the first event may take.
    fn begin(&mut self) {
        if !std::mem::replace(&mut self.has_begun, true) {
            self.ready.push(self.answer.role(0));
        }
    }
}

impl Translate for Reader {
    type Item = SseEvent;

    fn item(&mut self, event: SseEvent) -> Result<Step, Failure> {
        if event.data.trim_start().starts_with("[DONE]") {
            return self.end().map(Step::Last);
        }
        let seen: Seen = serde_json::from_str(&event.data)
            .map_err(|error| Failure::Malformed(format!("the event is not of the Responses API: {error}")))?;
        // The name of the event is in its data, too. Some servers write one of both.
        let name = seen.kind.clone().unwrap_or_else(|| event.name.clone());
        if name == "error" || event.name == "error" {
            return Err(error_of(&event.data));
        }
        self.event(&name, seen)
    }

    fn end(&mut self) -> Result<Vec<Event>, Failure> {
        Err(Failure::Malformed("the stream ended before the response did".to_owned()))
    }
}

/// The usage with the tier that served the call.
fn usage_of(usage: &Value, tier: &Value) -> Option<Usage> {
    let tier = Label::new(tier.as_str().unwrap_or_default());
    usage::read(usage).map(|usage| Usage { served: Served { tier, ..usage.served }, ..usage })
}

fn with_tier(event: Event, tier: &Value) -> Event {
    match (Object::parse(&event.data), tier.as_str()) {
        (Ok(chunk), Some(tier)) => Event { data: chunk.with("service_tier", tier).to_bytes(), ..event },
        _ => event,
    }
}
