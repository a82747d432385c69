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
    if let Some((_, name)) = NAMES.iter().find(|(chat, _)| param.as_deref() == Some(chat)) {
        *param = Some((*name).to_owned());
    }
    failure
}
