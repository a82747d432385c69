//! The uploaded files that model calls name: found before a call is admitted, and read after that, just before its provider is called.

mod memory;

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

pub(super) use memory::Room;

use super::error::Error;
use crate::data::{FileRecords, StoreError, Stores};
use crate::dialects::input_files::InputFiles;
use crate::dialects::openai_chat::Body;
use crate::model::clock::Clock;
use crate::model::file::{File, FileKey, MAX_INPUT_BYTES};
use crate::model::forbidden::Forbidden;
use crate::model::long_work::long_work;
use crate::model::media_type::is_text;
use crate::model::object::Object;
use crate::model::project::Caller;
use crate::model::scope::Scope;
use memory::FileMemory;

/// The most bytes of a text as JSON: what other contents take as base64.
const MAX_TEXT_JSON: u64 = MAX_INPUT_BYTES / 3 * 4;
/// The files of one call that are read at the same time.
const READ_AT_ONCE: usize = 8;

/// Finds and reads the files that calls name.
#[derive(Clone)]
pub(super) struct CallFiles {
    records: FileRecords,
    memory: FileMemory,
    clock: Clock,
}

impl CallFiles {
    pub(super) fn new(stores: &Stores, clock: Clock) -> Self {
        Self { records: stores.files(), memory: FileMemory::new(), clock }
    }

    /// Finds the files that a caller's call names, so that the call can be bounded. A call without files needs no store.
    ///
    /// # Errors
    /// `Forbidden` if the caller's key may not read files; `Invalid` if the caller's project does not have one of them, or the call
    /// cannot have them.
    pub(super) async fn find_for(&self, caller: &Caller, body: &mut Body) -> Result<(), Error> {
        let found = self.look_up_for(caller, &body.files).await?;
        Ok(body.take_files(found)?)
    }

    /// Finds the files that a call of a project names.
    ///
    /// # Errors
    /// `Invalid` if the project does not have one of them, or the call cannot have them.
    pub(super) async fn find(&self, project_id: &str, body: &mut Body) -> Result<(), Error> {
        let found = self.look_up(project_id, &body.files).await?;
        Ok(body.take_files(found)?)
    }

    /// Looks up files that a caller names, by their ids. Leaves out those that its project does not have.
    ///
    /// # Errors
    /// `Forbidden` if the caller's key may not read files; `Invalid` if there are too many.
    pub(super) async fn look_up_for(
        &self,
        caller: &Caller,
        files: &InputFiles,
    ) -> Result<HashMap<String, File>, Error> {
        if !files.is_empty() {
            require_files_read(caller)?;
        }
        self.look_up(&caller.project.id, files).await
    }

    async fn look_up(&self, project_id: &str, files: &InputFiles) -> Result<HashMap<String, File>, Error> {
        files.check_number()?;
        let now = self.clock.now();
        let get = async |file_id: &str| -> Result<Option<File>, StoreError> {
            let key = FileKey { project_id: project_id.to_owned(), file_id: file_id.to_owned() };
            self.records.get(&key, now).await
        };
        let found = try_join_all(files.ids().into_iter().map(get)).await?;
        Ok(found.into_iter().flatten().map(|file| (file.key.file_id.clone(), file)).collect())
    }

    /// Waits until there is memory for the files of a project's call.
    pub(super) async fn room(&self, project_id: &str, body: &Body) -> Room {
        self.memory.room(project_id, body.files.bytes()).await
    }

    /// Memory for the files of a project's call. `None`: other calls have it.
    pub(super) fn try_room(&self, project_id: &str, body: &Body) -> Option<Room> {
        self.memory.try_room(project_id, body.files.bytes())
    }

    /// `object`, which was made from `body`, with the contents of the files that were found in place of their ids.
    ///
    /// # Errors
    /// `Invalid` if a file was deleted since it was found, or is not what its type says.
    pub(super) async fn fill(&self, body: &Body, object: &Object) -> Result<Object, Error> {
        if body.files.is_empty() {
            return Ok(object.clone());
        }
        let read = async |file: &File| Ok::<_, Error>((file.key.file_id.clone(), self.read(body, file).await?));
        let contents: HashMap<String, Bytes> =
            stream::iter(body.files.files()).map(read).buffer_unordered(READ_AT_ONCE).try_collect().await?;
        let bytes = usize::try_from(body.files.bytes()).unwrap_or(usize::MAX);
        Ok(long_work(bytes, || body.with_files(object, &contents))?)
    }

    async fn read(&self, body: &Body, file: &File) -> Result<Bytes, Error> {
        // The call may have waited since the file was found.
        if file.has_expired(self.clock.now()) {
            return Err(body.files.not_found(&file.key.file_id).into());
        }
        match self.read_whole(file).await {
            Ok(content) if is_text(&file.media_type) && json_length(&content) > MAX_TEXT_JSON => {
                Err(body.files.too_large(&file.key.file_id).into())
            }
            Ok(content) => Ok(content),
            Err(error) => match self.records.get(&file.key, self.clock.now()).await? {
                Some(_) => Err(error.into()),
                None => Err(body.files.not_found(&file.key.file_id).into()),
            },
        }
    }

    async fn read_whole(&self, file: &File) -> Result<Bytes, StoreError> {
        let mut pieces = self.records.read(file, None).await?;
        let mut content = BytesMut::with_capacity(usize::try_from(file.bytes).unwrap_or_default());
        while let Some(piece) = pieces.next().await {
            content.extend_from_slice(&piece?);
        }
        Ok(content.freeze())
    }
}

/// Checks that a caller's key may read files.
pub(super) fn require_files_read(caller: &Caller) -> Result<(), Forbidden> {
    if caller.rights.allow_scope(Scope::FilesRead) {
        return Ok(());
    }
    let has = caller.rights.scopes.clone().unwrap_or_default();
    Err(Forbidden::Scope { missing: Scope::FilesRead, has })
}

/// The bytes of a text as a string of JSON, without its quotes.
fn json_length(text: &[u8]) -> u64 {
    let length = |byte: &u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..0x20 => 6,
        _ => 1,
    };
    text.iter().map(length).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_as_long_as_its_json() {
        for text in ["", "Hello", "a\"b\\c\n\r\t\u{8}\u{c}", "\u{1}\u{1f}\u{7f}", "é\u{2028}"] {
            assert_eq!(json_length(text.as_bytes()) + 2, serde_json::to_string(text).unwrap().len() as u64, "{text:?}");
        }
    }
}
