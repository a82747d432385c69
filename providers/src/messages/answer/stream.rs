//! A streamed answer.

use shared::model::chat_chunk::Chunk;
use shared::model::object::Object;
use shared::model::provider::{Event, Failure};
use shared::model::tokens::Usage;

use super::blocks::Blocks;
use super::{Origin, stop, usage};
use crate::translate::{Step, Translate};

/// The state of one stream.
pub(in crate::messages) struct Stream {
    /// The model that was called.
    called: String,
    has_started: bool,
    blocks: Blocks,
    finish: Option<String>,
    /// The latest usage that a chunk reported.
    usage: Option<Usage>,
}

impl Stream {
    /// The stream of a call of `model`, which counts until the provider names its own.
    pub(in crate::messages) fn new(model: &str) -> Self {
        Self { called: model.to_owned(), has_started: false, blocks: Blocks::default(), finish: None, usage: None }
    }

    /// The first event, once, for the first chunk with a choice. Its counts are 0: chat completions tell theirs at the end.
    fn start(&mut self, chunk: &[u8]) -> Option<Object> {
        if std::mem::replace(&mut self.has_started, true) {
            return None;
        }
        let origin: Origin = serde_json::from_slice(chunk).unwrap_or_default();
        let message = origin
            .head(&self.called)
            .with::<[Object]>("content", &[])
            .with("stop_reason", &())
            .with("stop_sequence", &())
            .with("usage", &usage::usage(None));
        Some(Object::default().with("type", "message_start").with("message", &message))
    }

    /// The events for a chunk.
    fn chunk(&mut self, data: &[u8]) -> Result<Vec<Object>, Failure> {
        // Azure begins with a chunk without choices, and without an id.
        let Some(choice) = Chunk::read(data)?.choice() else { return Ok(Vec::new()) };
        let mut events: Vec<Object> = self.start(data).into_iter().collect();
        self.blocks.add(choice.delta.unwrap_or_default())?;
        events.extend(self.blocks.events());
        // Some servers send an empty reason with each chunk. It is none.
        self.finish = choice.finish_reason.filter(|reason| !reason.is_empty()).or(self.finish.take());
        Ok(events)
    }

    fn message_delta(&self, reason: &str) -> Object {
        let delta = Object::default().with("stop_reason", reason).with("stop_sequence", &());
        Object::default().with("type", "message_delta").with("delta", &delta).with("usage", &usage::usage(self.usage))
    }
}

impl Translate for Stream {
    type Item = Event;

    fn item(&mut self, event: Event) -> Result<Step, Failure> {
        let events = self.chunk(&event.data)?;
        self.usage = event.usage.or(self.usage);
        Ok(Step::More(written(&events, event.usage)))
    }

    /// The inner provider has made sure that the answer is whole.
    fn end(&mut self) -> Result<Vec<Event>, Failure> {
        let mut events: Vec<Object> = self.start(b"{}").into_iter().collect();
        let reason = stop::reason(self.finish.as_deref(), self.blocks.was_refused, self.blocks.has_calls())?;
        self.blocks.close(stop::is_cut(reason))?;
        events.extend(self.blocks.last_events());
        events.push(self.message_delta(reason));
        events.push(Object::default().with("type", "message_stop"));
        Ok(written(&events, self.usage))
    }
}

/// The events. The first carries the usage.
fn written(events: &[Object], usage: Option<Usage>) -> Vec<Event> {
    let event =
        |(index, event): (usize, &Object)| Event { data: event.to_bytes(), usage: usage.filter(|_| index == 0) };
    events.iter().enumerate().map(event).collect()
}
