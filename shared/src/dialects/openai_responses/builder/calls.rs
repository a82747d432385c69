//! The calls of tools in a response while their pieces come.

use std::collections::HashMap;

use super::chunk::CallPiece;
use super::halves::Halves;
use crate::dialects::openai_responses::tools::{ToolKind, ToolName};
use crate::dialects::openai_responses::view;
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

/// How far the arguments of a call are. Each byte is looked at once, and a whole object once more.
enum Progress {
    Growing(Nesting),
    /// They are a JSON object, and only spaces may follow.
    Whole,
    /// They are no JSON object, whatever follows; also the input of a custom tool.
    Broken,
}

/// Where text is within a JSON object.
#[derive(Default)]
struct Nesting {
    depth: usize,
    in_string: bool,
    is_escaped: bool,
}

impl Call {
    /// A call without arguments.
    pub(super) fn new(call_id: String, name: ToolName, kind: ToolKind) -> Self {
        // The end of any text is not seen in the text.
        let progress = if kind == ToolKind::Custom { Progress::Broken } else { Progress::Growing(Nesting::default()) };
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
        let is_decided = match &mut self.progress {
            Progress::Growing(nesting) => nesting.ends_in(piece),
            Progress::Whole => !piece.trim().is_empty(),
            Progress::Broken => false,
        };
        if is_decided {
            let is_object = Object::parse(self.arguments.as_bytes()).is_ok();
            self.progress = if is_object { Progress::Whole } else { Progress::Broken };
        }
    }

    /// Whether the arguments are a complete JSON object, so that nothing can follow.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.progress, Progress::Whole)
    }
}

impl Nesting {
    /// Reads a piece. Returns whether the outermost object or list ends in it.
    fn ends_in(&mut self, piece: &str) -> bool {
        piece.bytes().any(|byte| self.ends_with(byte))
    }

    fn ends_with(&mut self, byte: u8) -> bool {
        match byte {
            _ if self.is_escaped => self.is_escaped = false,
            b'\\' if self.in_string => self.is_escaped = true,
            b'"' => self.in_string = !self.in_string,
            _ if self.in_string => {}
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                return self.depth == 0;
            }
            _ => {}
        }
        false
    }
}

/// The latest call for each way in which a piece may name it: by index and id, by one of them, or by neither.
#[derive(Default)]
pub(super) struct KnownCalls(HashMap<(Option<u64>, Option<String>), usize>);

impl KnownCalls {
    /// The item of the call that a piece belongs to. A call begins with its name: a piece without one continues the call with its
    /// index, whatever its id. Some servers make a new id for each piece.
    pub(super) fn find(&self, piece: &CallPiece) -> Option<usize> {
        let continues = || match (piece.index, name_of(piece)) {
            (Some(index), None) => self.0.get(&(Some(index), None)),
            _ => None,
        };
        self.0.get(&(piece.index, provider_id(piece))).or_else(continues).copied()
    }

    /// Remembers the call that begins with this piece.
    pub(super) fn add(&mut self, piece: &CallPiece, item: usize) {
        let id = provider_id(piece);
        for name in [(piece.index, id.clone()), (piece.index, None), (None, id), (None, None)] {
            self.0.insert(name, item);
        }
    }
}

/// The name of the tool that a piece begins to call. An empty one counts as none.
pub(super) fn name_of(piece: &CallPiece) -> Option<&str> {
    piece.called()?.name.as_deref().filter(|name| !name.is_empty())
}

/// The provider's id of the call. An empty one counts as none.
pub(super) fn provider_id(piece: &CallPiece) -> Option<String> {
    piece.id.clone().filter(|id| !id.is_empty())
}
