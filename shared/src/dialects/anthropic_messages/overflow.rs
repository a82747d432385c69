//! The refusal of a prompt that is too long, as Claude Code reads it.

use std::borrow::Cow;

use crate::model::provider::PROMPT_TOO_LONG;

/// The words of Anthropic. Claude Code shortens its conversation after the first, and its `max_tokens` after the second.
const READ_BY_CLIENTS: [&str; 2] = ["prompt is too long", "exceed context limit"];

/// The least number that counts tokens. Smaller ones in a message are statuses, or count something else.
const LEAST_TOKENS: u64 = 1_000;

/// The message of an error with this code. If it is about a prompt that is too long, in the words of another provider, it
/// begins with those of Anthropic: clients read them, and no code.
pub(super) fn in_words_of_anthropic<'a>(message: &'a str, code: Option<&str>) -> Cow<'a, str> {
    let lower = message.to_lowercase();
    if code != Some(PROMPT_TOO_LONG) || READ_BY_CLIENTS.iter().any(|words| lower.contains(words)) {
        return message.into();
    }
    match counts(message) {
        Some((tokens, most)) => format!("prompt is too long: {tokens} tokens > {most} maximum. {message}").into(),
        None => format!("prompt is too long. {message}").into(),
    }
}

/// The tokens of the prompt and the most that the model takes, where the words around two numbers of the message say that they are these.
fn counts(message: &str) -> Option<(u64, u64)> {
    let words: Vec<&str> = message.split_whitespace().map(|word| word.trim_matches(['(', ')', '.', ','])).collect();
    let number = |word: &str| word.replace(',', "").parse::<u64>().ok().filter(|number| *number >= LEAST_TOKENS);
    let after = |before: &[&str], next: Option<&str>| {
        let (place, _) = words.iter().enumerate().skip(1).find(|(place, word)| {
            let is_followed = next.is_none_or(|next| words.get(place + 1) == Some(&next));
            before.contains(&words[place - 1]) && is_followed && number(word).is_some()
        })?;
        number(words[place])
    };
    let tokens = after(&["requested", "request", "contains"], Some("tokens"))?;
    let most = after(&["is", "size", "with"], None)?;
    (tokens > most).then_some((tokens, most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &str, begins: &str) {
        let written = in_words_of_anthropic(message, Some(PROMPT_TOO_LONG));
        assert_eq!(written, format!("{begins}. {message}"));
    }

    #[test]
    fn a_prompt_that_is_too_long_is_told_with_its_counts() {
        for message in [
            "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens (8000 in the messages, 1000 in the completion).",
            "Error code: 400 - the request (9,000 tokens) exceeds the available context size (8,192 tokens)",
            "Prompt contains 9000 tokens and 0 draft tokens, too large for devstral-2507 with 8192 maximum context length",
        ] {
            check(message, "prompt is too long: 9000 tokens > 8192 maximum");
        }
    }

    #[test]
    fn counts_that_a_message_does_not_tell_are_left_out() {
        for message in [
            "Please reduce the length of the messages or completion.",
            "This model's maximum context length is 8192 tokens.",
            "This model's maximum context length is 262144 tokens. However, you requested 32000 output tokens and your prompt contains at least 230145 input tokens",
            "'max_tokens' is too large: 32000. This model's maximum context length is 8192 tokens and your request has 5000 input tokens (32000 > 8192 - 5000)",
            "`inputs` tokens + `max_new_tokens` must be <= 8192. Given: 8000 `inputs` tokens and 1000 `max_new_tokens`",
        ] {
            check(message, "prompt is too long");
        }
    }

    #[test]
    fn other_messages_stay() {
        let long = "This model's maximum context length is 8192 tokens.";
        assert_eq!(in_words_of_anthropic(long, None), long);
        assert_eq!(in_words_of_anthropic(long, Some("invalid_value")), long);
        for message in [
            "prompt is too long: 214315 tokens > 200000 maximum",
            "The model returned the following errors: Prompt is too long",
            "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
        ] {
            assert_eq!(in_words_of_anthropic(message, Some(PROMPT_TOO_LONG)), message);
        }
    }
}
