//! The bodies of OpenAI's Uploads API.

use serde::Deserialize;

use super::body::{missing, parse, shortened};
use super::openai_files::{EXPIRY_SECONDS, twice};
use super::unknown::unknown;
use crate::model::file::{FileDetails, MAX_FILE_BYTES, Purpose};
use crate::model::invalid::Invalid;
use crate::model::object::Object;

/// A checked body of `POST /v1/uploads`.
#[derive(Debug, Clone)]
pub struct CreateUpload {
    pub filename: String,
    pub details: FileDetails,
    /// The bytes that the file is to have.
    pub bytes: u64,
    /// The client wants URLs to which it can send the bytes without weir: the member `weir.direct`.
    pub is_direct: bool,
    /// The body.
    pub object: Object,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateShape {
    filename: String,
    purpose: String,
    bytes: u64,
    mime_type: String,
    #[serde(default)]
    expires_after: Option<ExpiresAfter>,
    #[serde(default)]
    weir: Option<Extension>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpiresAfter {
    anchor: String,
    seconds: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Extension {
    #[serde(default)]
    direct: bool,
}

/// The longest file name and the longest type, as in forms.
const MAX_NAME_BYTES: usize = 1_024;

impl CreateUpload {
    /// Reads and checks a body.
    ///
    /// # Errors
    /// If the body is not a JSON object, or a member is missing, unknown, or has a wrong value. The error names it.
    pub fn parse(json: &[u8]) -> Result<Self, Invalid> {
        let shape: CreateShape = parse(json)?;
        check_name("filename", &shape.filename)?;
        // Contents are answered as bytes, whatever their type is.
        check_name("mime_type", &shape.mime_type)?;
        if shape.bytes > MAX_FILE_BYTES {
            let message = format!(
                "`bytes` is {}, expected at most {MAX_FILE_BYTES}, which is 512 MB. Split the file.",
                shape.bytes
            );
            return Err(Invalid { code: Some("file_too_large"), ..Invalid::field("bytes", message) });
        }
        let purpose = Purpose::parse_for_upload(shortened(&shape.purpose))?;
        let expires_after = match shape.expires_after {
            Some(expires) => Some(expires.checked()?),
            None => purpose.usual_seconds(),
        };
        let details = FileDetails { purpose, expires_after };
        let is_direct = shape.weir.is_some_and(|extension| extension.direct);
        let object = Object::parse(json).unwrap_or_default();
        Ok(Self { filename: shape.filename, details, bytes: shape.bytes, is_direct, object })
    }
}

impl ExpiresAfter {
    fn checked(self) -> Result<u64, Invalid> {
        let wrong = |member: &str, value: &str, expected: &str| {
            let param = format!("expires_after.{member}");
            let message = format!("`{param}` is `{}`, expected {expected}.", shortened(value));
            Invalid::field(param, message)
        };
        if self.anchor != "created_at" {
            return Err(wrong("anchor", &self.anchor, "`created_at`"));
        }
        if !EXPIRY_SECONDS.contains(&self.seconds) {
            return Err(wrong("seconds", &self.seconds.to_string(), "3600 to 2592000"));
        }
        Ok(self.seconds)
    }
}

fn check_name(param: &str, name: &str) -> Result<(), Invalid> {
    if (1..=MAX_NAME_BYTES).contains(&name.len()) {
        return Ok(());
    }
    let message = format!("`{param}` has {} bytes, expected 1 to {MAX_NAME_BYTES}.", name.len());
    Err(Invalid::field(param, message))
}

/// A checked body of `POST /v1/uploads/{upload_id}/complete`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompleteUpload {
    /// In the order of the file. The parts that are not named are left out.
    pub part_ids: Vec<String>,
    /// MD5 of the file.
    pub md5: Option<[u8; 16]>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CompleteShape {
    part_ids: Vec<String>,
    #[serde(default)]
    md5: Option<String>,
}

impl CompleteUpload {
    /// Reads and checks a body.
    ///
    /// # Errors
    /// As [`CreateUpload::parse`].
    pub fn parse(json: &[u8]) -> Result<Self, Invalid> {
        let shape: CompleteShape = parse(json)?;
        let md5 = shape.md5.map(|md5| read_md5(&md5)).transpose()?;
        Ok(Self { part_ids: shape.part_ids, md5 })
    }
}

fn read_md5(text: &str) -> Result<[u8; 16], Invalid> {
    let wrong = || {
        let text = shortened(text);
        Invalid::field("md5", format!("`md5` is `{text}`, expected the 32 hexadecimal digits of an MD5."))
    };
    // A sign is no digit, but a number may have one.
    if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    let mut md5 = [0; 16];
    for (at, byte) in md5.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(|_| wrong())?;
    }
    Ok(md5)
}

/// The error for a form of `POST /v1/uploads/{upload_id}/parts` without its field.
#[must_use]
pub fn missing_data() -> Invalid {
    missing("data")
}

/// The error for a form with two parts of an upload.
#[must_use]
pub fn second_data() -> Invalid {
    twice("data")
}

/// The error for a field that such a form does not have.
#[must_use]
pub fn unknown_field(name: &str) -> Invalid {
    unknown("", shortened(name), ["data"])
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREATE: &str = r#"{"filename":"a.txt","purpose":"user_data","bytes":5,"mime_type":"text/plain"}"#;

    #[test]
    fn a_body_says_what_is_to_come() {
        let create = CreateUpload::parse(CREATE.as_bytes()).unwrap();
        let details = FileDetails { purpose: Purpose::UserData, expires_after: None };
        assert_eq!((&*create.filename, create.details, create.bytes, create.is_direct), ("a.txt", details, 5, false));
        let batch = CREATE.replace("user_data", "batch");
        assert_eq!(CreateUpload::parse(batch.as_bytes()).unwrap().details.expires_after, Some(2_592_000));
        let direct = CREATE.replace("5,", r#"5,"weir":{"direct":true},"#);
        assert!(CreateUpload::parse(direct.as_bytes()).unwrap().is_direct);
        let md5 = "000102030405060708090A0b0c0d0e0f";
        let complete = CompleteUpload::parse(format!(r#"{{"part_ids":["b","a"],"md5":"{md5}"}}"#).as_bytes()).unwrap();
        assert_eq!(
            (complete.part_ids, complete.md5),
            (vec!["b".to_owned(), "a".to_owned()], Some(std::array::from_fn(|n| n as u8)))
        );
    }

    #[test]
    fn a_wrong_body_is_refused_with_its_member() {
        for (old, new, param) in [
            ("a.txt", "", "filename"),
            ("text/plain", "", "mime_type"),
            ("user_data", "fine-tune", "purpose"),
            ("5,", "536870913,", "bytes"),
            ("5,", "-1,", "bytes"),
            ("5,", r#"5,"expires_after":{"anchor":"now","seconds":3600},"#, "expires_after.anchor"),
            ("5,", r#"5,"expires_after":{"anchor":"created_at","seconds":1},"#, "expires_after.seconds"),
            ("5,", r#"5,"weir":{"urls":true},"#, "weir.urls"),
        ] {
            let error = CreateUpload::parse(CREATE.replace(old, new).as_bytes()).unwrap_err();
            assert_eq!(error.param.as_deref(), Some(param), "{error:?}");
        }
        for md5 in ["", "abc", &"g".repeat(32), &"+1".repeat(16), &"é".repeat(16)] {
            let error = CompleteUpload::parse(format!(r#"{{"part_ids":[],"md5":"{md5}"}}"#).as_bytes()).unwrap_err();
            assert_eq!(error.param.as_deref(), Some("md5"), "{error:?}");
        }
    }
}
