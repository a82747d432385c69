//! Files in a chat call: `{"type": "file", "file": {"file_id"}}`, and `{"type": "image_url", "image_url": {"file_id"}}`, which OpenAI does
//! not have: an `input_image` of a response becomes such a part.

use std::convert::Infallible;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::parts::visit;
use super::{FileContent, Kind, NamedFile};
use crate::model::file::{ID_PREFIX, is_file_id};
use crate::model::media_type::is_image;
use crate::model::object::Object;

/// The files that the messages name.
pub(super) fn named(body: &Object) -> Vec<NamedFile> {
    let mut named = Vec::new();
    if body.text("messages").is_some_and(|text| text.contains(ID_PREFIX)) {
        let Ok(_) = visit::<Infallible>(body, &mut |part, at| {
            named.extend(of_part(part).map(|Named { file_id, kind, member }| NamedFile {
                file_id,
                path: Some(format!("{at}.{member}.file_id")),
                kind,
            }));
            Ok(None)
        });
    }
    named
}

/// The body with the contents in place of the ids.
pub(super) fn fill<'a>(body: &Object, content: impl Fn(&str) -> Option<FileContent<'a>>) -> Object {
    let Ok(filled) = visit::<Infallible>(body, &mut |part, _| {
        Ok(of_part(part).and_then(|Named { file_id, member, .. }| Some(filled(part, member, content(&file_id)?))))
    });
    filled.unwrap_or_else(|| body.clone())
}

struct Named {
    file_id: String,
    kind: Kind,
    /// The member of the part that has the id.
    member: &'static str,
}

/// The file that a part names. A part that has its content names none.
fn of_part(part: &Object) -> Option<Named> {
    let (kind, member, content) = match part.get::<String>("type")?.as_str() {
        "file" => (Kind::File, "file", "file_data"),
        "image_url" => (Kind::Image, "image_url", "url"),
        _ => return None,
    };
    let source: Object = part.get(member)?;
    let has_content = source.text(content).is_some_and(|text| text != "null");
    let file_id: String = source.get("file_id").filter(|id: &String| !has_content && is_file_id(id))?;
    Some(Named { file_id, kind, member })
}

/// The part with a content. The content decides on the type of the part: OpenAI's servers take no image as a file.
fn filled(part: &Object, member: &str, FileContent { name, media_type, bytes }: FileContent<'_>) -> Object {
    let source: Object = part.get(member).unwrap_or_default();
    let data = format!("data:{media_type};base64,{}", STANDARD.encode(bytes));
    let mut part = part.clone();
    part.remove(member);
    if is_image(media_type) {
        let mut image = Object::default().with("url", &data);
        if let Some(detail) = source.get::<String>("detail") {
            image.set("detail", &detail);
        }
        return part.with("type", "image_url").with("image_url", &image);
    }
    let name = source.get::<String>("filename").unwrap_or_else(|| name.to_owned());
    let file = Object::default().with("filename", &name).with("file_data", &data);
    part.with("type", "file").with("file", &file)
}
