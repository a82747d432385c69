//! Writes the chat call that answers a request for a response.

mod messages;
mod names;

use std::collections::{HashMap, HashSet};

use messages::Messages;
pub use names::{message_in_request, path_in_request};

use super::compaction;
use super::create::CreateResponse;
use super::fields::{Fields, invalid};
use super::item::Item;
use crate::dialects::body::missing;
use crate::dialects::input_files::InputFiles;
use crate::dialects::openai_chat::Body;
use crate::model::invalid::Invalid;
use crate::model::object::Object;
use crate::model::provider::Endpoint;

impl CreateResponse {
    /// The chat call that answers this request. `context` has the items of earlier turns, oldest first.
    ///
    /// The call is a stream that ends with its usage. `instructions` become the first message, with the role `system`.
    /// The text of reasoning items is in `reasoning_content` of the assistant's next message. Left out are tools that weir
    /// does not run, input items whose id is in the context, and references to items of the input.
    ///
    /// # Errors
    /// If the context is too large, a reference has no item, a call has no output, an output has no call, there is no
    /// message, or `tool_choice` names no tool.
    pub fn chat(&self, context: &[Item]) -> Result<Body, Invalid> {
        check_bytes(self.bytes(context))?;
        let tools = self.tools(context);
        let mut messages = Messages::new(&tools);
        if let Some(instructions) = &self.instructions {
            messages.instruct(instructions);
        }
        for (index, item) in context.iter().enumerate() {
            messages.add(item, &format!("context[{index}]")).map_err(of_context)?;
        }
        let known: HashSet<String> = context.iter().map(Item::id).collect();
        let unknown: HashSet<String> = self.references().into_iter().collect();
        for (index, item) in self.input.iter().enumerate().filter(|(_, item)| !known.contains(&item.id())) {
            let at = format!("input[{index}]");
            if unknown.contains(&item.id()) {
                return Err(invalid(format!("{at}.id"), format_args!("there is no item '{}'", item.id())));
            }
            messages.add(item, &at)?;
        }
        if self.compacts() {
            messages.ask(compaction::REQUEST);
        }
        let messages = messages.finish()?;
        if messages.is_empty() {
            return Err(missing("input"));
        }
        let mut chat = Object::default().with("model", &self.model).with("messages", &messages);
        tools.write(Fields::new(&self.object, ""), &mut chat)?;
        chat.extend(&self.settings);
        chat.set("stream", &true);
        chat.set("stream_options", &Object::default().with("include_usage", &true));
        let mut body = Body::parse(Endpoint::ChatCompletions, &chat.to_bytes()).map_err(in_request)?;
        if !body.files.is_empty() {
            body.files.rename(&self.paths_of_files());
        }
        Ok(body)
    }
}

impl CreateResponse {
    /// The uploaded files that the input and the items of earlier turns name.
    #[must_use]
    pub fn input_files(&self, context: &[Item]) -> InputFiles {
        let ids =
            context.iter().chain(&self.input).flat_map(|item| item.uploaded_files().into_iter().map(|(id, _)| id));
        InputFiles::of_ids(ids, &self.paths_of_files())
    }

    /// The paths of the parts of the input that name uploaded files, by the ids of the files.
    fn paths_of_files(&self) -> HashMap<String, String> {
        let mut paths = HashMap::new();
        for (index, item) in self.input.iter().enumerate() {
            for (id, path) in item.uploaded_files() {
                paths.entry(id).or_insert_with(|| format!("input[{index}].{path}"));
            }
        }
        paths
    }
}

/// The error of a chat call with the names that its request has.
fn in_request(error: Invalid) -> Invalid {
    let param = error.param.as_deref().map(path_in_request);
    Invalid { message: message_in_request(&error.message), param, ..error }
}

/// The most bytes of a context: the turns before, the input, and all else that the request says. Several jobs share the
/// memory of a worker, and each has its context some ten times over while it is translated.
pub const MAX_CONTEXT_BYTES: usize = 8 * 1024 * 1024;

/// Checks the bytes of a context, or of a part of one.
///
/// # Errors
/// If there are more than 8 MB.
pub fn check_bytes(bytes: usize) -> Result<(), Invalid> {
    if bytes <= MAX_CONTEXT_BYTES {
        return Ok(());
    }
    let message = format!(
        "The input and the turns before it have more than {} MB together. Begin a new response or conversation, send \
         images by URL, or leave old items out.",
        MAX_CONTEXT_BYTES / (1024 * 1024)
    );
    Err(Invalid { message, param: Some("input".to_owned()), code: Some("context_length_exceeded") })
}

/// Removes the path, because the context is not in the caller's body.
fn of_context(error: Invalid) -> Invalid {
    let message = format!("An earlier item cannot be used: {}", error.message);
    Invalid { message, param: None, ..error }
}

#[cfg(test)]
mod tests;
