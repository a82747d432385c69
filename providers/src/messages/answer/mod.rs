//! Writes the answer of a chat completion as a message.

mod block;
mod blocks;
mod stop;
mod stream;
mod usage;
mod whole;

#[cfg(test)]
mod tests;

use shared::model::id;
use shared::model::object::Object;

pub(super) use stream::Stream;
pub(super) use whole::whole;

/// The first members of a message.
fn head(chat_id: &str, model: &str) -> Object {
    Object::default()
        .with("id", &message_id(chat_id))
        .with("type", "message")
        .with("role", "assistant")
        .with("model", model)
}

/// The id of the message: the letters and digits of the chat completion's, without its prefix.
fn message_id(chat_id: &str) -> String {
    let own = chat_id.strip_prefix("chatcmpl-").unwrap_or(chat_id);
    let letters: String = own.chars().filter(char::is_ascii_alphanumeric).collect();
    if letters.is_empty() { id::new("msg_") } else { format!("msg_{letters}") }
}
