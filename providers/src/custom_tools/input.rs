//! Reads the input of a custom tool out of the arguments of its function, piece by piece.

use super::INPUT;

/// The arguments of one call so far.
#[derive(Debug, Default)]
pub(super) struct Input {
    state: State,
    /// Text that was not returned yet: the beginning of the arguments, or of an escape.
    held: String,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    /// Before the string: `{"input":"`.
    #[default]
    Before,
    Within,
    After,
    /// These are not the arguments that the function asks for. They are the input as they are.
    Other,
}

impl Input {
    /// The part of the input that a piece of the arguments has.
    pub(super) fn push(&mut self, piece: &str) -> String {
        self.held.push_str(piece);
        if self.state == State::Before {
            self.begin();
        }
        match self.state {
            State::Before | State::After => String::new(),
            State::Other => std::mem::take(&mut self.held),
            State::Within => self.within(),
        }
    }

    /// Returns the text that `push` has held back, when no more arguments come.
    pub(super) fn end(&mut self) -> String {
        match self.state {
            State::Before => std::mem::take(&mut self.held),
            _ => String::new(),
        }
    }

    /// Looks for the beginning of the string.
    fn begin(&mut self) {
        let member = format!("\"{INPUT}\"");
        let mut rest = self.held.as_str();
        for token in ["{", &member, ":", "\""] {
            rest = rest.trim_start();
            match rest.strip_prefix(token) {
                Some(after) => rest = after,
                // It may go on with the next piece.
                None if token.starts_with(rest) => return,
                None => {
                    self.state = State::Other;
                    return;
                }
            }
        }
        self.held = rest.to_owned();
        self.state = State::Within;
    }

    /// Takes the text up to the end of the string, or up to an escape that is not whole.
    fn within(&mut self) -> String {
        let (length, is_end) = whole_length(&self.held);
        let text = format!("\"{}\"", &self.held[..length]);
        self.held.drain(..length);
        if is_end {
            self.state = State::After;
        }
        // A server may have left a line break or a wrong escape in the string.
        serde_json::from_str(&text).unwrap_or_else(|_| text[1..text.len() - 1].to_owned())
    }
}

/// The length of the text that can be read by itself, and whether the string ends behind it.
fn whole_length(text: &str) -> (usize, bool) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return (at, true),
            b'\\' => match escape_length(&bytes[at..]) {
                Some(length) => at += length,
                None => return (at, false),
            },
            _ => at += 1,
        }
    }
    (at, false)
}

/// The length of an escape at the beginning of `bytes`; `None` if it is not whole. Two halves of a surrogate pair are one.
fn escape_length(bytes: &[u8]) -> Option<usize> {
    if *bytes.get(1)? != b'u' {
        return Some(2);
    }
    let digits = bytes.get(2..6)?;
    let is_first_half =
        digits[0].eq_ignore_ascii_case(&b'd') && matches!(digits[1].to_ascii_lowercase(), b'8' | b'9' | b'a' | b'b');
    match is_first_half {
        true => bytes.get(..12).map(<[u8]>::len),
        false => Some(6),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The input, read in pieces of at most `size` bytes.
    fn read(arguments: &str, size: usize) -> String {
        let mut input = Input::default();
        let (mut rest, mut read) = (arguments, String::new());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.ceil_char_boundary(size.min(rest.len())));
            read.push_str(&input.push(piece));
            rest = after;
        }
        read + &input.end()
    }

    #[test]
    fn other_arguments_are_the_input() {
        for (arguments, expected) in [
            (r#" { "input" : "a\nb" } "#, "a\nb"),
            (r#"{"input":"a","more":1}"#, "a"),
            (r#"{"input":"a"#, "a"),
            (r#"{"input":"\ud83d\ude00\u00e9""#, "😀é"),
            (r#"{"patch":"a"}"#, r#"{"patch":"a"}"#),
            (r#"{"input":["a"]}"#, r#"{"input":["a"]}"#),
            ("*** Begin Patch", "*** Begin Patch"),
            ("{\"input\":\"a\nb\"}", "a\nb"),
            (r#"{"inp"#, r#"{"inp"#),
            ("", ""),
        ] {
            for size in [1, 2, 3, 5, 100] {
                assert_eq!(read(arguments, size), expected, "{arguments} by {size}");
            }
        }
    }

    proptest! {
        #[test]
        fn every_input_survives_in_pieces_of_any_size(text in "\\PC*", size in 1_usize..20) {
            let arguments = serde_json::json!({INPUT: text}).to_string();
            prop_assert_eq!(read(&arguments, size), text);
        }
    }
}
