//! Writes a call of the Messages API as a chat completion.

mod assistant;
mod blocks;
mod content;
mod document;
mod history;
mod members;
mod options;
mod results;
mod server_tools;
mod tool_changes;
mod tools;

use serde::de::DeserializeOwned;
use shared::model::object::Object;
use shared::model::provider::{Failure, ProviderRequest};

use super::Accepts;
use crate::conversation::{invalid_request, unsupported};

/// The body of the chat completion.
///
/// # Errors
/// `Unsupported` if a chat completion cannot express the call. `Refused` if the call is invalid.
pub(super) fn body(call: &ProviderRequest, accepts: Accepts) -> Result<Object, Failure> {
    let body = &call.body;
    members::check(body)?;
    let history = history::read(body)?;
    let mut chat = Object::default().with("model", &call.model).with("messages", &history.messages(accepts));
    if let Some(limit) = options::limit(body)? {
        chat.set("max_completion_tokens", &limit);
    }
    tools::write(body, &history, accepts, &mut chat)?;
    options::write(body, &history, accepts, &mut chat)?;
    if call.stream {
        chat.set("stream", &true);
    }
    Ok(chat)
}

/// A member that must be there. `at` is the place of the object.
fn required<T: DeserializeOwned>(object: &Object, name: &str, at: &str) -> Result<T, Failure> {
    let place = if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
    let wrong = if object.text(name).is_some() { "Input has the wrong type" } else { "Field required" };
    object.get(name).ok_or_else(|| invalid_request(&place, format!("{place}: {wrong}")))
}

/// A member that is absent, `null` or a `T`.
fn present<T: DeserializeOwned>(object: &Object, name: &str, at: &str) -> Result<Option<T>, Failure> {
    match object.text(name) {
        None | Some("null") => Ok(None),
        Some(_) => required(object, name, at).map(Some),
    }
}

/// Refuses members other than those that are known; `null` counts as absent. `at` is the place of the object.
fn refuse_others(object: &Object, at: &str, known: &[&str]) -> Result<(), Failure> {
    match object.members().find(|(name, text)| *text != "null" && !known.contains(name)) {
        Some((name, _)) => Err(extra(&format!("{at}.{name}"))),
        None => Ok(()),
    }
}

/// The failure for a member that only Anthropic's servers can follow, in Anthropic's words for one that is not known.
fn extra(place: &str) -> Failure {
    unsupported(place, format!("{place}: Extra inputs are not permitted"))
}
