//! How the events of a stream are written for the client: as OpenAI or as Anthropic does it.

use bytes::Bytes;

use crate::app::answer::Interruption;
use crate::dialects::anthropic_messages;
use crate::dialects::openai_chat::stream;
use crate::dialects::sse;
use crate::model::money::MicroUsd;
use crate::model::provider::{Endpoint, Event};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// Chunks without names, and `[DONE]`.
    Chunks,
    /// Named events, of which the last says that it is.
    Messages,
    /// Events without names, of which the last says that it is.
    Sound,
}

impl Framing {
    pub(super) fn of(endpoint: Endpoint) -> Self {
        match endpoint {
            Endpoint::Messages => Self::Messages,
            Endpoint::Speech | Endpoint::Transcriptions => Self::Sound,
            _ => Self::Chunks,
        }
    }

    /// An event for the client; `None` if the client did not ask for it.
    pub(super) fn event(self, event: &Event, include_usage: bool, cost: impl FnOnce() -> MicroUsd) -> Option<Bytes> {
        match self {
            Self::Chunks => stream::chunk(event, include_usage, cost),
            Self::Messages => Some(anthropic_messages::stream::event(&event.data)),
            Self::Sound => Some(sse::data(&event.data)),
        }
    }

    /// What follows the last event of a whole answer.
    pub(super) fn end(self) -> Bytes {
        match self {
            Self::Chunks => sse::DONE,
            Self::Messages | Self::Sound => Bytes::new(),
        }
    }

    pub(super) fn interruption(self) -> Interruption {
        match self {
            Self::Chunks | Self::Sound => |message, _| sse::error(message),
            Self::Messages => |message, _| anthropic_messages::stream::interruption(message),
        }
    }
}
