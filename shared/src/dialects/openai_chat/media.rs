//! The fields of requests for images and sound that weir reads. Providers check all others.

use serde::Deserialize;

use super::Body;
use super::shape::input_only;
use crate::dialects::parts::Name;
use crate::model::form::Uploads;
use crate::model::invalid::Invalid;
use crate::model::object::Object;
use crate::model::sound::longest_seconds;

/// What a call asks for by the piece.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pieces {
    /// Images, characters to speak, or the most seconds of sound as far as its bytes bound them.
    pub count: u64,
    /// Of images; `None` if the provider chooses.
    pub size: Option<String>,
    pub quality: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct ImageShape {
    model: Name,
    #[serde(rename = "prompt")]
    _prompt: Name,
    #[serde(default)]
    n: Option<Images>,
    #[serde(default)]
    size: Option<String>,
    #[serde(default)]
    quality: Option<String>,
    #[serde(default)]
    stream: Option<bool>,
}

/// A number of images: 1 to 10, as at OpenAI.
#[derive(Clone, Copy)]
struct Images(u64);

impl<'de> Deserialize<'de> for Images {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            count @ 1..=10 => Ok(Self(count)),
            count => Err(serde::de::Error::custom(format_args!("{count} is not between 1 and 10"))),
        }
    }
}

impl ImageShape {
    /// # Errors
    /// If the call asks for a stream of partial images.
    pub(super) fn into_body(self, object: Object, length: usize) -> Result<Body, Invalid> {
        if self.stream == Some(true) {
            return Err(Invalid::field("stream", "Partial images are not supported: leave `stream` out."));
        }
        let count = self.n.map_or(1, |n| n.0);
        let chosen = |name: Option<String>| name.filter(|name| name != "auto");
        let pieces = Pieces { count, size: chosen(self.size), quality: chosen(self.quality) };
        Ok(Body { choices: count, max_output_tokens: None, pieces, ..input_only(self.model.0, object, length) })
    }
}

#[derive(Deserialize)]
pub(super) struct SpeechShape {
    model: Name,
    input: Name,
    #[serde(default)]
    stream_format: Option<StreamFormat>,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum StreamFormat {
    /// Bytes of sound.
    Audio,
    Sse,
}

impl SpeechShape {
    pub(super) fn into_body(self, object: Object, length: usize) -> Body {
        let pieces = Pieces { count: self.input.0.chars().count() as u64, ..Pieces::default() };
        let stream = self.stream_format == Some(StreamFormat::Sse);
        Body {
            stream,
            include_usage: true,
            max_output_tokens: None,
            pieces,
            ..input_only(self.model.0, object, length)
        }
    }
}

#[derive(Deserialize)]
pub(super) struct TranscriptionShape {
    model: Name,
    #[serde(default, rename = "response_format")]
    _response_format: Option<TranscriptFormat>,
    #[serde(default)]
    stream: Option<bool>,
}

/// The forms of a transcript. weir must know how to read each for its usage.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum TranscriptFormat {
    Json,
    Text,
    Srt,
    VerboseJson,
    Vtt,
    DiarizedJson,
}

impl TranscriptionShape {
    pub(super) fn into_body(self, object: Object, uploads: &Uploads, length: usize) -> Body {
        let longest = uploads.iter().map(|sound| longest_seconds(&sound.bytes).unwrap_or(u64::MAX));
        let pieces = Pieces { count: longest.fold(0, u64::saturating_add), ..Pieces::default() };
        Body {
            stream: self.stream.unwrap_or(false),
            include_usage: true,
            max_output_tokens: None,
            other_media: uploads.iter().count() as u64,
            pieces,
            ..input_only(self.model.0, object, length)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::provider::Endpoint;

    #[track_caller]
    fn refused(endpoint: Endpoint, json: &str, param: &str) {
        let error = Body::parse(endpoint, json.as_bytes()).unwrap_err();
        assert_eq!(error.param.as_deref(), Some(param), "{}", error.message);
    }

    #[test]
    fn a_call_for_images_says_how_many_and_which() {
        let read = |json: &str| Body::parse(Endpoint::Images, json.as_bytes()).unwrap();
        let body = read(r#"{"model":"m","prompt":"a cat","n":3,"size":"1024x1024","quality":"auto"}"#);
        let pieces = Pieces { count: 3, size: Some("1024x1024".to_owned()), quality: None };
        assert_eq!((body.pieces, body.choices, body.stream), (pieces, 3, false));
        assert_eq!(read(r#"{"model":"m","prompt":"a","n":null,"stream":false}"#).pieces.count, 1);
        refused(Endpoint::Images, r#"{"model":"m"}"#, "prompt");
        refused(Endpoint::Images, r#"{"prompt":"a cat"}"#, "model");
        for n in ["0", "11", "-1", "1.5"] {
            refused(Endpoint::Images, &format!(r#"{{"model":"m","prompt":"a","n":{n}}}"#), "n");
        }
        refused(Endpoint::Images, r#"{"model":"m","prompt":"a","stream":true}"#, "stream");
        refused(Endpoint::Images, r#"{"model":"m","prompt":"a","size":7}"#, "size");
    }

    #[test]
    fn a_call_for_sound_says_how_many_characters_it_speaks() {
        let read = |json: &str| Body::parse(Endpoint::Speech, json.as_bytes()).unwrap();
        let body = read(r#"{"model":"m","input":"Grüße\n","voice":"alloy","instructions":"slowly"}"#);
        assert_eq!((body.pieces.count, body.stream), (6, false));
        assert!(read(r#"{"model":"m","input":"a","voice":"alloy","stream_format":"sse"}"#).stream);
        refused(Endpoint::Speech, r#"{"model":"m","input":"","voice":"alloy"}"#, "input");
        refused(Endpoint::Speech, r#"{"model":"m","input":"a","stream_format":"ogg"}"#, "stream_format");
    }
}
