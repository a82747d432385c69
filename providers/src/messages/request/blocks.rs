//! Blocks that have something to read: texts, images, documents, results of searches.

use serde_json::value::RawValue;
use shared::model::object::Object;
use shared::model::provider::Failure;

use super::content::{Part, PartKind, mark, marked};
use super::{document, required, tool_changes};
use crate::conversation::{invalid_request, unsupported};

/// The blocks of a content: a text, or a list.
pub(super) fn of_content(object: &Object, name: &str, at: &str) -> Result<Vec<Object>, Failure> {
    let content: Box<RawValue> = required(object, name, at)?;
    if content.get().starts_with('[') {
        return required(object, name, at);
    }
    let text: String = required(object, name, at)?;
    Ok(vec![Object::default().with("type", "text").with("text", &text)])
}

/// The type of a block.
pub(super) fn kind(block: &Object, at: &str) -> Result<String, Failure> {
    required(block, "type", at)
}

/// The parts for a block of any role.
///
/// # Errors
/// `Unsupported` for a type that only Anthropic's servers understand, or that weir does not know.
pub(super) fn parts(block: &Object, at: &str) -> Result<Vec<Part>, Failure> {
    let kind = kind(block, at)?;
    let parts = match kind.as_str() {
        "text" => text(required(block, "text", at)?),
        "image" => vec![image(block, at)?],
        "document" => document::parts(block, at)?,
        "search_result" => vec![search_result(block, at)?],
        "tool_reference" => {
            let name: String = required(block, "tool_name", at)?;
            vec![Part::text(format!("The tool `{name}` is available."))]
        }
        "tool_addition" | "tool_removal" => tool_changes::parts(block, &kind),
        // A summary of what came before. Without text it failed.
        "compaction" => text(block.get("content").unwrap_or_default()),
        _ => {
            return Err(unsupported(
                at,
                format!("{at}: blocks of the type `{kind}` are not supported by this provider"),
            ));
        }
    };
    Ok(marked(parts, mark(block)))
}

/// Providers refuse empty texts.
fn text(text: String) -> Vec<Part> {
    if text.is_empty() { Vec::new() } else { vec![Part::text(text)] }
}

fn image(block: &Object, at: &str) -> Result<Part, Failure> {
    let source: Object = required(block, "source", at)?;
    let at = format!("{at}.source");
    let kind: String = required(&source, "type", &at)?;
    let url = match kind.as_str() {
        "base64" => data_url(&source, &at)?,
        "url" => required(&source, "url", &at)?,
        _ => {
            return Err(unsupported(
                &at,
                format!("{at}: images of the type `{kind}` are not supported by this provider"),
            ));
        }
    };
    Ok(PartKind::Image(url).into())
}

/// The data of a source in base64 as a URL.
pub(super) fn data_url(source: &Object, at: &str) -> Result<String, Failure> {
    let media_type: String = required(source, "media_type", at)?;
    let data: String = required(source, "data", at)?;
    if media_type.contains([',', ';']) {
        return Err(invalid_request(
            format!("{at}.media_type"),
            format!("{at}.media_type: `{media_type}` is no media type"),
        ));
    }
    Ok(format!("data:{media_type};base64,{data}"))
}

/// Its texts below its title and its source.
fn search_result(block: &Object, at: &str) -> Result<Part, Failure> {
    let mut lines: Vec<String> = vec![required(block, "title", at)?, required(block, "source", at)?];
    for (index, block) in of_content(block, "content", at)?.iter().enumerate() {
        lines.push(required(block, "text", &format!("{at}.content[{index}]"))?);
    }
    Ok(Part::text(lines.join("\n")))
}
