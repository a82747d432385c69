//! Images and sound: requests pass through, and the answer's usage and pieces are read.

use bytes::Bytes;
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use shared::model::catalog::Quirks;
use shared::model::content_type::ContentType;
use shared::model::long_work::long_work;
use shared::model::provider::{Event, Failure, ProviderRequest, Whole};
use shared::model::tokens::Usage;

use super::{map, request};
use crate::counts;
use crate::http::{self, SseEvent};
use crate::translate::{Step, Translate};

/// The client's body with the provider's name of the model.
pub(super) fn body(call: &ProviderRequest, quirks: &Quirks) -> Bytes {
    let mut body = call.body.clone();
    quirks.drop.iter().for_each(|path| request::leave_out(&mut body, path));
    body.with("model", &call.model).to_bytes()
}

/// The members of an answer with images. The images themselves are skipped.
#[derive(Deserialize)]
struct SeenImages {
    #[serde(default)]
    usage: Value,
    data: Vec<IgnoredAny>,
}

/// Reads an answer with images.
///
/// # Errors
/// `Malformed` if it has no list of images. The failure for its error if it is an error with status 200.
pub(super) async fn images(response: reqwest::Response) -> Result<Whole, Failure> {
    let body = http::whole(response).await?;
    long_work(body.len(), || {
        map::usage_of_whole(&body)?;
        let seen: SeenImages = serde_json::from_slice(&body)
            .map_err(|error| Failure::Malformed(format!("the answer has no images: {error}")))?;
        // Some imitators name the counts as chat completions do.
        let usage = usage(&seen.usage).or_else(|| map::usage(&seen.usage));
        let (usage, pieces) = (usage, Some(seen.data.len() as u64));
        Ok(Whole { body: body.clone(), usage, pieces, ..Whole::default() })
    })
}

/// Reads an answer with sound. It reports no usage, but the characters of the request are known.
///
/// # Errors
/// The failure for its error if it is an error with status 200; `Malformed` for any other JSON, and if it is empty.
pub(super) async fn sound(call: &ProviderRequest, response: reqwest::Response) -> Result<Whole, Failure> {
    let sent = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_json = sent.starts_with("application/json");
    let body = http::whole_bytes(response).await?;
    if is_json || body.is_empty() {
        map::usage_of_whole(&body)?;
        return Err(Failure::Malformed("the answer is no sound".to_owned()));
    }
    // Servers name the same form differently, so the request says which one it is.
    let content_type = ContentType::of_sound(call.body.get::<String>("response_format").as_deref());
    let spoken = call.body.get::<String>("input").unwrap_or_default().chars().count() as u64;
    Ok(Whole { body, content_type, usage: None, pieces: Some(spoken) })
}

/// Reads the `usage` of an answer with images or sound; `None` if it has no counts.
fn usage(value: &Value) -> Option<Usage> {
    let count = |path: &str| value.pointer(path).and_then(counts::read);
    let (input, output) = (count("/input_tokens"), count("/output_tokens"));
    if input.is_none() && output.is_none() {
        return None;
    }
    let cached_input = count("/input_tokens_details/cached_tokens").unwrap_or(0);
    Some(Usage { input: input.unwrap_or(0), cached_input, output: output.unwrap_or(0), ..Usage::default() })
}

/// Passes the events of a sound on, and watches for errors, the usage and the end.
#[derive(Default)]
pub(super) struct SoundEvents;

#[derive(Deserialize)]
struct SeenEvent {
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    usage: Value,
}

impl Translate for SoundEvents {
    type Item = SseEvent;

    fn item(&mut self, event: SseEvent) -> Result<Step, Failure> {
        if event.name == "error" {
            return Err(map::named_error(&event.data));
        }
        map::usage_of_whole(event.data.as_bytes())?;
        let seen: SeenEvent = serde_json::from_str(&event.data)
            .map_err(|error| Failure::Malformed(format!("the event is not OpenAI's: {error}")))?;
        let is_last = seen.r#type == "speech.audio.done";
        let events = vec![Event { usage: usage(&seen.usage), data: event.data.into() }];
        Ok(if is_last { Step::Last(events) } else { Step::More(events) })
    }

    fn end(&mut self) -> Result<Vec<Event>, Failure> {
        Err(Failure::Malformed("the stream ended before the sound did".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_counts_of_images_and_sound() {
        let check = |json: &str, expected: Option<Usage>| {
            assert_eq!(usage(&serde_json::from_str(json).unwrap()), expected, "{json}");
        };
        check("null", None);
        check(r#"{"type":"tokens"}"#, None);
        check(
            r#"{"total_tokens":100,"input_tokens":50,"output_tokens":40,"input_tokens_details":{"text_tokens":10,"cached_tokens":8}}"#,
            Some(Usage { input: 50, cached_input: 8, output: 40, ..Usage::default() }),
        );
    }
}
