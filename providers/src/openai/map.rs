//! Reads members of an answer.

use serde::Deserialize;
use serde_json::Value;
use shared::model::catalog::Thoughts;
use shared::model::object::Object;
use shared::model::provider::{Event, Failure};
use shared::model::tokens::{Label, Served, Usage};

use super::calls::Calls;
use super::thoughts;
use crate::counts;
use crate::http::{ErrorBody, SseEvent, ended_with_error, failure_of_event};
use crate::translate::{Step, Translate};

/// The members that weir reads from an answer or a chunk.
#[derive(Deserialize)]
struct Seen {
    #[serde(default)]
    usage: Value,
    #[serde(default)]
    error: Value,
    #[serde(default)]
    service_tier: Value,
    choices: Option<Vec<SeenChoice>>,
}

#[derive(Deserialize)]
struct SeenChoice {
    finish_reason: Option<String>,
}

impl Seen {
    fn read(json: &[u8]) -> Result<Self, Failure> {
        let seen: Self = serde_json::from_slice(json)
            .map_err(|error| Failure::Malformed(format!("the answer is not OpenAI's: {error}")))?;
        match ErrorBody::of(&seen.error) {
            Some(error) => Err(failure_of_event(&error)),
            None => Ok(seen),
        }
    }

    fn usage(&self) -> Option<Usage> {
        let tier = Label::new(self.service_tier.as_str().unwrap_or_default());
        usage(&self.usage).map(|usage| Usage { served: Served { tier, ..usage.served }, ..usage })
    }

    fn is_finished(&self) -> bool {
        // Some servers send an empty reason with each chunk. It is none.
        self.reasons().any(|reason| !reason.is_empty())
    }

    /// Whether a choice ended with an error. `OpenRouter` says so beside the status 200.
    fn has_failed(&self) -> bool {
        self.reasons().any(|reason| reason == "error")
    }

    fn reasons(&self) -> impl Iterator<Item = &str> {
        self.choices.iter().flatten().filter_map(|choice| choice.finish_reason.as_deref())
    }
}

/// The usage that an answer reports.
///
/// # Errors
/// `Malformed` if the body is not an answer of this API. The failure for its error if it is an error with status 200, or if
/// a choice ended with one. An answer that reports a usage is billed, and passes on as it is.
pub(super) fn usage_of_whole(body: &[u8]) -> Result<Option<Usage>, Failure> {
    let seen = Seen::read(body)?;
    let usage = seen.usage();
    if seen.has_failed() && usage.is_none() { Err(ended_with_error()) } else { Ok(usage) }
}

/// Reads a `usage` object; `None` if it has no counts.
///
/// OpenAI counts the thoughts as a part of the output. Servers that count them beside it, such as xAI, add them to the
/// total only.
pub(crate) fn usage(value: &Value) -> Option<Usage> {
    let count = |path: &str| value.pointer(path).and_then(counts::read);
    let input_part = |name: &str| count(&format!("/prompt_tokens_details/{name}"));
    let output_part = |name: &str| count(&format!("/completion_tokens_details/{name}")).unwrap_or(0);
    let (input, output) = (count("/prompt_tokens"), count("/completion_tokens"));
    if input.is_none() && output.is_none() {
        return None;
    }
    let (input, output) = (input.unwrap_or(0), output.unwrap_or(0));
    let reasoning = output_part("reasoning_tokens");
    let with_thoughts = output.saturating_add(reasoning);
    let are_beside = count("/total_tokens").is_some_and(|total| total == input.saturating_add(with_thoughts));
    Some(Usage {
        input,
        // DeepSeek has its own name beside the prompt's count.
        cached_input: input_part("cached_tokens").or_else(|| count("/prompt_cache_hit_tokens")).unwrap_or(0),
        cached_audio: input_part("cached_tokens_details/audio_tokens").unwrap_or(0),
        cache_write: input_part("cache_write_tokens").unwrap_or(0),
        cache_write_30m: input_part("cache_write_tokens_details/ttl_30m_tokens").unwrap_or(0),
        // Gateways to Anthropic write Anthropic's name.
        cache_write_1h: input_part("cache_creation_token_details/ephemeral_1h_input_tokens").unwrap_or(0),
        cache_write_12h: input_part("cache_write_tokens_details/ttl_12h_tokens").unwrap_or(0),
        audio_input: input_part("audio_tokens").unwrap_or(0),
        image_input: input_part("image_tokens").unwrap_or(0),
        output: if are_beside { with_thoughts } else { output },
        reasoning,
        audio_output: output_part("audio_tokens"),
        image_output: output_part("image_tokens"),
        pieces: 0,
        served: Served::default(),
    })
}

/// Passes chunks on, and watches for errors, the usage, tool calls and the end.
pub(super) struct Chunks {
    finished: bool,
    failed: bool,
    calls: Calls,
    thoughts: Thoughts,
}

impl Chunks {
    /// The chunks of the answer to a request, from a provider that has the thoughts in this member.
    pub(super) fn new(request: &Object, thoughts: Thoughts) -> Self {
        Self { finished: false, failed: false, calls: Calls::new(request), thoughts }
    }

    /// The chunk of an answer that failed. Only the usage is of interest, which may come after the reason.
    fn last_usage(usage: Option<Usage>, data: String) -> Step {
        Step::More(usage.map(|usage| Event { usage: Some(usage), data: data.into() }).into_iter().collect())
    }
}

impl Translate for Chunks {
    type Item = SseEvent;

    fn item(&mut self, event: SseEvent) -> Result<Step, Failure> {
        if event.data.trim_start().starts_with("[DONE]") {
            return if self.failed { Err(ended_with_error()) } else { Ok(Step::Last(Vec::new())) };
        }
        if event.name == "error" {
            return Err(named_error(&event.data));
        }
        let seen = Seen::read(event.data.as_bytes())?;
        self.finished |= seen.is_finished();
        self.failed |= seen.has_failed();
        if self.failed {
            return Ok(Self::last_usage(seen.usage(), event.data));
        }
        let data = self.calls.told(&event.data).unwrap_or_else(|| event.data.into());
        let data = thoughts::told(&data, "delta", &self.thoughts).unwrap_or(data);
        Ok(Step::More(vec![Event { usage: seen.usage(), data }]))
    }

    /// Some imitators close the connection instead of sending `[DONE]`. This is accepted after a choice has finished.
    fn end(&mut self) -> Result<Vec<Event>, Failure> {
        if self.failed {
            return Err(ended_with_error());
        }
        if self.finished {
            return Ok(Vec::new());
        }
        Err(Failure::Malformed("the stream ended before the answer did".to_owned()))
    }
}

/// The failure for an event with the name `error`. Its data is an object with an `error` member, or the error itself.
pub(super) fn named_error(data: &str) -> Failure {
    let value = serde_json::from_str(data).unwrap_or_else(|_| Value::from(data));
    let error = ErrorBody::of(value.get("error").unwrap_or(&value));
    failure_of_event(&error.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_counts_and_takes_missing_ones_as_zero() {
        let check = |json: &str, expected: Option<Usage>| {
            assert_eq!(usage(&serde_json::from_str(json).unwrap()), expected, "{json}");
        };
        check("null", None);
        check("{}", None);
        check(r#"{"prompt_tokens":null,"completion_tokens":null}"#, None);
        check(r#"{"prompt_tokens":8,"total_tokens":8}"#, Some(Usage { input: 8, ..Usage::default() }));
        check(
            r#"{"prompt_tokens":8,"completion_tokens":5,"total_tokens":113,"completion_tokens_details":{"reasoning_tokens":100}}"#,
            Some(Usage { input: 8, output: 105, reasoning: 100, ..Usage::default() }),
        );
        check(
            r#"{"prompt_tokens":8,"completion_tokens":105,"total_tokens":113,"completion_tokens_details":{"reasoning_tokens":100}}"#,
            Some(Usage { input: 8, output: 105, reasoning: 100, ..Usage::default() }),
        );
        check(
            r#"{"prompt_tokens":12.0,"completion_tokens":5.0}"#,
            Some(Usage { input: 12, output: 5, ..Usage::default() }),
        );
        check(
            r#"{"prompt_tokens":8,"completion_tokens":5,"prompt_tokens_details":null,"completion_tokens_details":{"reasoning_tokens":2}}"#,
            Some(Usage { input: 8, output: 5, reasoning: 2, ..Usage::default() }),
        );
        check(
            r#"{"prompt_tokens":8,"prompt_tokens_details":{"cache_write_tokens":5,"cache_write_tokens_details":{"ttl_30m_tokens":2,"ttl_12h_tokens":3}}}"#,
            Some(Usage { input: 8, cache_write: 5, cache_write_30m: 2, cache_write_12h: 3, ..Usage::default() }),
        );
    }
}
