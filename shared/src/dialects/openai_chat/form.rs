//! The fields of forms with files. Their texts become the members of an object, so that everything that reads a call's JSON reads a
//! form as well.

use serde_json::value::RawValue;

use crate::dialects::body::{missing, shortened};
use crate::dialects::unknown::unknown;
use crate::model::form::{Form, Upload, Uploads};
use crate::model::invalid::Invalid;
use crate::model::object::Object;
use crate::model::provider::Endpoint;

/// What a field holds. A form has only texts and files, so the name of a field decides.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    /// `true` or `false`.
    Flag,
    /// Texts, of which each is a field: `name[]`, or `name` as often.
    Texts,
    File,
    /// At most so many, named like texts.
    Files(usize),
}

impl Kind {
    /// Whether a form may name it with brackets.
    fn is_list(self) -> bool {
        matches!(self, Self::Texts | Self::Files(_))
    }

    fn is_file(self) -> bool {
        matches!(self, Self::File | Self::Files(_))
    }
}

type Field = (&'static str, Kind);

/// The fields of an endpoint. Which texts are needed is checked with the object.
struct Fields {
    needed_file: &'static str,
    known: &'static [Field],
}

const EDIT: Fields = Fields {
    needed_file: "image",
    known: &[
        ("image", Kind::Files(16)),
        ("mask", Kind::File),
        ("prompt", Kind::Text),
        ("model", Kind::Text),
        ("n", Kind::Number),
        ("size", Kind::Text),
        ("quality", Kind::Text),
        ("input_fidelity", Kind::Text),
        ("background", Kind::Text),
        ("moderation", Kind::Text),
        ("output_format", Kind::Text),
        ("output_compression", Kind::Number),
        ("response_format", Kind::Text),
        ("stream", Kind::Flag),
        ("partial_images", Kind::Number),
        ("user", Kind::Text),
    ],
};

const TRANSCRIPTION: Fields = Fields {
    needed_file: "file",
    known: &[
        ("file", Kind::File),
        ("model", Kind::Text),
        ("language", Kind::Text),
        ("languages", Kind::Texts),
        ("keywords", Kind::Texts),
        ("prompt", Kind::Text),
        ("response_format", Kind::Text),
        ("temperature", Kind::Number),
        ("include", Kind::Texts),
        ("timestamp_granularities", Kind::Texts),
        (CHUNKING, Kind::Text),
        ("known_speaker_names", Kind::Texts),
        ("known_speaker_references", Kind::Texts),
        ("stream", Kind::Flag),
    ],
};

const TRANSLATION: Fields = Fields {
    needed_file: "file",
    known: &[
        ("file", Kind::File),
        ("model", Kind::Text),
        ("prompt", Kind::Text),
        ("response_format", Kind::Text),
        ("temperature", Kind::Number),
    ],
};

/// The only field that can be an object. A form names its members `chunking_strategy[type]`.
const CHUNKING: &str = "chunking_strategy";
const CHUNKING_MEMBERS: &[Field] = &[
    ("type", Kind::Text),
    ("prefix_padding_ms", Kind::Number),
    ("silence_duration_ms", Kind::Number),
    ("threshold", Kind::Number),
];

/// Reads the fields of an endpoint: the texts as an object, and the files.
///
/// # Errors
/// If a field is unknown, a file is missing or empty, a text is where a file belongs, a field that has one value is there twice, or
/// a number or a flag is none.
pub(super) fn read_form(endpoint: Endpoint, form: Form) -> Result<(Object, Uploads), Invalid> {
    let fields = match endpoint {
        Endpoint::ImageEdits => EDIT,
        Endpoint::Translations => TRANSLATION,
        _ => TRANSCRIPTION,
    };
    let mut members = Members::default();
    for (name, text) in form.texts {
        members.add(&fields, &name, text)?;
    }
    let uploads = form.files.into_iter().map(|upload| of_field(&fields, upload)).collect::<Result<Vec<_>, _>>()?;
    check_files(&fields, &uploads)?;
    Ok((members.into_object(), uploads.into()))
}

impl Fields {
    /// The field that a name such as `image` or `image[]` means.
    fn named(&self, sent: &str) -> Result<Field, Invalid> {
        let (name, has_brackets) = sent.strip_suffix("[]").map_or((sent, false), |name| (name, true));
        let fits = |field: &&Field| field.0 == name && (field.1.is_list() || !has_brackets);
        self.known.iter().find(fits).copied().ok_or_else(|| unknown("", sent, names(self.known)))
    }

    /// The member of the chunking strategy that a name means; `None` if it is the name of a field.
    fn chunking_member<'a>(&self, sent: &'a str) -> Option<&'a str> {
        let member = sent.strip_prefix(CHUNKING)?.strip_prefix('[')?.strip_suffix(']')?;
        let has_strategy = self.known.iter().any(|(name, _)| *name == CHUNKING);
        (has_strategy && !member.is_empty()).then_some(member)
    }
}

fn names(fields: &'static [Field]) -> impl Iterator<Item = &'static str> {
    fields.iter().map(|(name, _)| *name)
}

/// The members of an object while it grows.
#[derive(Default)]
struct Members {
    single: Object,
    lists: Vec<(&'static str, Vec<String>)>,
    chunking: Object,
}

impl Members {
    fn add(&mut self, fields: &Fields, sent: &str, text: String) -> Result<(), Invalid> {
        if let Some(member) = fields.chunking_member(sent) {
            return self.add_to_chunking(member, sent, &text);
        }
        let (name, kind) = fields.named(sent)?;
        match kind {
            Kind::File | Kind::Files(_) => Err(not_a_file(sent)),
            Kind::Texts => {
                match self.lists.iter_mut().find(|(listed, _)| *listed == name) {
                    Some((_, texts)) => texts.push(text),
                    None => self.lists.push((name, vec![text])),
                }
                Ok(())
            }
            _ if name == CHUNKING && !self.chunking.is_empty() => Err(twice(name)),
            _ => put(&mut self.single, name, sent, value(kind, sent, &text)?),
        }
    }

    fn add_to_chunking(&mut self, member: &str, sent: &str, text: &str) -> Result<(), Invalid> {
        if self.single.text(CHUNKING).is_some() {
            return Err(twice(CHUNKING));
        }
        let found = CHUNKING_MEMBERS.iter().find(|(known, _)| *known == member);
        let (name, kind) = found.ok_or_else(|| unknown(CHUNKING, member, names(CHUNKING_MEMBERS)))?;
        put(&mut self.chunking, name, sent, value(*kind, sent, text)?)
    }

    fn into_object(self) -> Object {
        let mut object = self.single;
        for (name, texts) in &self.lists {
            object.set(name, texts);
        }
        if !self.chunking.is_empty() {
            object.set(CHUNKING, &self.chunking);
        }
        object
    }
}

/// Sets a member that must not be there yet.
fn put(object: &mut Object, name: &str, sent: &str, value: Box<RawValue>) -> Result<(), Invalid> {
    if object.text(name).is_some() {
        return Err(twice(sent));
    }
    object.set_raw(name, value);
    Ok(())
}

/// The JSON of a text.
fn value(kind: Kind, sent: &str, text: &str) -> Result<Box<RawValue>, Invalid> {
    let wrong = |expected: &str| {
        let shown = shortened(text);
        Invalid::field(sent, format!("Invalid value for '{sent}': '{shown}' is not {expected}."))
    };
    let is_number = || serde_json::from_str::<serde_json::Number>(text).is_ok();
    let json = match kind {
        Kind::Number if is_number() => text.trim().to_owned(),
        Kind::Number => return Err(wrong("a number")),
        Kind::Flag if matches!(text, "true" | "false") => text.to_owned(),
        Kind::Flag => return Err(wrong("true or false")),
        _ => return serde_json::value::to_raw_value(text).map_err(|_| wrong("a text")),
    };
    RawValue::from_string(json).map_err(|_| wrong("a value of JSON"))
}

/// Checks that a file is one that the endpoint takes, and names its field without brackets.
fn of_field(fields: &Fields, upload: Upload) -> Result<Upload, Invalid> {
    let sent = upload.field.as_str();
    let (name, kind) = fields.named(sent)?;
    if !kind.is_file() {
        return Err(Invalid::field(sent, format!("The field '{sent}' must be a text; it was sent as a file.")));
    }
    if upload.bytes.is_empty() {
        return Err(Invalid::field(sent, format!("The file of '{sent}' is empty.")));
    }
    Ok(Upload { field: name.to_owned(), ..upload })
}

/// Checks the number of files of each field.
fn check_files(fields: &Fields, uploads: &[Upload]) -> Result<(), Invalid> {
    let count = |name: &str| uploads.iter().filter(|upload| upload.field == name).count();
    if count(fields.needed_file) == 0 {
        return Err(missing(fields.needed_file));
    }
    for (name, kind) in fields.known {
        match (kind, count(name)) {
            (Kind::File, 2..) => return Err(twice(name)),
            (Kind::Files(most), count) if count > *most => {
                let message = format!("Invalid value for '{name}': there are {count} files, expected at most {most}.");
                return Err(Invalid::field(*name, message));
            }
            _ => {}
        }
    }
    Ok(())
}

fn twice(sent: &str) -> Invalid {
    Invalid::field(sent, format!("The field '{sent}' is there more than once."))
}

fn not_a_file(sent: &str) -> Invalid {
    let message =
        format!("The field '{sent}' must be a file: its part needs a 'filename' (with curl: -F '{sent}=@path').");
    Invalid::field(sent, message)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn file(field: &str, bytes: &'static [u8]) -> Upload {
        let (name, content_type) = ("a.wav".to_owned(), None);
        Upload { field: field.to_owned(), name, content_type, bytes: Bytes::from_static(bytes) }
    }

    fn form(texts: &[(&str, &str)], files: Vec<Upload>) -> Form {
        let texts = texts.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        Form { texts, files }
    }

    fn read(endpoint: Endpoint, texts: &[(&str, &str)], files: Vec<Upload>) -> Result<String, (String, String)> {
        read_form(endpoint, form(texts, files))
            .map(|(object, _)| String::from_utf8(object.to_bytes().to_vec()).unwrap())
            .map_err(|wrong| (wrong.param.unwrap_or_default(), wrong.message))
    }

    #[test]
    fn texts_become_the_values_that_their_fields_have() {
        let texts = [
            ("model", "7"),
            ("temperature", " 0.50"),
            ("timestamp_granularities[]", "word"),
            ("stream", "false"),
            ("timestamp_granularities[]", "segment"),
            ("keywords", "a"),
            ("keywords", "b"),
            ("chunking_strategy[type]", "server_vad"),
            ("chunking_strategy[threshold]", "0.5"),
        ];
        let expected = r#"{"model":"7","temperature":0.50,"stream":false,"timestamp_granularities":["word","segment"],"keywords":["a","b"],"chunking_strategy":{"type":"server_vad","threshold":0.5}}"#;
        assert_eq!(read(Endpoint::Transcriptions, &texts, vec![file("file", b"a")]).unwrap(), expected);
        let auto = read(Endpoint::Transcriptions, &[("chunking_strategy", "auto")], vec![file("file", b"a")]);
        assert_eq!(auto.unwrap(), r#"{"chunking_strategy":"auto"}"#);
    }

    #[test]
    fn images_may_be_a_list_and_a_mask_is_one() {
        for files in [vec![file("image", b"a")], vec![file("image[]", b"a"), file("image[]", b"b"), file("mask", b"c")]]
        {
            assert!(read(Endpoint::ImageEdits, &[], files).is_ok());
        }
        let many = |field: &str, count: usize| (0..count).map(|_| file(field, b"a")).collect::<Vec<_>>();
        let refused = |files: Vec<Upload>| read(Endpoint::ImageEdits, &[], files).unwrap_err();
        assert_eq!(
            refused(many("image[]", 17)).1,
            "Invalid value for 'image': there are 17 files, expected at most 16."
        );
        assert_eq!(
            refused([many("image", 1), many("mask", 2)].concat()).1,
            "The field 'mask' is there more than once."
        );
    }

    #[test]
    fn a_wrong_field_is_named() {
        let sound = || vec![file("file", b"a")];
        for (texts, files, param, reason) in [
            (vec![("langauge", "de")], sound(), "langauge", "Did you mean 'language'?"),
            (vec![("model[]", "m")], sound(), "model[]", "Unknown parameter"),
            (vec![("language[a]", "m")], sound(), "language[a]", "Unknown parameter"),
            (vec![("chunking_strategy[typ]", "m")], sound(), "chunking_strategy.typ", "Did you mean"),
            (vec![("chunking_strategy[]", "m")], sound(), "chunking_strategy[]", "Unknown parameter"),
            (vec![("model", "a"), ("model", "b")], sound(), "model", "more than once"),
            (vec![(CHUNKING, "auto"), ("chunking_strategy[type]", "a")], sound(), CHUNKING, "more than once"),
            (vec![("chunking_strategy[type]", "a"), (CHUNKING, "auto")], sound(), CHUNKING, "more than once"),
            (vec![("temperature", "hot")], sound(), "temperature", "'hot' is not a number"),
            (vec![("temperature", "NaN")], sound(), "temperature", "'NaN' is not a number"),
            (vec![("temperature", "1}")], sound(), "temperature", "'1}' is not a number"),
            (vec![("stream", "yes")], sound(), "stream", "'yes' is not true or false"),
            (vec![("file", "a.wav")], Vec::new(), "file", "must be a file"),
            (vec![("model", "m")], Vec::new(), "file", "Missing required parameter: 'file'."),
            (vec![], vec![file("file", b"")], "file", "is empty"),
            (vec![], vec![file("file", b"a"), file("file", b"b")], "file", "more than once"),
            (vec![], vec![file("file", b"a"), file("model", b"b")], "model", "must be a text"),
            (vec![], vec![file("file", b"a"), file("picture", b"b")], "picture", "Unknown parameter"),
        ] {
            let (found, message) = read(Endpoint::Transcriptions, &texts, files).unwrap_err();
            assert_eq!(found, param, "{message}");
            assert!(message.contains(reason), "{message}");
        }
    }
}
