//! The chat call that answers a request for a response.

mod messages;

use std::collections::HashSet;

use messages::Messages;

use super::create::CreateResponse;
use super::fields::invalid;
use super::item::Item;
use crate::dialects::openai_chat::Body;
use crate::dialects::parts::missing;
use crate::model::invalid::Invalid;
use crate::model::object::Object;
use crate::model::provider::Endpoint;

impl CreateResponse {
    /// The chat call that answers this. `context` are the items of earlier turns, oldest first.
    ///
    /// The call is a stream that ends with its usage. `instructions` become a `system` message before everything else.
    /// Reasoning items are left out. So is what the context has under the same id, and a reference to an item of the input: the
    /// item is there already.
    ///
    /// # Errors
    /// A reference to an item that is not there, a function call without output or an output without call, or nothing to answer.
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
        // Everything was checked above, so what goes wrong here has no place in the caller's body.
        let internal = |error: Invalid| Invalid { param: None, ..error };
        Body::parse(Endpoint::ChatCompletions, &chat.to_bytes()).map_err(internal)
    }
}

/// The caller cannot point into the context, so the path means nothing to it.
fn of_context(error: Invalid) -> Invalid {
    let message = format!("An earlier item cannot be used: {}", error.message);
    Invalid { message, param: None, ..error }
}

#[cfg(test)]
mod tests;
