//! `weir providers`: shows the targets of a deployment's models and their circuit breakers, over its admin API.

use std::fmt::Write as _;

use serde_json::Value;
use shared::model::clock::Clock;

use crate::client::{Client, ClientError, Deployment};

/// Returns the table to print.
///
/// # Errors
/// If there is no admin key, or if the deployment cannot be reached or refuses.
pub async fn providers(deployment: &Deployment) -> Result<String, ClientError> {
    let list = Client::admin(deployment)?.get(&["providers"], &[]).await?;
    Ok(table(&list, Clock::system().now().seconds()))
}

/// `now` is in Unix seconds.
fn table(list: &Value, now: u64) -> String {
    let mut table =
        format!("{:<11}{:>8}{:>8}  {:<12}{:>10}  {}\n", "STATE", "FAILED", "OF", "CAUSE", "OPEN FOR", "TARGET");
    for target in list["data"].as_array().into_iter().flatten() {
        let text = |name: &str| target[name].as_str().unwrap_or("-").to_owned();
        let number = |name: &str| target[name].as_u64().map_or("-".to_owned(), |number| number.to_string());
        let left = target["open_until"].as_u64().map(|until| until.saturating_sub(now)).filter(|left| *left > 0);
        let serves: Vec<&str> = target["serves"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let _ = writeln!(
            table,
            "{:<11}{:>8}{:>8}  {:<12}{:>10}  {}/{} ({})",
            text("state"),
            number("failures"),
            number("calls"),
            text("cause"),
            left.map_or("-".to_owned(), |left| format!("{left} s")),
            text("provider"),
            text("model"),
            serves.join(", ")
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_shows_a_target_and_why_it_is_open() {
        let closed = json!({
            "provider": "openai", "model": "gpt-5-mini", "serves": ["fast", "cheap"], "state": "closed",
            "failures": null, "calls": null, "cause": null, "open_until": null,
        });
        let open = json!({
            "provider": "local", "model": "llama", "serves": ["llama"], "state": "open",
            "failures": 12, "calls": 14, "cause": "unreachable", "open_until": 1_795_366_815_u64,
        });
        let expected = "\
STATE        FAILED      OF  CAUSE         OPEN FOR  TARGET
closed            -       -  -                    -  openai/gpt-5-mini (fast, cheap)
open             12      14  unreachable       15 s  local/llama (llama)
";
        assert_eq!(table(&json!({"object": "list", "data": [closed, open]}), 1_795_366_800), expected);
    }
}
