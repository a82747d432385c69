//! The length of a simulated answer.

use serde_json::Value;
use shared::model::provider::{Failure, ProviderRequest};

use super::{invalid_request, text};
use crate::answer::Finish;

/// The most tokens of one call, in all of its answers together. `builtin/simulator.toml` has the same value.
const MAX_OUTPUT_TOKENS: usize = 16_384;
/// OpenAI's limit.
const MAX_STOPS: usize = 4;

/// What ends the answers of a call.
pub(super) struct Length {
    stops: Vec<String>,
    /// The caller's limit of tokens for one answer.
    each: usize,
    /// Tokens that the answers of the call may still have.
    left: usize,
}

impl Length {
    /// # Errors
    /// `Refused` if the call has more than four stop sequences.
    pub(super) fn of(call: &ProviderRequest) -> Result<Self, Failure> {
        let stops = match call.body.get::<Value>("stop") {
            Some(Value::String(stop)) => vec![stop],
            Some(Value::Array(stops)) if stops.len() > MAX_STOPS => {
                return Err(invalid_request("stop", format!("`stop` has more than {MAX_STOPS} texts")));
            }
            Some(Value::Array(stops)) => stops.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        let limit = ["max_completion_tokens", "max_tokens"].iter().find_map(|name| call.body.get::<usize>(name));
        Ok(Self { stops, each: limit.unwrap_or(usize::MAX), left: MAX_OUTPUT_TOKENS })
    }

    /// The text up to the first stop sequence, or up to the limit.
    pub(super) fn cut(&mut self, text: &str) -> (String, Finish) {
        let text = self.before_stop(text);
        let tokens = text::tokens(text);
        let limit = self.each.min(self.left);
        self.left -= limit.min(tokens.len());
        match tokens.get(..limit) {
            Some(some) if some.len() < tokens.len() => (some.concat(), Finish::Length),
            _ => (text.to_owned(), Finish::Stop),
        }
    }

    fn before_stop<'a>(&self, text: &'a str) -> &'a str {
        let ends = self.stops.iter().filter(|stop| !stop.is_empty()).filter_map(|stop| text.find(stop.as_str()));
        &text[..ends.min().unwrap_or(text.len())]
    }
}
