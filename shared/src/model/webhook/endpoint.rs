//! Endpoints: where a project wants its events.

use super::event::EventType;
use super::secret::SigningSecrets;
use crate::model::invalid::Invalid;

/// Endpoints of one project. Each event is sent to all that want it, so the number bounds the cost of one event.
pub const MAX_ENDPOINTS: usize = 20;

/// A URL that gets a project's events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookEndpoint {
    /// `we_` and 24 letters and digits.
    pub id: String,
    pub project_id: String,
    /// Checked by `Receivers::check` when it was set.
    pub url: String,
    pub event_types: Vec<EventType>,
    pub name: String,
    /// Unix seconds.
    pub created_at: u64,
    /// When the endpoint or its secret was changed last, in Unix seconds.
    pub updated_at: u64,
    pub status: EndpointStatus,
    pub secrets: SigningSecrets,
    /// A random word of the last change. A change is stored only if the endpoint still has the revision that was read.
    pub revision: String,
}

/// Whether an endpoint gets events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointStatus {
    Enabled,
    Disabled(DisabledReason),
}

/// Why an endpoint gets no events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisabledReason {
    /// Its owner disabled it.
    Requested,
    /// It answered 410 Gone.
    Gone,
}

impl DisabledReason {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Gone => "gone",
        }
    }

    /// The reason with that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Requested, Self::Gone].into_iter().find(|reason| reason.name() == name)
    }
}

impl WebhookEndpoint {
    #[must_use]
    pub fn wants(&self, event_type: EventType) -> bool {
        self.status == EndpointStatus::Enabled && self.event_types.contains(&event_type)
    }
}

/// Event types that were checked: known, at least one, none twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventTypes(Vec<EventType>);

impl TryFrom<Vec<String>> for EventTypes {
    type Error = Invalid;

    fn try_from(names: Vec<String>) -> Result<Self, Invalid> {
        let known = || EventType::ALL.map(EventType::name).join(", ");
        if names.is_empty() {
            return Err(Invalid::field("event_types", format!("`event_types` is empty; choose from: {}.", known())));
        }
        let mut types = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let wrong = || {
                let message = format!("`event_types[{index}]` is no event that is sent; there are: {}.", known());
                Invalid::field(format!("event_types[{index}]"), message)
            };
            let event_type = EventType::parse(name).ok_or_else(wrong)?;
            if !types.contains(&event_type) {
                types.push(event_type);
            }
        }
        Ok(Self(types))
    }
}

impl From<EventTypes> for Vec<EventType> {
    fn from(types: EventTypes) -> Self {
        types.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types(names: &[&str]) -> Result<Vec<EventType>, Invalid> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        EventTypes::try_from(names).map(Vec::from)
    }

    #[test]
    fn event_types_are_known_and_counted_once() {
        let twice = ["response.failed", "response.completed", "response.failed"];
        assert_eq!(types(&twice), Ok(vec![EventType::ResponseFailed, EventType::ResponseCompleted]));
        let error = types(&["response.failed", "response.*"]).unwrap_err();
        assert_eq!(error.param.as_deref(), Some("event_types[1]"));
        assert!(error.message.contains("there are: response.completed, response.failed, response.incomplete, "));
        assert_eq!(types(&[]).unwrap_err().param.as_deref(), Some("event_types"));
    }
}
