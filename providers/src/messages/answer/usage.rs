//! The usage of a message.

use serde_json::json;
use shared::model::object::Object;
use shared::model::tokens::Usage;

/// The counts as Anthropic has them: the input has neither the tokens that the cache served nor those that it stored. Without a usage they
/// are 0, because clients read each of them.
pub(super) fn usage(usage: Option<Usage>) -> Object {
    let usage = usage.unwrap_or_default();
    let input = usage.input.saturating_sub(usage.cached_input).saturating_sub(usage.cache_write);
    let counts = Object::default()
        .with("input_tokens", &input)
        .with("cache_creation_input_tokens", &usage.cache_write)
        .with("cache_read_input_tokens", &usage.cached_input)
        .with("output_tokens", &usage.output);
    let counts = match usage.cache_write_1h.min(usage.cache_write) {
        0 => counts,
        hour => {
            let minutes = usage.cache_write - hour;
            let by_time = json!({"ephemeral_5m_input_tokens": minutes, "ephemeral_1h_input_tokens": hour});
            counts.with("cache_creation", &by_time)
        }
    };
    match usage.reasoning {
        0 => counts,
        thoughts => counts.with("output_tokens_details", &json!({"thinking_tokens": thoughts})),
    }
}
