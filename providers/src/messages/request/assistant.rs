//! Messages of the assistant.

use shared::model::object::Object;
use shared::model::provider::Failure;
use shared::model::reasoning::ReasoningDetails;

use super::content::{Part, content};
use super::{Accepts, blocks, required, server_tools};
use crate::conversation::invalid_request;

/// What the assistant said in one turn.
#[derive(Default)]
pub(super) struct Assistant {
    parts: Vec<Part>,
    /// The thoughts that weir told the client. Those that Anthropic signed are for Anthropic only.
    thoughts: String,
    /// The reasoning that the model wants back.
    details: ReasoningDetails,
    /// The calls as the chat completion has them.
    calls: Vec<Object>,
}

impl Assistant {
    /// Adds the block at the place `at`.
    ///
    /// # Errors
    /// `Unsupported` for a type that only Anthropic's servers understand, or that weir does not know.
    pub(super) fn add(&mut self, block: &Object, at: &str) -> Result<(), Failure> {
        let kind = blocks::kind(block, at)?;
        match kind.as_str() {
            "thinking" => self.think(block),
            "tool_use" => self.calls.push(call(block, at)?),
            "redacted_thinking" => self.details.extend(carried(block, "data").unwrap_or_default()),
            "server_tool_use" | "fallback" => {}
            kind if server_tools::is_result(kind) && !kind.starts_with("mcp_") => {
                self.parts.extend(server_tools::parts(block, kind));
            }
            _ => self.parts.extend(blocks::parts(block, at)?),
        }
        Ok(())
    }

    fn think(&mut self, block: &Object) {
        if let Some(details) = carried(block, "signature") {
            self.thoughts.push_str(&block.get::<String>("thinking").unwrap_or_default());
            self.details.extend(details);
        }
    }

    pub(super) fn calls_tools(&self) -> bool {
        !self.calls.is_empty()
    }

    /// The message; `None` if it would be empty.
    pub(super) fn message(&self, accepts: Accepts) -> Option<Object> {
        if self.parts.is_empty() && self.calls.is_empty() {
            return None;
        }
        let mut message = Object::default().with("role", "assistant");
        // The blocks of an answer are pieces of one text.
        match self.parts.is_empty() {
            true => message.set("content", &()),
            false => message.set("content", &content(&self.parts, "", accepts.marks)),
        }
        if accepts.thoughts && !self.thoughts.is_empty() {
            message.set("reasoning_content", &self.thoughts);
        }
        if !self.details.is_empty() {
            message.set("reasoning_details", &self.details);
        }
        if !self.calls.is_empty() {
            message.set("tool_calls", &self.calls);
        }
        Some(message)
    }
}

/// The reasoning that weir wrote into a member of a block.
fn carried(block: &Object, member: &str) -> Option<ReasoningDetails> {
    ReasoningDetails::from_carrier(&block.get::<String>(member)?)
}

/// A call of a tool that the client runs.
fn call(block: &Object, at: &str) -> Result<Object, Failure> {
    let id: String = required(block, "id", at)?;
    let name: String = required(block, "name", at)?;
    let arguments = block.text("input").filter(|input| input.starts_with('{')).ok_or_else(|| {
        invalid_request(format!("{at}.input"), format!("{at}.input: Input should be a valid dictionary"))
    })?;
    let function = Object::default().with("name", &name).with("arguments", arguments);
    Ok(Object::default().with("id", &id).with("type", "function").with("function", &function))
}
