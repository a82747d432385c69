//! Uploaded files that a model call names by their ids, and the call with their contents in place of the ids.
//!
//! Only ids of weir's own shape are read. A chat call or a message passes others on, because they may be the provider's.

mod chat;
mod messages;
mod parts;

use std::collections::HashMap;

use bytes::Bytes;

use crate::model::file::{File, MAX_INPUT_BYTES, MAX_NAMED_FILES};
use crate::model::invalid::Invalid;
use crate::model::media_type::{is_image, is_text};
use crate::model::object::Object;

/// The API whose shape a body has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dialects) enum Dialect {
    Chat,
    Messages,
}

/// A place of a body that names a file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct NamedFile {
    file_id: String,
    /// The path of the id; `None` if it is in an earlier turn, which the body of the client does not have.
    path: Option<String>,
    /// What the part or the block says that the file is.
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Image,
    File,
}

/// The files that a body names.
#[derive(Debug, Clone, Default)]
pub struct InputFiles {
    named: Vec<NamedFile>,
    /// By their ids; empty until [`InputFiles::found`].
    files: HashMap<String, File>,
}

/// For what stands around a text: the block that has it in the request.
const FRAME_BYTES: u64 = 100;

/// What the contents of named files are, beyond what their places say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::dialects) struct Recount {
    /// Images in places of files, less the other way round.
    pub images: i64,
    /// The bytes of the texts that the model gets as text, and the number of their places.
    pub text_bytes: u64,
    pub texts: u64,
}

impl InputFiles {
    /// The files that a body names.
    pub(in crate::dialects) fn named(dialect: Dialect, body: &Object) -> Self {
        let named = match dialect {
            Dialect::Chat => chat::named(body),
            Dialect::Messages => messages::named(body),
        };
        Self { named, files: HashMap::new() }
    }

    /// Files by their ids, and the paths of those that are not named by earlier turns only.
    pub(in crate::dialects) fn of_ids(ids: impl Iterator<Item = String>, paths: &HashMap<String, String>) -> Self {
        let named = ids.map(|file_id| NamedFile { path: paths.get(&file_id).cloned(), file_id, kind: Kind::File });
        Self { named: named.collect(), files: HashMap::new() }
    }

    /// Checks that `found` has all files.
    ///
    /// # Errors
    /// If one is missing.
    pub fn check_all(&self, found: &HashMap<String, File>) -> Result<(), Invalid> {
        match self.ids().into_iter().find(|file_id| !found.contains_key(*file_id)) {
            Some(missing) => Err(self.not_found(missing)),
            None => Ok(()),
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    /// The path of the first place.
    #[must_use]
    pub fn first_path(&self) -> Option<&str> {
        self.named.first()?.path.as_deref()
    }

    /// The ids, each once.
    #[must_use]
    pub fn ids(&self) -> Vec<&str> {
        let mut ids: Vec<&str> = self.named.iter().map(|named| named.file_id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Replaces the paths by these, by the ids of their files. Files without one are named by earlier turns only.
    pub(in crate::dialects) fn rename(&mut self, paths: &HashMap<String, String>) {
        for named in &mut self.named {
            named.path = paths.get(&named.file_id).cloned();
        }
    }

    /// Checks that the body does not name too many files.
    ///
    /// # Errors
    /// If it names more than [`MAX_NAMED_FILES`].
    pub fn check_number(&self) -> Result<(), Invalid> {
        if self.named.len() <= MAX_NAMED_FILES {
            return Ok(());
        }
        let reason = format!(
            "the request names uploaded files in {} places, expected at most {MAX_NAMED_FILES}",
            self.named.len()
        );
        Err(self.named[MAX_NAMED_FILES].invalid("too_many_files", &reason))
    }

    /// The error for a file that is not there.
    #[must_use]
    pub fn not_found(&self, file_id: &str) -> Invalid {
        let reason =
            format!("no file found with id '{file_id}'. The project has none, or it was deleted or has expired");
        match self.named.iter().find(|named| named.file_id == file_id) {
            Some(named) => named.invalid("file_not_found", &reason),
            None => Invalid { message: reason, param: None, code: Some("file_not_found") },
        }
    }

    /// The error for a text that is too large in the request, because JSON escapes its characters.
    #[must_use]
    pub fn too_large(&self, file_id: &str) -> Invalid {
        let reason = format!(
            "the text of '{file_id}' has so many control characters, quotes or backslashes that it is too large in JSON"
        );
        match self.named.iter().find(|named| named.file_id == file_id) {
            Some(named) => named.invalid("file_too_large", &reason),
            None => Invalid { message: reason, param: None, code: Some("file_too_large") },
        }
    }

    /// Takes the files that were found, and checks that the call can have them.
    ///
    /// # Errors
    /// If one is missing, if they are too large together, or if a place wants another type of file.
    pub(in crate::dialects) fn found(
        &mut self,
        dialect: Dialect,
        files: HashMap<String, File>,
    ) -> Result<Recount, Invalid> {
        let (mut recount, mut bytes) = (Recount::default(), 0_u64);
        for named in &self.named {
            let file = files.get(&named.file_id).ok_or_else(|| self.not_found(&named.file_id))?;
            bytes = bytes.saturating_add(file.bytes);
            if bytes > MAX_INPUT_BYTES {
                let limit = MAX_INPUT_BYTES >> 20;
                let reason = format!("the files of the request have more than {limit} MB up to this one together");
                return Err(named.invalid("file_too_large", &reason));
            }
            match dialect {
                Dialect::Chat => recount.images += named.more_images(file),
                Dialect::Messages => {
                    messages::check_type(named, file)?;
                    if named.kind == Kind::File && is_text(&file.media_type) {
                        recount.texts += 1;
                        recount.text_bytes += file.bytes + file.filename.len() as u64 + FRAME_BYTES;
                    }
                }
            }
        }
        self.files = files;
        Ok(recount)
    }

    /// The file with an id, if it was found.
    #[must_use]
    pub fn file(&self, file_id: &str) -> Option<&File> {
        self.files.get(file_id)
    }

    /// The files that were found.
    pub fn files(&self) -> impl Iterator<Item = &File> {
        self.files.values()
    }

    /// The bytes of all places together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.named.iter().filter_map(|named| self.files.get(&named.file_id)).map(|file| file.bytes).sum()
    }

    /// The body with `contents`, by their ids, in place of the ids.
    ///
    /// # Errors
    /// If a content is not what its type says.
    pub(in crate::dialects) fn fill(
        &self,
        dialect: Dialect,
        body: &Object,
        contents: &HashMap<String, Bytes>,
    ) -> Result<Object, Invalid> {
        let content = |file_id: &str| {
            let (file, bytes) = (self.files.get(file_id)?, contents.get(file_id)?);
            Some(FileContent { name: &file.filename, media_type: &file.media_type, bytes })
        };
        match dialect {
            Dialect::Chat => Ok(chat::fill(body, content)),
            Dialect::Messages => messages::fill(body, content),
        }
    }
}

/// The content of a file.
#[derive(Clone, Copy)]
struct FileContent<'a> {
    name: &'a str,
    media_type: &'a str,
    bytes: &'a Bytes,
}

impl NamedFile {
    fn more_images(&self, file: &File) -> i64 {
        match (self.kind, is_image(&file.media_type)) {
            (Kind::File, true) => 1,
            (Kind::Image, false) => -1,
            _ => 0,
        }
    }

    /// The error for this place. `reason` completes the sentence.
    fn invalid(&self, code: &'static str, reason: &str) -> Invalid {
        let message = match &self.path {
            Some(path) => format!("Invalid value for '{path}': {reason}."),
            None => format!("An earlier item cannot be used: {reason}."),
        };
        Invalid { message, param: self.path.clone(), code: Some(code) }
    }
}

#[cfg(test)]
mod tests;
