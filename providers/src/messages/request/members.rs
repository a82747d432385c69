//! The members of a call: those that are translated, those that only tune Anthropic's servers, and all others.

use shared::model::object::Object;
use shared::model::provider::Failure;

use super::extra;

/// Members that other functions of this module write.
const TRANSLATED: [&str; 14] = [
    "model",
    "messages",
    "system",
    "max_tokens",
    "tools",
    "tool_choice",
    "stop_sequences",
    "stream",
    "temperature",
    "top_p",
    "metadata",
    "thinking",
    "output_config",
    "output_format",
];

/// Members without which the answer means the same: how Anthropic stores and shortens the input, where and how fast it runs the model,
/// and what it samples from, which `temperature` and `top_p` narrow already.
const LEFT_OUT: [&str; 6] =
    ["context_management", "service_tier", "diagnostics", "cache_control", "inference_geo", "top_k"];

/// # Errors
/// `Unsupported` for a member whose absence would change the answer.
pub(super) fn check(body: &Object) -> Result<(), Failure> {
    for (name, text) in body.members().filter(|(_, text)| *text != "null") {
        let is_fine = TRANSLATED.contains(&name)
            || LEFT_OUT.contains(&name)
            || (name == "speed" && body.get::<String>(name).as_deref() == Some("standard"))
            || (name == "mcp_servers" && text == "[]");
        if !is_fine {
            return Err(extra(name));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_would_change_the_answer_is_refused_by_name() {
        let check = |member: &str| check(&Object::parse(format!("{{{member}}}").as_bytes()).unwrap());
        for fine in [
            r#""model":"a","max_tokens":1,"messages":[]"#,
            r#""context_management":{"edits":[]},"service_tier":"auto","top_k":5,"speed":"standard""#,
            r#""mcp_servers":[],"container":null"#,
        ] {
            assert!(check(fine).is_ok(), "{fine}");
        }
        for name in ["mcp_servers", "container", "speed", "later"] {
            let failure = check(&format!(r#""model":"a","{name}":["b"]"#)).unwrap_err();
            assert_eq!(failure.to_string(), format!("{name}: Extra inputs are not permitted"));
            assert!(matches!(failure, Failure::Unsupported { param: Some(param), .. } if param == name));
        }
    }
}
