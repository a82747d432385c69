//! Results of tools that the client ran.

use shared::model::object::Object;
use shared::model::provider::Failure;

use super::content::{Part, PartKind, mark, marked};
use super::{blocks, required};

/// The result of a call.
pub(super) struct ToolResult {
    /// The id of the call.
    pub id: String,
    /// The text, for the message of the tool.
    pub text: Vec<Part>,
    /// Images and files, which a message of a tool cannot have. A line in front of them says where they belong.
    pub attached: Vec<Part>,
}

/// Stands for the text of a result that has only images or files.
const ATTACHED: &str = "The result follows in the next message.";

pub(super) fn read(block: &Object, at: &str) -> Result<ToolResult, Failure> {
    let id: String = required(block, "tool_use_id", at)?;
    let mut parts = Vec::new();
    if block.text("content").is_some_and(|text| text != "null") {
        for (index, block) in blocks::of_content(block, "content", at)?.iter().enumerate() {
            parts.extend(blocks::parts(block, &format!("{at}.content[{index}]"))?);
        }
    }
    let (mut text, mut attached): (Vec<_>, Vec<_>) = marked(parts, mark(block)).into_iter().partition(Part::is_text);
    if text.is_empty() {
        text.push(Part::text(if attached.is_empty() { "" } else { ATTACHED }));
    }
    if block.get("is_error").unwrap_or(false) {
        say_that_it_failed(&mut text);
    }
    if !attached.is_empty() {
        attached.insert(0, Part::text(format!("Result of the tool call `{id}`:")));
    }
    Ok(ToolResult { id, text, attached })
}

/// A chat completion has no member for it.
fn say_that_it_failed(text: &mut [Part]) {
    if let Some(Part { kind: PartKind::Text(first), .. }) = text.first_mut() {
        first.insert_str(0, "Error: ");
    }
}
