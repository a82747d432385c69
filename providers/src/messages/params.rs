//! Names members in failures as the client of Anthropic's API wrote them.

use shared::model::provider::Failure;

/// Members of a chat completion, and those that they were written from.
const NAMES: [(&str, &str); 6] = [
    ("max_completion_tokens", "max_tokens"),
    ("parallel_tool_calls", "tool_choice.disable_parallel_tool_use"),
    ("reasoning_effort", "output_config.effort"),
    ("response_format", "output_config.format"),
    ("stop", "stop_sequences"),
    ("user", "metadata.user_id"),
];

/// The failure with the client's name of the member that it is about.
pub(super) fn renamed(mut failure: Failure) -> Failure {
    let param = match &mut failure {
        Failure::Unsupported { param, .. } => param,
        Failure::Refused { refusal, .. } => &mut refusal.param,
        _ => return failure,
    };
    *param = param.take().map(|param| name(&param).to_owned());
    failure
}

fn name(param: &str) -> &str {
    // The messages and tools of the chat completion have other numbers than those of the client.
    for list in ["messages", "tools"] {
        if param.strip_prefix(list).is_some_and(|rest| rest.starts_with(['[', '.'])) {
            return list;
        }
    }
    NAMES.iter().find(|(chat, _)| *chat == param).map_or(param, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_has_the_name_that_the_client_wrote() {
        for (param, expected) in [
            ("reasoning_effort", "output_config.effort"),
            ("max_completion_tokens", "max_tokens"),
            ("temperature", "temperature"),
            ("messages", "messages"),
            ("messages[3].content[1]", "messages"),
            ("tools.0.function", "tools"),
            ("tools_later", "tools_later"),
        ] {
            assert_eq!(name(param), expected);
        }
    }
}
