//! Reading `multipart/form-data`, part by part.

mod paced;

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use axum::http::header;
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use multer::{Field, Multipart};
use tokio::time::{Instant, timeout_at};

use super::input::{MAX_BODY_BYTES, READING, max_body_bytes, unreadable};
use super::reject::Rejection;
use crate::app::Error;
use crate::model::form::{Form, Upload};
use crate::model::invalid::Invalid;
use paced::{BetweenParts, NoPart, Paced};

const EXPECTED: &str = "multipart/form-data";

/// The time in which a large form must arrive: as long as a function may run.
const READING_LARGE: Duration = Duration::from_secs(900);

/// The most parts of a form. The longest lists of OpenAI's API have 16 files, and fields beside them.
const MAX_PARTS: usize = 256;
/// The longest text. The longest ones are sounds of known speakers as data URLs.
const MAX_TEXT_BYTES: usize = 2 * 1024 * 1024;
/// The longest name of a field or of a file. File systems allow 255 bytes.
const MAX_NAME_BYTES: usize = 1_024;
/// The longest boundary, as RFC 2046 has it.
const MAX_BOUNDARY_BYTES: usize = 70;

/// A form whose parts have not been read. A handler takes it after the [`Caller`](crate::model::project::Caller), as a
/// [`SentBody`](super::SentBody).
///
/// No part is kept: each is gone when the next one is asked for. [`SentForm::whole`] collects them.
pub struct SentForm {
    parts: Multipart<'static>,
    boundary: String,
    between: BetweenParts,
    read: usize,
    most: usize,
    until: Instant,
}

impl<S: Send + Sync> FromRequest<S> for SentForm {
    type Rejection = Rejection;

    async fn from_request(request: Request, _: &S) -> Result<Self, Rejection> {
        let content_type = request.headers().get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
        let boundary = boundary(content_type.unwrap_or_default())?;
        let most = max_body_bytes(request.uri().path());
        let reading = if most > MAX_BODY_BYTES { READING_LARGE } else { READING };
        let body = Limited::new(request.into_body(), most).into_data_stream();
        let between = BetweenParts::default();
        let parts = Multipart::new(Paced::new(body, between.clone()), boundary.as_str());
        Ok(Self { parts, boundary, between, read: 0, most, until: Instant::now() + reading })
    }
}

impl SentForm {
    /// The next part; `None` after the last one.
    ///
    /// # Errors
    /// `Invalid` if the body is no form, has too many parts, or has a part without a name; `TooLarge` above what its route takes;
    /// `TooSlow` if it does not end in time.
    pub async fn next(&mut self) -> Result<Option<Part>, Rejection> {
        self.between.begin();
        let field = match timeout_at(self.until, self.parts.next_field()).await {
            Ok(field) => field.map_err(|error| self.refused(error))?,
            Err(_) => return Err(Rejection::TooSlow),
        };
        let Some(field) = field else { return Ok(None) };
        self.between.end();
        self.read += 1;
        if self.read > MAX_PARTS {
            return Err(malformed(format!("it has more than {MAX_PARTS} parts")));
        }
        let name = field.name().map(str::to_owned);
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            let reason = "part {} has no name; each part needs 'content-disposition: form-data; name=\"...\"'";
            return Err(malformed(reason.replace("{}", &self.read.to_string())));
        };
        if name.len().max(field.file_name().map_or(0, str::len)) > MAX_NAME_BYTES {
            return Err(malformed(format!("part {} has a name of more than {MAX_NAME_BYTES} bytes", self.read)));
        }
        Ok(Some(Part { field, name, most: self.most, until: self.until }))
    }

    /// Reads all parts. Files are the parts with a file name.
    ///
    /// # Errors
    /// As [`SentForm::next`] and [`Part::text`].
    pub async fn whole(mut self) -> Result<Form, Rejection> {
        let mut form = Form::default();
        while let Some(part) = self.next().await? {
            let Some(name) = part.file_name().map(str::to_owned) else {
                let name = part.name().to_owned();
                form.texts.push((name, part.text().await?));
                continue;
            };
            let (field, content_type) = (part.name().to_owned(), part.content_type());
            form.files.push(Upload { field, name, content_type, bytes: part.bytes(MAX_BODY_BYTES).await? });
        }
        Ok(form)
    }

    fn refused(&self, error: multer::Error) -> Rejection {
        match error {
            multer::Error::IncompleteStream if self.read == 0 => malformed(format!(
                "it has no whole part that begins with the boundary '--{}' of the content type",
                self.boundary
            )),
            error => refused(error, self.most),
        }
    }
}

/// A part of a form.
pub struct Part {
    field: Field<'static>,
    name: String,
    most: usize,
    until: Instant,
}

impl Part {
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of the file, if the part is one.
    #[must_use]
    pub fn file_name(&self) -> Option<&str> {
        self.field.file_name()
    }

    /// The content type that the client names.
    #[must_use]
    pub fn content_type(&self) -> Option<String> {
        self.field.content_type().map(ToString::to_string)
    }

    /// The next bytes of the part; `None` at its end. A large file can be passed on as it comes.
    ///
    /// # Errors
    /// As [`SentForm::next`].
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Rejection> {
        match timeout_at(self.until, self.field.chunk()).await {
            Ok(chunk) => chunk.map_err(|error| refused(error, self.most)),
            Err(_) => Err(Rejection::TooSlow),
        }
    }

    /// The whole part, if it has at most so many bytes.
    ///
    /// # Errors
    /// As [`Part::chunk`]; `Invalid` if the part is longer.
    pub async fn bytes(mut self, most: usize) -> Result<Bytes, Rejection> {
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        self.check_length(first.len(), most)?;
        // Of a body that has arrived, the first piece is all. It is not copied.
        let Some(second) = self.chunk().await? else { return Ok(first) };
        let mut whole = BytesMut::from(first);
        let mut next = Some(second);
        while let Some(piece) = next {
            whole.extend_from_slice(&piece);
            self.check_length(whole.len(), most)?;
            next = self.chunk().await?;
        }
        Ok(whole.freeze())
    }

    /// The part as a text of at most 2 MB.
    ///
    /// # Errors
    /// As [`Part::bytes`]; `Invalid` if the text is not UTF-8.
    pub async fn text(self) -> Result<String, Rejection> {
        let name = self.name.clone();
        let bytes = self.bytes(MAX_TEXT_BYTES).await?;
        String::from_utf8(bytes.into())
            .map_err(|_| Invalid::field(&name, format!("The text of the field '{name}' is not UTF-8.")).into())
    }

    fn check_length(&self, length: usize, most: usize) -> Result<(), Rejection> {
        if length <= most {
            return Ok(());
        }
        let message = format!("The field '{}' has more than {most} bytes.", self.name);
        Err(Invalid::field(&self.name, message).into())
    }
}

/// The boundary that a content type names.
fn boundary(content_type: &str) -> Result<String, Rejection> {
    let boundary = match multer::parse_boundary(content_type) {
        Ok(boundary) => boundary,
        Err(multer::Error::NoBoundary) => return Err(malformed("its content type has no 'boundary'")),
        Err(_) => {
            let sent = content_type.split(';').next().unwrap_or_default().trim();
            if sent.eq_ignore_ascii_case(EXPECTED) {
                return Err(malformed("the parameters of its content type are malformed"));
            }
            let sent =
                if sent.is_empty() { "no content type".to_owned() } else { format!("'{}'", first_letters(sent)) };
            return Err(invalid(format!("This endpoint takes a form: expected '{EXPECTED}', got {sent}.")));
        }
    };
    match boundary.len() {
        1..=MAX_BOUNDARY_BYTES => Ok(boundary),
        length => Err(malformed(format!("its boundary has {length} bytes, expected 1 to {MAX_BOUNDARY_BYTES}"))),
    }
}

fn first_letters(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_BOUNDARY_BYTES)]
}

/// The answer to a form that cannot be read.
fn refused(error: multer::Error, most: usize) -> Rejection {
    match error {
        multer::Error::StreamReadFailed(cause) if cause.is::<LengthLimitError>() => Rejection::TooLarge(most),
        multer::Error::StreamReadFailed(cause) if cause.is::<NoPart>() => malformed(cause),
        multer::Error::StreamReadFailed(cause) => unreadable(&*cause),
        multer::Error::IncompleteFieldData { .. } | multer::Error::IncompleteStream => {
            malformed("it ends before its last boundary, or something other than a line break follows a boundary")
        }
        multer::Error::ReadHeaderFailed(_)
        | multer::Error::IncompleteHeaders
        | multer::Error::DecodeHeaderName { .. }
        | multer::Error::DecodeHeaderValue { .. } => malformed("the headers of a part are malformed"),
        other => malformed(other.to_string()),
    }
}

fn malformed(reason: impl std::fmt::Display) -> Rejection {
    invalid(format!("We could not read the {EXPECTED} body of your request: {reason}."))
}

fn invalid(message: String) -> Rejection {
    Error::Invalid(Invalid { message, param: None, code: None }).into()
}
