//! Writes the chat call that answers a request for a response.

mod messages;

use std::collections::HashSet;

use messages::Messages;

use super::create::CreateResponse;
use super::fields::invalid;
use super::item::Item;
use crate::dialects::body::missing;
use crate::dialects::openai_chat::Body;
use crate::model::invalid::Invalid;
use crate::model::object::Object;
use crate::model::provider::Endpoint;

impl CreateResponse {
    /// The chat call that answers this request. `context` has the items of earlier turns, oldest first.
    ///
    /// The call is a stream that ends with its usage. `instructions` become the first message, with the role `system`.
    /// Left out are reasoning items, input items whose id is in the context, and references to items of the input.
    ///
    /// # Errors
    /// If a reference has no item, a function call has no output, an output has no call, or there is no message.
    pub fn chat(&self, context: &[Item]) -> Result<Body, Invalid> {
        let mut messages = Messages::default();
        if let Some(instructions) = &self.instructions {
            messages.instruct(instructions);
        }
        for (index, item) in context.iter().enumerate() {
            messages.add(item, &format!("context[{index}]")).map_err(of_context)?;
        }
        let known: HashSet<String> = context.iter().map(Item::id).collect();
        let unknown = self.references();
        for (index, item) in self.input.iter().enumerate().filter(|(_, item)| !known.contains(&item.id())) {
            let at = format!("input[{index}]");
            if unknown.contains(&item.id()) {
                return Err(invalid(format!("{at}.id"), format_args!("there is no item '{}'", item.id())));
            }
            messages.add(item, &at)?;
        }
        let messages = messages.finish()?;
        if messages.is_empty() {
            return Err(missing("input"));
        }
        let mut chat = Object::default().with("model", &self.model).with("messages", &messages);
        chat.extend(&self.settings);
        chat.set("stream", &true);
        chat.set("stream_options", &Object::default().with("include_usage", &true));
        // Everything was checked above. An error here has no path in the caller's body.
        let internal = |error: Invalid| Invalid { param: None, ..error };
        Body::parse(Endpoint::ChatCompletions, &chat.to_bytes()).map_err(internal)
    }
}

/// Removes the path, because the context is not in the caller's body.
fn of_context(error: Invalid) -> Invalid {
    let message = format!("An earlier item cannot be used: {}", error.message);
    Invalid { message, param: None, ..error }
}

#[cfg(test)]
mod tests;
