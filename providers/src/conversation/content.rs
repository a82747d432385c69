//! Reads the content of OpenAI's messages.

use serde::Deserialize;
use serde_json::Value;
use shared::model::provider::Failure;

use super::cache::mark;
use super::{Document, Image, Part, PartKind, data_url, files, invalid_request, unsupported};

/// The member `content` of a message.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Content {
    Text(String),
    Parts(Vec<ContentPart>),
}

#[derive(Deserialize)]
pub(super) struct ContentPart {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    refusal: Option<String>,
    image_url: Option<ImageUrl>,
    file: Option<File>,
    #[serde(default)]
    cache_control: Value,
}

#[derive(Deserialize)]
struct ImageUrl {
    url: String,
}

#[derive(Deserialize)]
struct File {
    filename: Option<String>,
    file_data: Option<String>,
}

/// The parts of a content. Anthropic and Bedrock refuse texts of white space only, so there are none.
pub(super) fn parts(content: Option<Content>, at: &str) -> Result<Vec<Part>, Failure> {
    let parts = match content {
        None => Vec::new(),
        Some(Content::Text(text)) => vec![Part { kind: PartKind::Text(text), cache: None }],
        Some(Content::Parts(parts)) => parts.into_iter().map(|each| part(each, at)).collect::<Result<_, _>>()?,
    };
    Ok(parts.into_iter().filter(|part| !matches!(&part.kind, PartKind::Text(text) if text.trim().is_empty())).collect())
}

fn part(part: ContentPart, at: &str) -> Result<Part, Failure> {
    let kind = match (part.kind.as_str(), part.text, part.image_url, part.file, part.refusal) {
        ("text", Some(text), ..) => PartKind::Text(text),
        // Bedrock and Anthropic have no refusals in a history, and no marks behind them.
        ("refusal", .., Some(text)) => return Ok(Part { kind: PartKind::Text(text), cache: None }),
        ("image_url", _, Some(image), ..) => self::image(image.url, at)?,
        ("file", _, _, Some(file), _) => self::file(file, at)?,
        ("text" | "refusal" | "image_url" | "file", ..) => {
            return Err(invalid_request(at, format!("a part of the type `{}` is empty", part.kind)));
        }
        (kind, ..) => return Err(unsupported(at, format!("content parts of the type `{kind}` cannot be expressed"))),
    };
    Ok(Part { kind, cache: mark(&part.cache_control, at)? })
}

fn image(url: String, at: &str) -> Result<PartKind, Failure> {
    if !data_url::is_data(&url) {
        return Ok(PartKind::Image(Image::Url(url)));
    }
    let data =
        data_url::parse(&url).ok_or_else(|| invalid_request(at, "the data URL of an image must be in base64"))?;
    Ok(of_data(data, None))
}

fn file(file: File, at: &str) -> Result<PartKind, Failure> {
    let Some(text) = file.file_data else {
        return Err(unsupported(at, "a file without `file_data` cannot be expressed"));
    };
    if data_url::is_data(&text) {
        let data =
            data_url::parse(&text).ok_or_else(|| invalid_request(at, "the data URL of a file must be in base64"))?;
        return Ok(of_data(data, file.filename));
    }
    // Some clients send the base64 alone.
    let media_type = files::media_type(data_url::media_type("", &text), file.filename.as_deref());
    if media_type.is_empty() {
        return Err(invalid_request(at, "`file_data` must be a data URL in base64"));
    }
    Ok(of_data(data_url::Data { media_type, data: text }, file.filename))
}

/// Clients also send PDFs as images, and images as files.
fn of_data(data: data_url::Data, name: Option<String>) -> PartKind {
    let data_url::Data { media_type, data } = data;
    if media_type.starts_with("image/") {
        PartKind::Image(Image::Base64 { media_type, data })
    } else {
        let media_type = files::media_type(media_type, name.as_deref());
        PartKind::Document(Document { name, media_type, data })
    }
}
