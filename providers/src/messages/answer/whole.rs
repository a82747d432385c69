//! A whole answer.

use serde::Deserialize;
use shared::model::chat_chunk::Delta;
use shared::model::provider::{Failure, Whole};

use super::blocks::Blocks;
use super::{Origin, stop, usage};

#[derive(Deserialize)]
struct Completion {
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    message: Delta,
    #[serde(default)]
    finish_reason: Option<String>,
}

/// The message for a chat completion of `model`.
///
/// # Errors
/// `Malformed` if this is no chat completion, or a call has arguments that are no JSON object. `Unavailable` if it ended with an error.
pub(in crate::messages) fn whole(chat: &Whole, model: &str) -> Result<Whole, Failure> {
    let completion: Completion = read(&chat.body)?;
    let origin: Origin = read(&chat.body)?;
    let Some(Choice { mut message, finish_reason }) = completion.choices.into_iter().next() else {
        return Err(Failure::Malformed("the chat completion has no choice".to_owned()));
    };
    // In a whole answer each call is one, whatever its number.
    for (index, call) in (0..).zip(message.tool_calls.iter_mut().flatten()) {
        call.index = Some(index);
    }
    let mut blocks = Blocks::default();
    blocks.add(message)?;
    let reason = stop::reason(finish_reason.as_deref(), blocks.was_refused, blocks.has_calls())?;
    blocks.close(stop::is_cut(reason))?;
    let body = origin
        .head(model)
        .with("content", &blocks.whole())
        .with("stop_reason", reason)
        .with("stop_sequence", &())
        .with("usage", &usage::usage(chat.usage));
    Ok(Whole::json(body.to_bytes(), chat.usage))
}

fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body)
        .map_err(|error| Failure::Malformed(format!("the answer is no chat completion: {error}")))
}
