//! Files in messages of Anthropic's API: `image` and `document` blocks whose source has the type `file`, also in results of tools.

use std::convert::Infallible;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::parts::{Visitor, content as visit_content, visit};
use super::{FileContent, Kind, NamedFile};
use crate::model::file::{File, ID_PREFIX, is_file_id, title_of};
use crate::model::invalid::Invalid;
use crate::model::media_type::{TEXT, is_image, is_text};
use crate::model::object::Object;

/// The files that the messages name.
pub(super) fn named(body: &Object) -> Vec<NamedFile> {
    let mut named = Vec::new();
    if body.text("messages").is_some_and(|text| text.contains(ID_PREFIX)) {
        let Ok(_) = each_block::<Infallible>(body, &mut |block, at| {
            named.extend(of_block(block).map(|(file_id, kind)| NamedFile { file_id, path: Some(id_path(at)), kind }));
            Ok(None)
        });
    }
    named
}

/// Checks that a block names a file of its kind.
///
/// # Errors
/// If it does not.
pub(super) fn check_type(named: &NamedFile, file: &File) -> Result<(), Invalid> {
    let block = match (named.kind, is_image(&file.media_type)) {
        (Kind::Image, false) => "document",
        (Kind::File, true) => "image",
        _ => return Ok(()),
    };
    let reason = format!(
        "the file '{}' has the type {}. Name it in a block of the type `{block}`",
        file.key.file_id, file.media_type
    );
    Err(named.invalid("unsupported_file", &reason))
}

/// The body with the contents in place of the ids.
///
/// # Errors
/// If a text is not UTF-8.
pub(super) fn fill<'a>(body: &Object, content: impl Fn(&str) -> Option<FileContent<'a>>) -> Result<Object, Invalid> {
    let filled = each_block(body, &mut |block, at| {
        let named = of_block(block).and_then(|(file_id, kind)| Some((content(&file_id)?, kind)));
        named.map(|(content, kind)| filled(block, at, kind, content)).transpose()
    })?;
    Ok(filled.unwrap_or_else(|| body.clone()))
}

/// Visits each block; of the result of a tool, each block in it.
fn each_block<E>(body: &Object, visitor: &mut Visitor<'_, E>) -> Result<Option<Object>, E> {
    visit(body, &mut |block, at| match block.get::<String>("type").as_deref() {
        Some("tool_result") => visit_content(block, at, visitor),
        _ => visitor(block, at),
    })
}

/// The file that a block names.
fn of_block(block: &Object) -> Option<(String, Kind)> {
    let kind = match block.get::<String>("type")?.as_str() {
        "image" => Kind::Image,
        "document" => Kind::File,
        _ => return None,
    };
    let source: Object = block.get("source")?;
    let is_file = source.get::<String>("type").is_some_and(|kind| kind == "file");
    let file_id: String = source.get("file_id").filter(|id: &String| is_file && is_file_id(id))?;
    Some((file_id, kind))
}

fn filled(block: &Object, at: &str, kind: Kind, content: FileContent<'_>) -> Result<Object, Invalid> {
    let FileContent { name, media_type, bytes } = content;
    let mut block = block.clone();
    if kind == Kind::File && is_text(media_type) {
        let text = std::str::from_utf8(bytes).map_err(|_| not_utf8(at, name))?;
        let source = Object::default().with("type", "text").with("media_type", TEXT).with("data", text);
        block.set("source", &source);
    } else {
        let data = STANDARD.encode(bytes);
        let source = Object::default().with("type", "base64").with("media_type", media_type).with("data", &data);
        block.set("source", &source);
    }
    // The model knows a file by its name.
    if kind == Kind::File && block.text("title").is_none_or(|title| title == "null") {
        block.set("title", title_of(name));
    }
    Ok(block)
}

fn not_utf8(at: &str, name: &str) -> Invalid {
    let path = id_path(at);
    let message = format!("Invalid value for '{path}': the text of the file `{name}` is not UTF-8.");
    Invalid { message, param: Some(path), code: Some("unsupported_file") }
}

fn id_path(at: &str) -> String {
    format!("{at}.source.file_id")
}
