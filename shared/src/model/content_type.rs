//! The forms of an answer.

/// The form of an answer's body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ContentType {
    #[default]
    Json,
    EventStream,
    Mp3,
    Opus,
    Aac,
    Flac,
    Wav,
    Pcm,
    Text,
    /// Subtitles for the web.
    Vtt,
    /// Sound of a form that weir does not know.
    Bytes,
}

/// Sounds, by the values of `response_format`.
const SOUNDS: [(&str, ContentType); 6] = [
    ("mp3", ContentType::Mp3),
    ("opus", ContentType::Opus),
    ("aac", ContentType::Aac),
    ("flac", ContentType::Flac),
    ("wav", ContentType::Wav),
    ("pcm", ContentType::Pcm),
];

impl ContentType {
    /// The value of the `Content-Type` header; stores keep it with an answer.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::EventStream => "text/event-stream; charset=utf-8",
            Self::Mp3 => "audio/mpeg",
            Self::Opus => "audio/opus",
            Self::Aac => "audio/aac",
            Self::Flac => "audio/flac",
            Self::Wav => "audio/wav",
            Self::Pcm => "audio/pcm",
            Self::Text => "text/plain; charset=utf-8",
            Self::Vtt => "text/vtt; charset=utf-8",
            Self::Bytes => "application/octet-stream",
        }
    }

    /// The content type that was stored under this name.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        let sounds = SOUNDS.into_iter().map(|(_, sound)| sound);
        let others = [Self::EventStream, Self::Text, Self::Vtt, Self::Bytes].into_iter().chain(sounds);
        others.into_iter().find(|other| other.name() == name).unwrap_or(Self::Json)
    }

    /// The content type of a sound that was asked for by this `response_format`. MP3 is OpenAI's default.
    #[must_use]
    pub fn of_sound(response_format: Option<&str>) -> Self {
        let Some(format) = response_format else { return Self::Mp3 };
        SOUNDS.into_iter().find(|(name, _)| *name == format).map_or(Self::Bytes, |(_, sound)| sound)
    }

    /// The content type of a transcript that was asked for by this `response_format`. JSON is OpenAI's default.
    #[must_use]
    pub fn of_transcript(response_format: Option<&str>) -> Self {
        match response_format {
            Some("text" | "srt") => Self::Text,
            Some("vtt") => Self::Vtt,
            _ => Self::Json,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_content_type_reads_back() {
        let sounds =
            ["mp3", "opus", "aac", "flac", "wav", "pcm", "other"].map(|format| ContentType::of_sound(Some(format)));
        for content_type in
            [ContentType::Json, ContentType::EventStream, ContentType::Text, ContentType::Vtt].into_iter().chain(sounds)
        {
            assert_eq!(ContentType::from_name(content_type.name()), content_type);
        }
        assert_eq!(ContentType::of_sound(None).name(), "audio/mpeg");
    }
}
