//! Documents.

use shared::model::object::Object;
use shared::model::provider::Failure;

use super::content::{Part, PartKind};
use super::{blocks, required};
use crate::conversation::unsupported;

/// The name of a file without a title. Servers want one.
const UNNAMED: &str = "document.pdf";

/// The parts for a document: a file, or its text and images below its title and context.
///
/// # Errors
/// `Unsupported` if the document is not in the request: a chat completion has no URLs of files.
pub(super) fn parts(block: &Object, at: &str) -> Result<Vec<Part>, Failure> {
    let source: Object = required(block, "source", at)?;
    let at = format!("{at}.source");
    let kind: String = required(&source, "type", &at)?;
    let title: Option<String> = block.get("title");
    let context = block.get::<String>("context").map(Part::text);
    let named = || title.clone().map(Part::text).into_iter().chain(context.clone());
    Ok(match kind.as_str() {
        "base64" => {
            let name = title.clone().unwrap_or_else(|| UNNAMED.to_owned());
            let file = PartKind::File { name, data: blocks::data_url(&source, &at)? };
            context.into_iter().chain([file.into()]).collect()
        }
        "text" => {
            let data: String = required(&source, "data", &at)?;
            named().chain([Part::text(data)]).collect()
        }
        "content" => {
            let mut parts: Vec<Part> = named().collect();
            for (index, block) in blocks::of_content(&source, "content", &at)?.iter().enumerate() {
                parts.extend(blocks::parts(block, &format!("{at}.content[{index}]"))?);
            }
            parts
        }
        _ => {
            let what = format!("{at}: documents of the type `{kind}` are not supported by this provider");
            return Err(unsupported(at, what));
        }
    })
}
