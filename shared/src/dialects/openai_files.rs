//! The form of `POST /v1/files`, beside the file itself.

use std::ops::RangeInclusive;

use super::body::{missing, shortened};
use super::unknown::unknown;
use crate::model::file::{FileDetails, Purpose};
use crate::model::invalid::Invalid;

/// After how many seconds a file may expire: an hour to 30 days, as OpenAI has it.
pub(super) const EXPIRY_SECONDS: RangeInclusive<u64> = 3_600..=2_592_000;

const ANCHOR: &str = "expires_after[anchor]";
const SECONDS: &str = "expires_after[seconds]";

/// The texts of a form, in whatever order they come.
#[derive(Debug, Default)]
pub struct FileForm {
    purpose: Option<Purpose>,
    anchor: Option<String>,
    seconds: Option<u64>,
}

impl FileForm {
    /// Takes the text of a field.
    ///
    /// # Errors
    /// If the field is unknown, is there twice, or has a value that it cannot have.
    pub fn take(&mut self, name: &str, text: String) -> Result<(), Invalid> {
        match name {
            "purpose" => set(&mut self.purpose, "purpose", Purpose::parse_for_upload(shortened(&text))?),
            ANCHOR => set(&mut self.anchor, ANCHOR, text),
            SECONDS => set(&mut self.seconds, SECONDS, seconds(&text)?),
            "file" => {
                let message =
                    "The field 'file' must be a file: its part needs a 'filename' (with curl: -F 'file=@path').";
                Err(Invalid::field("file", message))
            }
            other => Err(unknown("", other, ["file", "purpose", ANCHOR, SECONDS])),
        }
    }

    /// What the whole form says about its file.
    ///
    /// # Errors
    /// If a field is missing.
    pub fn details(self) -> Result<FileDetails, Invalid> {
        let purpose = self.purpose.ok_or_else(|| missing("purpose"))?;
        let expires_after = match (self.anchor.as_deref(), self.seconds) {
            (None, None) => purpose.usual_seconds(),
            (Some("created_at"), Some(seconds)) => Some(seconds),
            (None, Some(_)) => return Err(missing(ANCHOR)),
            (Some(_), None) => return Err(missing(SECONDS)),
            (Some(other), _) => {
                return Err(Invalid::field(
                    ANCHOR,
                    format!("`{ANCHOR}` is `{}`, expected `created_at`.", shortened(other)),
                ));
            }
        };
        Ok(FileDetails { purpose, expires_after })
    }
}

/// Sets what the form must not have set before.
fn set<T>(field: &mut Option<T>, name: &str, value: T) -> Result<(), Invalid> {
    if field.replace(value).is_some() { Err(twice(name)) } else { Ok(()) }
}

/// The error for a form without a file.
#[must_use]
pub fn missing_file() -> Invalid {
    missing("file")
}

/// The error for a form with two files.
#[must_use]
pub fn second_file() -> Invalid {
    twice("file")
}

pub(super) fn twice(name: &str) -> Invalid {
    Invalid::field(name, format!("The field '{name}' is there more than once."))
}

fn seconds(text: &str) -> Result<u64, Invalid> {
    let seconds = text.parse().ok().filter(|seconds| EXPIRY_SECONDS.contains(seconds));
    seconds.ok_or_else(|| {
        Invalid::field(SECONDS, format!("`{SECONDS}` is `{}`, expected 3600 to 2592000.", shortened(text)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[(&str, &str)]) -> Result<FileDetails, Invalid> {
        let mut form = FileForm::default();
        for (name, text) in fields {
            form.take(name, (*text).to_owned())?;
        }
        form.details()
    }

    #[test]
    fn a_form_says_when_its_file_expires() {
        let seconds = |fields: &[(&str, &str)]| read(fields).unwrap().expires_after;
        assert_eq!(seconds(&[("purpose", "user_data")]), None);
        assert_eq!(seconds(&[("purpose", "batch")]), Some(2_592_000));
        assert_eq!(seconds(&[(SECONDS, "3600"), (ANCHOR, "created_at"), ("purpose", "batch")]), Some(3_600));
    }

    #[test]
    fn a_wrong_form_is_refused_with_its_field() {
        for (fields, param) in [
            (&[][..], "purpose"),
            (&[("purpose", "fine-tune")], "purpose"),
            (&[("purpose", "batch"), ("purpose", "batch")], "purpose"),
            (&[("purpose", "batch"), (SECONDS, "3600")], ANCHOR),
            (&[("purpose", "batch"), (ANCHOR, "created_at")], SECONDS),
            (&[("purpose", "batch"), (ANCHOR, "last_active_at"), (SECONDS, "3600")], ANCHOR),
            (&[("purpose", "batch"), (ANCHOR, "created_at"), (SECONDS, "60")], SECONDS),
            (&[("purpose", "batch"), (ANCHOR, "created_at"), (SECONDS, "x")], SECONDS),
            (&[("purpose", "batch"), ("porpose", "batch")], "porpose"),
            (&[("file", "the content")], "file"),
        ] {
            assert_eq!(read(fields).unwrap_err().param.as_deref(), Some(param), "{fields:?}");
        }
    }
}
