//! The events of webhooks, in OpenAI's shapes.

use serde_json::json;

use crate::model::clock::Timestamp;
use crate::model::id;

/// The catalogue of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventType {
    ResponseCompleted,
    ResponseFailed,
    ResponseIncomplete,
    ResponseCancelled,
    BatchCompleted,
    BatchFailed,
    BatchExpired,
    BatchCancelled,
}

impl EventType {
    pub const ALL: [Self; 8] = [
        Self::ResponseCompleted,
        Self::ResponseFailed,
        Self::ResponseIncomplete,
        Self::ResponseCancelled,
        Self::BatchCompleted,
        Self::BatchFailed,
        Self::BatchExpired,
        Self::BatchCancelled,
    ];

    /// `response.completed`, `batch.completed` and the like.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ResponseCompleted => "response.completed",
            Self::ResponseFailed => "response.failed",
            Self::ResponseIncomplete => "response.incomplete",
            Self::ResponseCancelled => "response.cancelled",
            Self::BatchCompleted => "batch.completed",
            Self::BatchFailed => "batch.failed",
            Self::BatchExpired => "batch.expired",
            Self::BatchCancelled => "batch.cancelled",
        }
    }

    /// The type with that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event_type| event_type.name() == name)
    }
}

/// Something that happened to an object of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookEvent {
    /// `evt_` and 24 letters and digits.
    pub id: String,
    pub event_type: EventType,
    /// When it happened.
    pub created_at: Timestamp,
    /// `resp_...` or `batch_...`: the object that it happened to.
    pub subject_id: String,
}

impl WebhookEvent {
    /// The event that `event_type` happened to an object at `created_at`.
    ///
    /// Its id is derived from its type and object, because each event happens to an object once. A process that announces
    /// an event again after a crash announces the same one, if it takes `created_at` from the record and not from the clock.
    pub fn new(event_type: EventType, subject_id: impl Into<String>, created_at: Timestamp) -> Self {
        let subject_id = subject_id.into();
        Self { id: id::derive("evt_", &[event_type.name(), &subject_id]), event_type, created_at, subject_id }
    }

    /// The JSON that receivers get, in OpenAI's shape. It is signed byte for byte.
    #[must_use]
    pub fn body(&self) -> String {
        let Self { id, event_type, created_at, subject_id } = self;
        // Written by hand, so that the members come in OpenAI's order; each string is quoted by `json!`.
        format!(
            r#"{{"id":{},"object":"event","type":{},"created_at":{},"data":{{"id":{}}}}}"#,
            json!(id),
            json!(event_type.name()),
            created_at.seconds(),
            json!(subject_id),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_found_by_its_name() {
        for event_type in EventType::ALL {
            assert_eq!(EventType::parse(event_type.name()), Some(event_type));
        }
        assert_eq!(EventType::parse("response.created"), None);
    }

    #[test]
    fn an_event_has_openais_shape() {
        let event = WebhookEvent::new(EventType::ResponseCompleted, "resp_1", Timestamp(1_795_366_800_123));
        let id = &event.id;
        assert!(id.starts_with("evt_") && id.len() == 28, "{id}");
        let expected = format!(
            r#"{{"id":"{id}","object":"event","type":"response.completed","created_at":1795366800,"data":{{"id":"resp_1"}}}}"#
        );
        assert_eq!(event.body(), expected);
    }

    #[test]
    fn an_event_that_is_announced_again_has_the_same_id() {
        let id = |event_type, subject| WebhookEvent::new(event_type, subject, Timestamp(7)).id;
        assert_eq!(id(EventType::ResponseFailed, "resp_1"), id(EventType::ResponseFailed, "resp_1"));
        assert_ne!(id(EventType::ResponseFailed, "resp_1"), id(EventType::ResponseCompleted, "resp_1"));
        assert_ne!(id(EventType::ResponseFailed, "resp_1"), id(EventType::ResponseFailed, "resp_2"));
    }
}
