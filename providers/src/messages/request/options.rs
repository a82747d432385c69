//! The members of a call other than its messages and tools.

use serde_json::value::RawValue;
use shared::model::object::Object;
use shared::model::provider::Failure;

use super::history::History;
use super::{Accepts, present, refuse_others, required};
use crate::conversation::{invalid_request, unsupported};

/// The longest name of an end user that OpenAI takes, in characters.
const MAX_USER_CHARS: usize = 64;

/// The limit of output tokens.
///
/// # Errors
/// `Unsupported` if it is 0, by which Anthropic only stores the input. `Refused` if it is no count.
pub(super) fn limit(body: &Object) -> Result<Option<u64>, Failure> {
    match present(body, "max_tokens", "")? {
        Some(0) => {
            let what = "max_tokens: 0, which only stores the input, is not supported by this provider";
            Err(unsupported("max_tokens", what))
        }
        limit => Ok(limit),
    }
}

/// Writes `stop`, `temperature`, `top_p`, `user`, `reasoning_effort` and `response_format`.
///
/// # Errors
/// `Unsupported` for a member that only Anthropic's servers can follow. `Refused` if a member is invalid.
pub(super) fn write(body: &Object, history: &History, accepts: Accepts, chat: &mut Object) -> Result<(), Failure> {
    let stops: Vec<String> = present(body, "stop_sequences", "")?.unwrap_or_default();
    if !stops.is_empty() {
        chat.set("stop", &stops);
    }
    for name in ["temperature", "top_p"] {
        if let Some(value) = present::<Box<RawValue>>(body, name, "")? {
            chat.set_raw(name, value);
        }
    }
    let metadata: Object = present(body, "metadata", "")?.unwrap_or_default();
    let user: Option<String> = metadata.get("user_id");
    if let Some(user) = user.filter(|user| user.chars().count() <= MAX_USER_CHARS) {
        chat.set("user", &user);
    }
    let config: Object = present(body, "output_config", "")?.unwrap_or_default();
    refuse_others(&config, "output_config", &["effort", "format", "task_budget"])?;
    if let Some(effort) = effort(body, &config, history, accepts)? {
        chat.set("reasoning_effort", effort);
    }
    if let Some(format) = format(body, &config)? {
        chat.set("response_format", &format);
    }
    Ok(())
}

/// The effort that is asked for. A call that forbids to think gets the effort `none` where it is known, and no other: that a model does not
/// think by default is likelier than that it has this effort.
fn effort(
    body: &Object,
    config: &Object,
    history: &History,
    accepts: Accepts,
) -> Result<Option<&'static str>, Failure> {
    let thinking: Object = present(body, "thinking", "")?.unwrap_or_default();
    let kind = thinking.get::<String>("type").unwrap_or_default();
    let named = history.effort.clone().or(present(config, "effort", "output_config")?);
    Ok(match (kind.as_str(), named.as_deref()) {
        ("disabled", _) => accepts.every_effort.then_some("none"),
        (_, Some("low")) => Some("low"),
        (_, Some("medium")) => Some("medium"),
        (_, Some("high")) => Some("high"),
        (_, Some("max")) if accepts.every_effort => Some("max"),
        (_, Some("xhigh" | "max")) => Some("xhigh"),
        (_, Some(other)) => {
            let message = format!("output_config.effort: `{other}` is no effort");
            return Err(invalid_request("output_config.effort", message));
        }
        ("enabled", None) => Some(of_budget(required(&thinking, "budget_tokens", "thinking")?)),
        ("" | "adaptive" | "between_tools", None) => None,
        (other, None) => {
            return Err(unsupported(
                "thinking.type",
                format!("thinking.type: `{other}` is not supported by this provider"),
            ));
        }
    })
}

/// The effort for a budget of thoughts.
fn of_budget(tokens: u64) -> &'static str {
    match tokens {
        0..2_048 => "low",
        2_048..8_192 => "medium",
        _ => "high",
    }
}

/// The format of the answer, which older clients send as `output_format`.
fn format(body: &Object, config: &Object) -> Result<Option<Object>, Failure> {
    let (format, at) = match present::<Object>(config, "format", "output_config")? {
        Some(format) => (format, "output_config.format"),
        None => match present(body, "output_format", "")? {
            Some(format) => (format, "output_format"),
            None => return Ok(None),
        },
    };
    let kind: String = required(&format, "type", at)?;
    if kind != "json_schema" {
        return Err(unsupported(at, format!("{at}: the format `{kind}` is not supported by this provider")));
    }
    let mut schema = Object::default().with("name", "output").with("strict", &true);
    schema.set_raw("schema", required(&format, "schema", at)?);
    Ok(Some(Object::default().with("type", "json_schema").with("json_schema", &schema)))
}
