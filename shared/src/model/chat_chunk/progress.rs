//! Whether the arguments of a call are whole.

use crate::model::object::Object;

/// How far the arguments of a call are. Each byte is looked at once, and a whole object once more.
#[derive(Debug)]
pub struct Progress(State);

#[derive(Debug)]
enum State {
    Growing(Nesting),
    /// They are a JSON object, and only spaces may follow.
    Whole,
    /// They are no JSON object, whatever follows; also the input of a custom tool.
    Broken,
}

/// Where text is within a JSON object.
#[derive(Debug, Default)]
struct Nesting {
    depth: usize,
    in_string: bool,
    is_escaped: bool,
}

impl Default for Progress {
    fn default() -> Self {
        Self(State::Growing(Nesting::default()))
    }
}

impl Progress {
    /// That of any text. Its end is not seen in the text.
    #[must_use]
    pub fn of_any_text() -> Self {
        Self(State::Broken)
    }

    /// Looks at a piece. `arguments` ends with it.
    pub fn see(&mut self, piece: &str, arguments: &str) {
        let is_decided = match &mut self.0 {
            State::Growing(nesting) => nesting.ends_in(piece),
            State::Whole => !piece.trim().is_empty(),
            State::Broken => false,
        };
        if is_decided {
            let is_object = Object::parse(arguments.as_bytes()).is_ok();
            self.0 = if is_object { State::Whole } else { State::Broken };
        }
    }

    /// Whether the arguments are a complete JSON object, so that nothing can follow.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        matches!(self.0, State::Whole)
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
