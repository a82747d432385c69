//! The calls of tools in a response while their pieces come.

use crate::dialects::openai_responses::tools::{ToolKind, ToolName};
use crate::dialects::openai_responses::view;
use crate::model::chat_chunk::{Halves, Progress};
use crate::model::object::Object;

/// A call of a tool that grows with the stream.
pub(super) struct Call {
    pub call_id: String,
    pub name: ToolName,
    pub kind: ToolKind,
    /// The input of a custom tool is any text.
    pub arguments: String,
    pub halves: Halves,
    progress: Progress,
}

impl Call {
    /// A call without arguments.
    pub(super) fn new(call_id: String, name: ToolName, kind: ToolKind) -> Self {
        let progress = if kind == ToolKind::Custom { Progress::of_any_text() } else { Progress::default() };
        Self { call_id, name, kind, arguments: String::new(), halves: Halves::default(), progress }
    }

    /// The prefix of the ids of such items.
    pub(super) fn prefix(&self) -> &'static str {
        match self.kind {
            ToolKind::Function => "fc_",
            ToolKind::Custom => "ctc_",
            ToolKind::Search => "tsc_",
        }
    }

    /// The `type` of such items.
    pub(super) fn item_type(&self) -> &'static str {
        match self.kind {
            ToolKind::Function => view::CALL,
            ToolKind::Custom => view::CUSTOM_CALL,
            ToolKind::Search => view::SEARCH_CALL,
        }
    }

    /// Adds its members to the `head` of its item.
    pub(super) fn json(&self, head: Object) -> Object {
        let named = |item: Object| {
            let item = item.with("call_id", &self.call_id).with("name", &self.name.name);
            match &self.name.namespace {
                Some(namespace) => item.with("namespace", namespace),
                None => item,
            }
        };
        match self.kind {
            ToolKind::Function => named(head.with("arguments", &self.arguments)),
            ToolKind::Custom => named(head.with("input", &self.arguments)),
            ToolKind::Search => {
                // Clients read the arguments as an object. Those of a call that was cut off are none.
                let arguments = Object::parse(self.arguments.as_bytes()).unwrap_or_default();
                head.with("call_id", &self.call_id).with("execution", "client").with("arguments", &arguments)
            }
        }
    }

    /// Adds a piece of the arguments.
    pub(super) fn argue(&mut self, piece: &str) {
        self.arguments.push_str(piece);
        self.progress.see(piece, &self.arguments);
    }

    /// Whether the arguments are a complete JSON object, so that nothing can follow.
    pub(super) fn is_whole(&self) -> bool {
        self.progress.is_whole()
    }
}
