//! Writes the answer of a chat completion as a message.
//!
//! Thoughts always become a thinking block with their text, also for a client that did not ask for them or wants them without text: the
//! block is how they come back, and some providers refuse a conversation without them.

mod block;
mod blocks;
mod stop;
mod stream;
mod usage;
mod whole;

#[cfg(test)]
mod tests;

use serde::Deserialize;
use serde_json::Value;
use shared::model::id;
use shared::model::object::Object;

pub(super) use stream::Stream;
pub(super) use whole::whole;

/// What a chat completion, or a chunk of one, says about itself. Some servers leave it out, or send other values than texts.
#[derive(Default, Deserialize)]
struct Origin {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    model: Value,
}

impl Origin {
    /// The first members of the message. `called` is the model if the provider does not name its own.
    fn head(&self, called: &str) -> Object {
        let model = self.model.as_str().filter(|model| !model.is_empty()).unwrap_or(called);
        Object::default()
            .with("id", &message_id(self.id.as_str().unwrap_or_default()))
            .with("type", "message")
            .with("role", "assistant")
            .with("model", model)
    }
}

/// The id of the message: the letters and digits of the chat completion's, without its prefix.
fn message_id(chat_id: &str) -> String {
    let own = chat_id.strip_prefix("chatcmpl-").unwrap_or(chat_id);
    let letters: String = own.chars().filter(char::is_ascii_alphanumeric).collect();
    if letters.is_empty() { id::new("msg_") } else { format!("msg_{letters}") }
}
