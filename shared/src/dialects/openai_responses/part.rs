//! Content parts of items.

use serde_json::value::RawValue;

use super::fields::{Fields, TextOrList, invalid, not_one_of, unsupported};
use crate::dialects::body::{read_at, shortened};
use crate::model::file::is_file_id;
use crate::model::invalid::Invalid;
use crate::model::object::Object;

/// A content part, as far as weir reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Refusal(String),
    Image {
        url: String,
        detail: Option<String>,
    },
    /// `data` is base64 or a data URL in base64.
    File {
        name: String,
        data: String,
    },
    /// An uploaded image.
    UploadedImage {
        id: String,
        detail: Option<String>,
    },
    /// An uploaded file. Its part may give it another name.
    UploadedFile {
        id: String,
        name: Option<String>,
    },
}

/// The origin of a content. It determines the allowed parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    User,
    Assistant,
    /// `system` and `developer` messages.
    Instructions,
    ToolOutput,
}

impl Source {
    fn kinds(self) -> &'static [&'static str] {
        match self {
            Self::User | Self::ToolOutput => &["input_text", "input_image", "input_file"],
            Self::Assistant => &["output_text", "refusal", "input_text"],
            Self::Instructions => &["input_text"],
        }
    }

    /// The type of part that a plain string stands for.
    fn text_kind(self) -> &'static str {
        if self == Self::Assistant { "output_text" } else { "input_text" }
    }
}

/// Reads the parts of a content. A string is one text.
pub(super) fn read(content: &TextOrList, at: &str, source: Source) -> Result<Vec<Part>, Invalid> {
    match content {
        TextOrList::Text(text) => Ok(vec![Part::Text(text.clone())]),
        TextOrList::List(list) => {
            let parts = list.iter().enumerate();
            parts.map(|(index, part)| read_part(part, &format!("{at}[{index}]"), source)).collect()
        }
    }
}

/// The content as a list of parts, with all members of OpenAI's parts. `read` must have accepted the content.
pub(super) fn normalise(content: &TextOrList, source: Source) -> Vec<Object> {
    match content {
        TextOrList::Text(text) => {
            vec![with_defaults(Object::default().with("type", source.text_kind()).with("text", text))]
        }
        TextOrList::List(list) => {
            list.iter().filter_map(|part| Object::parse(part.get().as_bytes()).ok()).map(with_defaults).collect()
        }
    }
}

fn with_defaults(mut part: Object) -> Object {
    match part.get::<String>("type").as_deref() {
        Some("output_text") => {
            for name in ["annotations", "logprobs"] {
                if part.text(name).is_none_or(|text| text == "null") {
                    part.set(name, &[(); 0]);
                }
            }
        }
        Some("input_image") if part.get::<String>("detail").is_none() => part.set("detail", "auto"),
        _ => {}
    }
    part
}

fn read_part(raw: &RawValue, at: &str, source: Source) -> Result<Part, Invalid> {
    let object: Object = read_at(raw.get().as_bytes(), at)?;
    let fields = Fields::new(&object, at);
    let kind: String = fields.required("type")?;
    if !source.kinds().contains(&kind.as_str()) {
        return Err(not_one_of(fields.path("type"), &kind, source.kinds()));
    }
    match kind.as_str() {
        "refusal" => Ok(Part::Refusal(fields.required("refusal")?)),
        "input_image" => image(fields),
        "input_file" => file(fields),
        _ => Ok(Part::Text(fields.required("text")?)),
    }
}

fn image(fields: Fields<'_>) -> Result<Part, Invalid> {
    let detail = fields.one_of("detail", &["low", "high", "auto", "original"])?;
    if fields.text("image_url").is_none()
        && let Some(id) = file_id(fields)?
    {
        return Ok(Part::UploadedImage { id, detail });
    }
    let url: String = fields.required("image_url")?;
    if url.is_empty() {
        return Err(invalid(fields.path("image_url"), "it must not be empty"));
    }
    Ok(Part::Image { url, detail })
}

fn file(fields: Fields<'_>) -> Result<Part, Invalid> {
    if fields.text("file_data").is_none() {
        if let Some(id) = file_id(fields)? {
            return Ok(Part::UploadedFile { id, name: fields.optional("filename")? });
        }
        if fields.text("file_url").is_some() {
            let message = "Files by URL are not supported. Send the file in 'file_data', as base64, with a 'filename', or upload it and \
                           name its 'file_id'.";
            return Err(unsupported(fields.path("file_url"), message, "unsupported_file"));
        }
    }
    let data: String = fields.required("file_data")?;
    if !is_base64(&data) {
        return Err(invalid(fields.path("file_data"), "expected base64 or a data URL in base64"));
    }
    let name: String = fields.required("filename")?;
    if name.is_empty() {
        return Err(invalid(fields.path("filename"), "it must not be empty"));
    }
    Ok(Part::File { name, data })
}

/// The id of an uploaded file. Whether the project has it is found out when a model is to read it.
fn file_id(fields: Fields<'_>) -> Result<Option<String>, Invalid> {
    let Some(id) = fields.optional::<String>("file_id")? else { return Ok(None) };
    if is_file_id(&id) {
        return Ok(Some(id));
    }
    let reason = format_args!("no file found with id '{}'. POST /v1/files uploads a file", shortened(&id));
    Err(Invalid { code: Some("file_not_found"), ..invalid(fields.path("file_id"), reason) })
}

/// Whether this can be base64, with or without the head of a data URL.
fn is_base64(data: &str) -> bool {
    let digits = match data.strip_prefix("data:") {
        Some(rest) => rest.split_once(";base64,").map_or("", |(_, digits)| digits),
        None => data,
    };
    let digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_');
    !digits.is_empty() && digits.trim_end_matches('=').bytes().all(digit)
}
