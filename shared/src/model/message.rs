//! Messages in queues. A message names a job and never has its content. The table and the bucket store bodies.

use serde::{Deserialize, Serialize};

/// The version that this code writes and reads. Messages of other versions become dead letters.
const VERSION: u32 = 1;

/// The key of a response.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ResponseKey {
    pub project_id: String,
    pub response_id: String,
}

/// Which delivery of an event to a webhook endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DeliveryKey {
    pub project_id: String,
    pub endpoint_id: String,
    pub delivery_id: String,
}

/// A message: the key of a job and its trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message<K> {
    version: u32,
    #[serde(flatten)]
    pub key: K,
    /// W3C trace context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// Why a message cannot be read. A person has to look at it.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("it is no message of weir")]
    Malformed(#[from] serde_json::Error),
    #[error("it has version {0}, this is version {VERSION}")]
    Version(u32),
}

impl<K: Serialize + for<'de> Deserialize<'de>> Message<K> {
    pub fn new(key: K, traceparent: Option<String>) -> Self {
        Self { version: VERSION, key, traceparent }
    }

    /// The message as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a message.
    ///
    /// # Errors
    /// If the text is not a message, or is a message of another version.
    pub fn parse(json: &str) -> Result<Self, Unreadable> {
        let message: Self = serde_json::from_str(json)?;
        if message.version == VERSION { Ok(message) } else { Err(Unreadable::Version(message.version)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reads_back_and_holds_nothing_but_names() {
        let key = ResponseKey { project_id: "proj_1".into(), response_id: "resp_1".into() };
        let message = Message::new(key, None);
        assert_eq!(message.to_json(), r#"{"version":1,"project_id":"proj_1","response_id":"resp_1"}"#);
        assert_eq!(Message::parse(&message.to_json()).unwrap(), message);
    }

    #[test]
    fn refuses_invalid_messages() {
        let read = |json: &str| Message::<ResponseKey>::parse(json).unwrap_err().to_string();
        assert_eq!(read("{}"), "it is no message of weir");
        let newer = r#"{"version":2,"project_id":"p","response_id":"r"}"#;
        assert_eq!(read(newer), "it has version 2, this is version 1");
    }
}
