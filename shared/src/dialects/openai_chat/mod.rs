//! Checked request bodies: the exact text, and the members that weir needs.

pub mod accountable;
pub mod bound;
mod form;
mod media;
mod members;
mod shape;
pub mod stream;
mod summary;
pub mod transcript;

pub use media::Pieces;
pub(crate) use shape::LEGACY_MAX_TOKENS;
pub use summary::AnswerSummary;

use std::collections::HashMap;

use bytes::Bytes;

use crate::dialects::anthropic_messages;
use crate::dialects::body::{read, read_object};
use crate::dialects::input_files::{Dialect, InputFiles, Recount};
use crate::dialects::walk::Noted;
use crate::model::file::File;
use crate::model::form::{Form, Uploads};
use crate::model::id::Fingerprint;
use crate::model::invalid::Invalid;
use crate::model::long_work::long_work;
use crate::model::object::Object;
use crate::model::provider::Endpoint;
use media::{ImageShape, SpeechShape, TranscriptionShape};
use shape::{ChatShape, CompletionShape, EmbeddingShape, ModerationShape};

/// A checked body of a model endpoint.
#[derive(Debug, Clone)]
pub struct Body {
    /// The body as it was sent; of a form, its texts.
    pub object: Object,
    /// The files of a form.
    pub uploads: Uploads,
    /// The uploaded files that the body names.
    pub files: InputFiles,
    pub model: String,
    pub stream: bool,
    /// Whether the client wants the usage chunk of a stream.
    pub include_usage: bool,
    /// Requested answers, at least 1.
    pub choices: u64,
    /// The request's own limit of output tokens, for one answer.
    pub max_output_tokens: Option<u64>,
    /// Bytes of all text for the model. A token has at least one byte.
    pub text_bytes: u64,
    /// Number of images. Their tokens are not bounded by their bytes.
    pub images: u64,
    /// Number of sounds and files. Nothing bounds their tokens.
    pub other_media: u64,
    /// Inputs with a context of their own.
    pub contexts: u64,
    pub has_tools: bool,
    /// Whether text from the caller, such as a prediction, may be billed as output.
    pub has_prediction: bool,
    /// What the provider may bill by the piece.
    pub pieces: Pieces,
    /// What decides the price of the call, and whether a budget can pay for it.
    pub noted: Noted,
}

impl Body {
    /// Reads and checks a body.
    ///
    /// # Errors
    /// If the body is not a JSON object, or a field is missing or has the wrong type. The error names the path of the
    /// field.
    pub fn parse(endpoint: Endpoint, json: &[u8]) -> Result<Self, Invalid> {
        let object = read_object(json)?;
        let length = json.len();
        let (body, known) = match endpoint {
            Endpoint::ChatCompletions => {
                refuse_to_store(&object)?;
                (read::<ChatShape>(json)?.into_body(object, length), &members::CHAT)
            }
            Endpoint::Completions => (read::<CompletionShape>(json)?.into_body(object, length), &members::COMPLETION),
            Endpoint::Embeddings => (read::<EmbeddingShape>(json)?.into_body(object, length), &members::EMBEDDING),
            Endpoint::Moderations => (read::<ModerationShape>(json)?.into_body(object, length), &members::MODERATION),
            Endpoint::ImageEdits | Endpoint::Transcriptions | Endpoint::Translations => return Err(needs_form()),
            Endpoint::Images => (read::<ImageShape>(json)?.into_body(object, length)?, &members::IMAGE),
            Endpoint::Speech => (read::<SpeechShape>(json)?.into_body(object, length), &members::SPEECH),
            Endpoint::Messages => {
                let measured = anthropic_messages::measure(json)?;
                (measured_body(measured, object, length), &anthropic_messages::MEMBERS)
            }
        };
        let noted = Noted { is_messages: endpoint == Endpoint::Messages, ..Noted::of(known, &body.object) };
        let files = match endpoint {
            Endpoint::ChatCompletions => InputFiles::named(Dialect::Chat, &body.object),
            Endpoint::Messages => InputFiles::named(Dialect::Messages, &body.object),
            _ => InputFiles::default(),
        };
        Ok(Self { noted, files, ..body })
    }

    /// Reads and checks the form of an endpoint that takes files.
    ///
    /// # Errors
    /// If a field is unknown, missing, there twice, or has a wrong value. The error names it.
    pub fn of_form(endpoint: Endpoint, sent: Form) -> Result<Self, Invalid> {
        let (object, uploads) = form::read_form(endpoint, sent)?;
        let json = object.to_bytes();
        let length = json.len();
        let (body, known) = match endpoint {
            Endpoint::ImageEdits => {
                let body = read::<ImageShape>(&json)?.into_body(object, length)?;
                (Self { images: uploads.iter().count() as u64, ..body }, &members::IMAGE_EDIT)
            }
            _ => (read::<TranscriptionShape>(&json)?.into_body(object, &uploads, length), &members::TRANSCRIPTION),
        };
        let mut noted = Noted::of(known, &body.object);
        // Sound is what such a model is for: its price per token is that of sound, if it has no other.
        noted.asked.audio_input = endpoint != Endpoint::ImageEdits;
        Ok(Self { uploads, noted, ..body })
    }

    /// Takes the uploaded files that the body names, by their ids, and counts them as what they are.
    ///
    /// # Errors
    /// If one is missing, if they are too large together, or if a place wants another type of file. The error names the place.
    pub fn take_files(&mut self, found: HashMap<String, File>) -> Result<(), Invalid> {
        let Recount { images, text_bytes, texts } = self.files.found(self.dialect(), found)?;
        self.images = self.images.saturating_add_signed(images);
        self.other_media = self.other_media.saturating_add_signed(-images).saturating_sub(texts);
        self.text_bytes = self.text_bytes.saturating_add(text_bytes);
        Ok(())
    }

    /// `object`, which is this body or was made from it, with the contents of the uploaded files, by their ids, in place of the ids.
    ///
    /// # Errors
    /// If a content is not what its type says.
    pub fn with_files(&self, object: &Object, contents: &HashMap<String, Bytes>) -> Result<Object, Invalid> {
        self.files.fill(self.dialect(), object, contents)
    }

    /// Whether the request asks for a service tier.
    #[must_use]
    pub fn has_tier(&self) -> bool {
        self.noted.tier.is_some()
    }

    fn dialect(&self) -> Dialect {
        if self.noted.is_messages { Dialect::Messages } else { Dialect::Chat }
    }

    /// Identifies what is asked for, files included, whatever the spacing of JSON or the boundary of a form.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let members = self.object.fingerprint();
        if self.uploads.is_empty() {
            return members;
        }
        let parts = || std::iter::once(members.as_str().as_bytes()).chain(self.uploads.parts());
        long_work(self.uploads.bytes(), || Fingerprint::of(parts()))
    }
}

/// The error for JSON where a form is expected.
fn needs_form() -> Invalid {
    let message = "This endpoint takes a form with files: send 'multipart/form-data'.".to_owned();
    Invalid { message, param: None, code: None }
}

/// Refuses what a later request could not read. A provider would keep it for the operator's account.
fn refuse_to_store(object: &Object) -> Result<(), Invalid> {
    if object.get("store") != Some(true) {
        return Ok(());
    }
    let message =
        "Chat completions are not stored. Leave 'store' out, or use '/v1/responses', which stores its answers.";
    let (param, code) = (Some("store".to_owned()), Some("unsupported_parameter"));
    Err(Invalid { message: message.to_owned(), param, code })
}

/// The body of a call of Anthropic's API.
fn measured_body(measured: anthropic_messages::Measured, object: Object, length: usize) -> Body {
    Body {
        object,
        uploads: Uploads::default(),
        files: InputFiles::default(),
        model: measured.model,
        stream: measured.stream,
        include_usage: true,
        choices: 1,
        max_output_tokens: Some(measured.max_tokens),
        text_bytes: (length - measured.media.bytes.min(length)) as u64,
        images: measured.media.images,
        other_media: measured.media.others,
        contexts: 1,
        has_tools: measured.has_tools,
        has_prediction: false,
        pieces: Pieces::default(),
        noted: Noted::default(),
    }
}
