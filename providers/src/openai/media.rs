//! Images and sound: requests pass through, and the answer's usage and pieces are read.

use futures_util::{StreamExt as _, stream};
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use shared::model::catalog::Quirks;
use shared::model::content_type::ContentType;
use shared::model::long_work::long_work;
use shared::model::object::Object;
use shared::model::provider::{Event, Failure, ProviderRequest, Reply, Whole};
use shared::model::tokens::Usage;

use super::{map, request};
use crate::answer::to_bytes;
use crate::counts;
use crate::http::{self, SseEvent};
use crate::translate::{Step, Translate};

/// The client's body with the provider's name of the model.
pub(super) fn body(call: &ProviderRequest, quirks: &Quirks) -> Object {
    let mut body = call.body.clone();
    quirks.drop.iter().for_each(|path| request::leave_out(&mut body, path));
    body.with("model", &call.model)
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
    let is_json = content_type(&response).starts_with("application/json");
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

fn content_type(response: &reqwest::Response) -> &str {
    response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

pub(super) fn is_event_stream(response: &reqwest::Response) -> bool {
    content_type(response).starts_with("text/event-stream")
}

/// The members of a transcript.
#[derive(Deserialize)]
struct SeenTranscript {
    text: String,
    #[serde(default)]
    usage: Value,
    /// In seconds.
    #[serde(default)]
    duration: Value,
}

/// Reads a transcript: JSON, or a text or subtitles if the request asks for them.
///
/// # Errors
/// The failure for its error if it is an error with status 200; `Malformed` for a web page, and for JSON without a text.
pub(super) async fn transcript(call: &ProviderRequest, response: reqwest::Response) -> Result<Whole, Failure> {
    let sent = content_type(&response);
    let (is_json, is_page) = (sent.starts_with("application/json"), sent.starts_with("text/html"));
    let body = http::whole(response).await?;
    // Servers name the same form differently, so the request says which one it is; but some answer every request with an object.
    let asked = ContentType::of_transcript(call.body.get::<String>("response_format").as_deref());
    if is_page {
        return Err(Failure::Malformed("the answer is a web page".to_owned()));
    }
    let is_object = is_json && body.trim_ascii_start().starts_with(b"{");
    if asked != ContentType::Json && !is_object {
        return Ok(Whole { body, content_type: asked, ..Whole::default() });
    }
    long_work(body.len(), || {
        map::usage_of_whole(&body)?;
        let seen = seen_transcript(&body)?;
        let seconds = seen.usage.get("seconds").and_then(counts::read).or_else(|| counts::read(&seen.duration));
        Ok(Whole { body: body.clone(), usage: heard(&seen.usage), pieces: seconds, ..Whole::default() })
    })
}

fn seen_transcript(body: &[u8]) -> Result<SeenTranscript, Failure> {
    serde_json::from_slice(body).map_err(|error| Failure::Malformed(format!("the answer is no transcript: {error}")))
}

/// A whole transcript as the only event of a stream.
///
/// # Errors
/// `Malformed` if it has no text.
pub(super) fn as_event(whole: &Whole) -> Result<Reply, Failure> {
    let (text, usage) = match whole.content_type {
        ContentType::Json => seen_transcript(&whole.body).map(|seen| (seen.text, seen.usage))?,
        _ => (String::from_utf8_lossy(&whole.body).into_owned(), Value::Null),
    };
    let mut done = json!({"type": DONE_TRANSCRIPT, "text": text});
    if !usage.is_null() {
        done["usage"] = usage;
    }
    let event = Event { usage: whole.usage, data: to_bytes(&done) };
    Ok(Reply::Stream(stream::iter([Ok(event)]).boxed()))
}

/// Reads the `usage` of a transcript; `None` if it has no tokens. What is not said to be text is sound.
fn heard(value: &Value) -> Option<Usage> {
    let part = |name: &str| {
        let of = |details: &str| value.pointer(&format!("/{details}/{name}")).and_then(counts::read);
        of("input_token_details").or_else(|| of("input_tokens_details"))
    };
    let read = usage(value)?;
    let texts = part("text_tokens").unwrap_or(0);
    let audio_input = part("audio_tokens").unwrap_or(read.input.saturating_sub(texts));
    Some(Usage { audio_input, cached_input: part("cached_tokens").unwrap_or(0), ..read })
}

/// Reads the `usage` of an answer with images or sound; `None` if it has no counts.
fn usage(value: &Value) -> Option<Usage> {
    let count = |path: &str| value.pointer(path).and_then(counts::read);
    let (input, output) = (count("/input_tokens"), count("/output_tokens"));
    if input.is_none() && output.is_none() {
        return None;
    }
    let detail = |name: &str| count(&format!("/input_tokens_details/{name}")).unwrap_or(0);
    let (cached_input, image_input) = (detail("cached_tokens"), detail("image_tokens"));
    Some(Usage {
        input: input.unwrap_or(0),
        cached_input,
        image_input,
        output: output.unwrap_or(0),
        ..Usage::default()
    })
}

/// The last events of a sound and of a transcript.
const DONE_SPEECH: &str = "speech.audio.done";
const DONE_TRANSCRIPT: &str = "transcript.text.done";

/// Passes the events of a sound or of a transcript on, and watches for errors, the usage and the end.
#[derive(Default)]
pub(super) struct Events;

#[derive(Deserialize)]
struct SeenEvent {
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    usage: Value,
}

impl Translate for Events {
    type Item = SseEvent;

    fn item(&mut self, event: SseEvent) -> Result<Step, Failure> {
        if event.name == "error" {
            return Err(map::named_error(&event.data));
        }
        map::usage_of_whole(event.data.as_bytes())?;
        let seen: SeenEvent = serde_json::from_str(&event.data)
            .map_err(|error| Failure::Malformed(format!("the event is not OpenAI's: {error}")))?;
        let usage = if seen.r#type == DONE_TRANSCRIPT { heard(&seen.usage) } else { usage(&seen.usage) };
        let events = vec![Event { usage, data: event.data.into() }];
        Ok(match seen.r#type.as_str() {
            DONE_SPEECH | DONE_TRANSCRIPT => Step::Last(events),
            _ => Step::More(events),
        })
    }

    fn end(&mut self) -> Result<Vec<Event>, Failure> {
        Err(Failure::Malformed("the stream ended before its last event".to_owned()))
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
