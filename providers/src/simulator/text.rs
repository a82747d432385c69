//! The simulator's texts and its counting.

use serde_json::Value;

/// The most characters of the request that an answer repeats.
const MAX_ECHO_CHARS: usize = 2_000;
/// The longest token in characters.
const MAX_TOKEN_CHARS: usize = 12;

/// The simulator's answer to `messages`.
pub(super) fn reply(messages: &[Value]) -> String {
    let said = |role: &str| messages.iter().rev().find(|message| message["role"] == role).map(content);
    let last_is_tool = messages.last().is_some_and(|message| message["role"] == "tool");
    let heard = match said("tool").filter(|_| last_is_tool) {
        Some(result) => format!("The tool said: {}", echo(&result)),
        None => format!("You said: {}", echo(&said("user").unwrap_or_default())),
    };
    format!("This is weir's simulator, not a model. {heard}")
}

/// The simulator's continuation of a prompt.
pub(super) fn continuation(prompt: &str) -> String {
    format!(" This is weir's simulator, not a model. The prompt was: {}", echo(prompt))
}

/// Answer number `n` of several ends with its number.
pub(super) fn numbered(text: &str, n: usize) -> String {
    if n == 0 { text.to_owned() } else { format!("{text} ({})", n + 1) }
}

fn echo(text: &str) -> String {
    text.trim().chars().take(MAX_ECHO_CHARS).collect()
}

/// The text of a message: its content, or the texts of its parts.
pub(super) fn content(message: &Value) -> String {
    match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts: Vec<_> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
            texts.join("\n")
        }
        _ => String::new(),
    }
}

/// Cuts `text` into the simulator's tokens: words of at most 12 characters with the space before them.
///
/// Joined, the tokens are the text again. There are never more tokens than bytes.
pub(super) fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut start = 0;
    let mut length = 0;
    let mut in_word = false;
    for (at, character) in text.char_indices() {
        let ends_word = in_word && character.is_whitespace();
        if ends_word || length == MAX_TOKEN_CHARS {
            tokens.push(&text[start..at]);
            (start, length, in_word) = (at, 0, false);
        }
        in_word |= !character.is_whitespace();
        length += 1;
    }
    if start < text.len() {
        tokens.push(&text[start..]);
    }
    tokens
}

/// The number of tokens of `text`.
pub(super) fn count(text: &str) -> u64 {
    tokens(text).len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_put_together_are_the_text() {
        for text in ["", " ", "a", "Hello, world!", "  two  spaces ", "schön\n\nübel", &"x".repeat(30)] {
            let tokens = tokens(text);
            assert_eq!(tokens.concat(), text);
            assert!(tokens.len() <= text.len(), "{tokens:?}");
        }
        assert_eq!(tokens("one two\nthree"), ["one", " two", "\nthree"]);
    }
}
