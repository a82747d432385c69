//! Simulated transcripts. They say how long the sound is, in each of OpenAI's forms.

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use shared::model::content_type::ContentType;
use shared::model::provider::{Endpoint, Event, Failure, ProviderRequest, Reply, Whole};
use shared::model::sound::longest_seconds;
use shared::model::tokens::Usage;

use super::{invalid_request, text};
use crate::answer::to_bytes;

/// The rate that a sound of unknown length is taken for, in bytes: 32 kbit/s.
const BYTES_PER_SECOND: u64 = 4_000;
/// As OpenAI counts sound.
const TOKENS_PER_SECOND: u64 = 10;

/// What was heard.
struct Heard {
    seconds: u64,
    text: String,
    /// `transcribe` or `translate`.
    task: &'static str,
}

pub(super) fn transcribe(call: &ProviderRequest) -> Result<Reply, Failure> {
    let sound = call.uploads.iter().next().ok_or_else(|| invalid_request("file", "`file` must be a file"))?;
    let guess = || (sound.bytes.len() as u64).div_ceil(BYTES_PER_SECOND);
    let seconds = longest_seconds(&sound.bytes).unwrap_or_else(guess);
    let text = format!("This is weir's simulator, not a model. It was sent {seconds} s of sound.");
    let task = if call.endpoint == Endpoint::Translations { "translate" } else { "transcribe" };
    let heard = Heard { seconds, text, task };
    if call.stream {
        return Ok(Reply::Stream(futures_util::stream::iter(heard.events()).map(Ok).boxed()));
    }
    let format = call.body.get::<String>("response_format");
    let body = match format.as_deref() {
        None | Some("json") => to_bytes(&json!({"text": heard.text, "usage": heard.usage()})),
        Some("verbose_json") => to_bytes(&heard.verbose()),
        Some("diarized_json") => to_bytes(&heard.diarized()),
        Some("text") => format!("{}\n", heard.text).into(),
        Some("srt") => format!("1\n{} --> {}\n{}\n\n", clock(0, ','), clock(seconds, ','), heard.text).into(),
        Some("vtt") => format!("WEBVTT\n\n{} --> {}\n{}\n\n", clock(0, '.'), clock(seconds, '.'), heard.text).into(),
        Some(_) => {
            return Err(invalid_request("response_format", "the simulator does not know this `response_format`"));
        }
    };
    let content_type = ContentType::of_transcript(format.as_deref());
    Ok(Reply::from(Whole { body, content_type, usage: None, pieces: Some(seconds) }))
}

impl Heard {
    fn usage(&self) -> Value {
        json!({"type": "duration", "seconds": self.seconds})
    }

    fn verbose(&self) -> Value {
        let segment = json!({
            "id": 0, "seek": 0, "start": 0.0, "end": self.seconds, "text": self.text, "tokens": [], "temperature": 0.0,
            "avg_logprob": 0.0, "compression_ratio": 1.0, "no_speech_prob": 0.0,
        });
        json!({
            "task": self.task, "language": "english", "duration": self.seconds, "text": self.text, "segments": [segment],
            "usage": self.usage(),
        })
    }

    fn diarized(&self) -> Value {
        let segment = json!({
            "type": "transcript.text.segment", "id": "seg_0", "start": 0.0, "end": self.seconds, "text": self.text, "speaker": "A",
        });
        json!({
            "task": self.task, "duration": self.seconds, "text": self.text, "segments": [segment], "usage": self.usage(),
        })
    }

    /// One event for each word, and the last with the usage, which streams report in tokens.
    fn events(&self) -> Vec<Event> {
        let (input, output) = (self.seconds * TOKENS_PER_SECOND, text::count(&self.text));
        let usage = json!({
            "type": "tokens", "input_tokens": input, "output_tokens": output, "total_tokens": input + output,
            "input_token_details": {"text_tokens": 0, "audio_tokens": input},
        });
        let delta = |word: &str| json!({"type": "transcript.text.delta", "delta": word});
        let deltas = self.text.split_inclusive(' ').map(|word| Event { usage: None, data: to_bytes(&delta(word)) });
        let done = json!({"type": "transcript.text.done", "text": self.text, "usage": usage});
        let used = Usage { input, audio_input: input, output, ..Usage::default() };
        deltas.chain([Event { usage: Some(used), data: to_bytes(&done) }]).collect()
    }
}

/// A time as subtitles write it.
fn clock(seconds: u64, point: char) -> String {
    format!("{:02}:{:02}:{:02}{point}000", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}
