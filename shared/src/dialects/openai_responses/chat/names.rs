//! The names that members of a chat call have in the request for a response.
//!
//! Providers and the checks of chat calls name a member by its path in the chat call, which the caller of a response never
//! wrote.

use std::borrow::Cow;

/// The path in a request for a response of the member that has the path `chat` in its chat call.
///
/// A message of the chat call is not one item of `input`: earlier turns and instructions are before it. So all of them are
/// `input`.
#[must_use]
pub fn path_in_request(chat: &str) -> String {
    let (name, rest) = chat.split_at(chat.find(['.', '[']).unwrap_or(chat.len()));
    match name {
        "messages" => "input".to_owned(),
        "max_tokens" | "max_completion_tokens" => format!("max_output_tokens{rest}"),
        "reasoning_effort" => format!("reasoning.effort{rest}"),
        "reasoning_summary" => format!("reasoning.summary{rest}"),
        "verbosity" => format!("text.verbosity{rest}"),
        "response_format" => format!("text.format{}", rest.strip_prefix(".json_schema").unwrap_or(rest)),
        "logprobs" => "include".to_owned(),
        "tools" | "tool_choice" => format!("{name}{}", without_kind(rest)),
        _ => chat.to_owned(),
    }
}

/// A chat call has the members of a tool in an object of its own.
fn without_kind(path: &str) -> Cow<'_, str> {
    for kind in [".function", ".custom"] {
        let Some((before, after)) = path.split_once(kind) else { continue };
        if after.is_empty() || after.starts_with('.') {
            return Cow::Owned(format!("{before}{after}"));
        }
    }
    Cow::Borrowed(path)
}

/// The message of an error with the paths that it quotes as [`path_in_request`] names them.
#[must_use]
pub fn message_in_request(message: &str) -> String {
    let mut written = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(at) = rest.find(['\'', '"', '`']) {
        let (before, quoted) = rest.split_at(at);
        let (quote, after) = quoted.split_at(1);
        written.push_str(before);
        written.push_str(quote);
        rest = after;
        if let Some(end) = after.find(quote).filter(|end| is_path(&after[..*end])) {
            written.push_str(&path_in_request(&after[..end]));
            written.push_str(quote);
            rest = &after[end + 1..];
        }
    }
    written + rest
}

fn is_path(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'[' | b']');
    !text.is_empty() && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_the_callers_names() {
        for (chat, expected) in [
            ("reasoning_effort", "reasoning.effort"),
            ("reasoning_summary", "reasoning.summary"),
            ("verbosity", "text.verbosity"),
            ("response_format", "text.format"),
            ("response_format.type", "text.format.type"),
            ("response_format.json_schema", "text.format"),
            ("response_format.json_schema.schema", "text.format.schema"),
            ("max_tokens", "max_output_tokens"),
            ("max_completion_tokens", "max_output_tokens"),
            ("messages", "input"),
            ("messages[3].content[0].image_url.url", "input"),
            ("tools[1].function.parameters", "tools[1].parameters"),
            ("tools[1].custom", "tools[1]"),
            ("tools[1].functions", "tools[1].functions"),
            ("tools", "tools"),
            ("tool_choice.function.name", "tool_choice.name"),
            ("temperature", "temperature"),
            ("", ""),
        ] {
            assert_eq!(path_in_request(chat), expected, "{chat}");
            assert_eq!(path_in_request(expected), expected, "{expected}");
        }
    }

    #[test]
    fn a_message_quotes_the_callers_names() {
        for (message, expected) in [
            ("Unsupported value: 'reasoning_effort' is no.", "Unsupported value: 'reasoning.effort' is no."),
            ("`messages[0].role` and \"verbosity\"", "`input` and \"text.verbosity\""),
            ("It doesn't know 'max_tokens'.", "It doesn't know 'max_output_tokens'."),
            ("max_tokens: 5 > 4, 'a b' `", "max_tokens: 5 > 4, 'a b' `"),
            ("'é' 'messages", "'é' 'messages"),
            ("", ""),
        ] {
            assert_eq!(message_in_request(message), expected);
        }
    }
}
