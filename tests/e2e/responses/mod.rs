//! Responses that are made while the caller waits.

mod chain;
mod compaction;
mod deleting;
mod keys;
mod native;
mod stream;
mod whole;

use kit::{TestApp, send};
use serde_json::{Value, json};

pub(crate) const PATH: &str = "/v1/responses";

/// A request of the model `priced` that may write 100 tokens.
pub(crate) fn ask() -> Value {
    json!({"model": "priced", "input": "Hello", "max_output_tokens": 100})
}

/// `ask` with members of its own.
pub(crate) fn ask_with(members: Value) -> Value {
    let mut ask = ask();
    for (name, value) in members.as_object().unwrap() {
        ask[name] = value.clone();
    }
    ask
}

/// What it costs: 10 input tokens at 1 micro-dollar, 5 output tokens at 2.
pub(crate) const COST: u64 = 20;

/// The events of a stream; each is named by its type, and they are numbered from `first` without a gap.
pub(crate) fn events(text: &str, first: u64) -> Vec<Value> {
    let event = |(n, block): (usize, &str)| {
        let (name, data) = block.strip_prefix("event: ").and_then(|rest| rest.split_once("\ndata: ")).unwrap();
        let data: Value = serde_json::from_str(data).unwrap();
        assert_eq!((data["type"].as_str(), data["sequence_number"].as_u64()), (Some(name), Some(first + n as u64)));
        data
    };
    text.split_terminator("\n\n").enumerate().map(event).collect()
}

/// The words of the answer in a stream.
pub(crate) fn streamed_text(events: &[Value]) -> String {
    events
        .iter()
        .filter(|event| event["type"] == "response.output_text.delta")
        .filter_map(|event| event["delta"].as_str())
        .collect()
}

/// Text with the random part of every id taken out, the same id always for the same.
pub(crate) fn blotted(text: &str) -> String {
    let mut seen: Vec<&str> = Vec::new();
    let mut out = String::new();
    for word in text.split_inclusive(['"', '\'']) {
        let id = word.trim_end_matches(['"', '\'']);
        let prefix = ["resp_", "msg_", "fc_"].into_iter().find(|prefix| id.starts_with(prefix) && id.len() > 25);
        let Some(prefix) = prefix else {
            out.push_str(word);
            continue;
        };
        let n = seen.iter().position(|known| *known == id).unwrap_or_else(|| {
            seen.push(id);
            seen.len() - 1
        });
        out.push_str(&format!("{prefix}{}{}", n + 1, &word[id.len()..]));
    }
    out
}

/// The messages that the provider got with its last call, as `role: text`.
pub(crate) fn asked(app: &TestApp) -> Vec<String> {
    let body: Value = serde_json::from_slice(&app.first.calls().last().unwrap().body.to_bytes()).unwrap();
    let words = |message: &Value| {
        let content = &message["content"];
        let text = content.as_str().or_else(|| content[0]["text"].as_str()).unwrap_or_default();
        format!("{}: {text}", message["role"].as_str().unwrap_or_default())
    };
    body["messages"].as_array().unwrap().iter().map(words).collect()
}

/// Makes a response and returns its id.
pub(crate) async fn make(router: &axum::Router, key: &str, body: Value) -> String {
    let made = send(router, "POST", PATH, key, &[], body.to_string()).await;
    assert_eq!(made.status, 200, "{}", made.text());
    made.json()["id"].as_str().unwrap().to_owned()
}

/// Status of the answer to a GET.
pub(crate) async fn status(router: &axum::Router, key: &str, path: &str) -> u16 {
    send(router, "GET", path, key, &[], "").await.status
}
