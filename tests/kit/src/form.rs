//! Forms with files, as SDKs send them.

use serde_json::Value;

const BOUNDARY: &str = "kit-boundary";
/// The content type of every form that is made here.
pub const FORM: &str = "multipart/form-data; boundary=kit-boundary";

/// One part: the name of its field, the name of its file if it is one, and its content.
pub type FormPart<'a> = (&'a str, Option<&'a str>, &'a [u8]);

/// A form with these parts.
#[must_use]
pub fn form(parts: &[FormPart<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, file, content) in parts {
        body.extend_from_slice(format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"").as_bytes());
        if let Some(file) = file {
            let head = format!("; filename=\"{file}\"\r\nContent-Type: application/octet-stream");
            body.extend_from_slice(head.as_bytes());
        }
        body.extend_from_slice(b"\r\n\r\n");
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

/// The form of a new file: a file in the field `file`, if there is one, by its name and its content, and texts. The file comes
/// before the texts, as some SDKs send it.
#[must_use]
pub fn file_form(file: Option<(&str, &[u8])>, texts: &[(&str, &str)]) -> Vec<u8> {
    let file = file.map(|(name, content)| ("file", Some(name), content));
    let texts = texts.iter().map(|(name, text)| (*name, None, text.as_bytes()));
    form(&file.into_iter().chain(texts).collect::<Vec<_>>())
}

/// The form that an object in JSON stands for. A text that begins with `@` is a small file of that name.
///
/// # Panics
/// If the text is not an object of texts.
#[must_use]
pub fn form_of(json: &str) -> Vec<u8> {
    let fields: Value = serde_json::from_str(json).expect("the fields are JSON");
    let fields = fields.as_object().expect("the fields are an object");
    let text = |value: &Value| value.as_str().expect("a field is a text").to_owned();
    let texts: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), text(value))).collect();
    let parts = texts.iter().map(|(name, text)| match text.strip_prefix('@') {
        Some(file) => (*name, Some(file), &b"\x00\xff\r\n--"[..]),
        None => (*name, None, text.as_bytes()),
    });
    form(&parts.collect::<Vec<_>>())
}
