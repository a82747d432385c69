//! What a client of Anthropic's API relies on: a stream says how it ended, and an error says whether to go on.

use serde_json::Value;

use super::{CheckResult, expect};
use crate::observations::Observations;
use crate::reply::Reply;

/// Checks an answer to a message that arrived to its end.
pub(crate) fn check(observed: &mut Observations, tenant: usize, reply: &Reply) {
    if !reply.is_whole {
        return;
    }
    let checked = match (reply.status, reply.is_stream()) {
        (200, true) => check_stream(&String::from_utf8_lossy(&reply.body)),
        (200, false) => {
            let kind = reply.json()["type"].clone();
            expect(kind == "message", || format!("an answer is no message: its type is {kind}"))
        }
        _ => check_error(reply),
    };
    if let Err(message) = checked {
        observed.violation("messages", format!("tenant {tenant}: {message}"));
    }
}

/// The SDKs take the part of a stream that has no end for a whole message.
fn check_stream(stream: &str) -> CheckResult {
    let named = |event: &str| event.lines().find_map(|line| line.strip_prefix("event: ")).map(str::to_owned);
    let names: Vec<String> = stream.split_terminator("\n\n").map(|event| named(event).unwrap_or_default()).collect();
    let is_end = |name: &&String| matches!(name.as_str(), "message_stop" | "error");
    let ends = names.iter().filter(is_end).count();
    expect(ends == 1 && names.last().filter(is_end).is_some(), || {
        format!("a stream must end once, with `message_stop` or `error`, and has {names:?}")
    })?;
    let starts = names.iter().filter(|name| *name == "message_start").count();
    expect(starts == 1 || names.len() == 1, || format!("a stream must start once, and has {names:?}"))
}

/// Claude Code goes on after each refusal but that of a spent budget, which it knows by its type.
fn check_error(reply: &Reply) -> CheckResult {
    let body = reply.json();
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (kind, code) = (text("/error/type"), text("/error/details/error_code"));
    expect(text("/type") == "error" && !kind.is_empty() && text("/request_id") == reply.header("request-id"), || {
        format!("{} has no envelope of Anthropic: {body}", reply.status)
    })?;
    let told = (reply.status, kind, reply.header("x-should-retry"));
    expect(code != "budget_exceeded" || told == (429, "billing_error", "false"), || {
        format!("a spent budget is told by {told:?}")
    })?;
    expect(kind != "billing_error" || code == "budget_exceeded", || format!("{code} is told as a spent budget"))
}
