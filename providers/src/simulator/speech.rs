//! Simulated speech: a tone for each word of the text, as WAV, or as its samples alone.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use shared::model::content_type::ContentType;
use shared::model::provider::{Event, Failure, ProviderRequest, Reply, Whole};
use shared::model::tokens::Usage;

use super::{invalid_request, text};
use crate::answer::to_bytes;

/// As OpenAI's `pcm`: 24,000 samples of 16 bits in a second.
const SAMPLES_PER_SECOND: u32 = 24_000;
/// The length of a word.
const SAMPLES_OF_A_WORD: usize = 1_200;
/// The most words that are spoken: half a minute.
const MAX_WORDS: usize = 600;
/// OpenAI's limit.
const MAX_CHARACTERS: usize = 4_096;

pub(super) fn speak(call: &ProviderRequest) -> Result<Reply, Failure> {
    let input: String = call.body.get("input").ok_or_else(|| invalid_request("input", "`input` must be a string"))?;
    let characters = input.chars().count();
    if !(1..=MAX_CHARACTERS).contains(&characters) {
        return Err(invalid_request("input", format!("`input` must have 1 to {MAX_CHARACTERS} characters")));
    }
    let samples = samples(&input);
    let (body, content_type) = match call.body.get::<String>("response_format").as_deref() {
        None | Some("wav") => (wav(&samples), ContentType::Wav),
        Some("pcm") => (samples, ContentType::Pcm),
        Some(_) => return Err(invalid_request("response_format", "the simulator speaks `wav` and `pcm` only")),
    };
    if call.stream {
        return Ok(Reply::Stream(futures_util::stream::iter(events(&input, &body)).map(Ok).boxed()));
    }
    let pieces = Some(characters as u64);
    Ok(Reply::from(Whole { body: body.into(), content_type, usage: Some(usage(&input)), pieces }))
}

fn usage(input: &str) -> Usage {
    let tokens = text::count(input);
    Usage { input: tokens, output: tokens, ..Usage::default() }
}

fn events(input: &str, sound: &[u8]) -> Vec<Event> {
    let event = |json: Value, usage| Event { data: to_bytes(&json), usage };
    let delta = |part: &[u8]| json!({"type": "speech.audio.delta", "audio": BASE64_STANDARD.encode(part)});
    let used = usage(input);
    let counted = json!({
        "input_tokens": used.input, "output_tokens": used.output, "total_tokens": used.input + used.output,
    });
    let done = event(json!({"type": "speech.audio.done", "usage": counted}), Some(used));
    sound.chunks(2 * SAMPLES_OF_A_WORD).map(|part| event(delta(part), None)).chain([done]).collect()
}

/// A triangle wave for each word, whose pitch follows from the word's length.
fn samples(input: &str) -> Vec<u8> {
    let words = input.split_whitespace().take(MAX_WORDS);
    let word = |word: &str| {
        let period = 60 + 4 * word.len().min(40);
        (0..SAMPLES_OF_A_WORD).flat_map(move |at| height(at % period, period).to_le_bytes())
    };
    words.flat_map(word).collect()
}

/// The height of a triangle wave at this place of its period.
fn height(at: usize, period: usize) -> i16 {
    let rising = if 2 * at < period { at } else { period - at };
    i16::try_from(rising * 16_000 / period).unwrap_or(0) - 4_000
}

/// The samples in a file.
fn wav(samples: &[u8]) -> Vec<u8> {
    let length = u32::try_from(samples.len()).unwrap_or(0);
    let mut out = Vec::with_capacity(44 + samples.len());
    let mut put = |bytes: &[u8]| out.extend_from_slice(bytes);
    put(b"RIFF");
    put(&(36 + length).to_le_bytes());
    put(b"WAVEfmt ");
    put(&16_u32.to_le_bytes());
    // PCM of one channel.
    put(&1_u16.to_le_bytes());
    put(&1_u16.to_le_bytes());
    put(&SAMPLES_PER_SECOND.to_le_bytes());
    put(&(2 * SAMPLES_PER_SECOND).to_le_bytes());
    put(&2_u16.to_le_bytes());
    put(&16_u16.to_le_bytes());
    put(b"data");
    put(&length.to_le_bytes());
    put(samples);
    out
}
