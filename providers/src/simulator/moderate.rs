//! Simulated moderation: nothing is ever flagged.

use serde_json::{Map, Value, json};
use shared::model::provider::{Failure, ProviderRequest, Reply, Whole};
use shared::model::tokens::Usage;

use super::invalid_request;
use crate::answer::to_bytes;

const MAX_INPUTS: usize = 2_048;

const CATEGORIES: [&str; 13] = [
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
];

pub(super) fn moderate(call: &ProviderRequest, fingerprint: &str) -> Result<Reply, Failure> {
    let inputs = match call.body.get::<Value>("input") {
        Some(Value::String(_)) => 1,
        // The parts of one message get one result. Each string gets its own.
        Some(Value::Array(parts)) if parts.iter().all(Value::is_object) => 1,
        Some(Value::Array(texts)) if texts.len() <= MAX_INPUTS && texts.iter().all(Value::is_string) => texts.len(),
        _ => {
            return Err(invalid_request(
                "input",
                "`input` must be a string, an array of at most 2048 strings, or an array of parts",
            ));
        }
    };
    let results = vec![result(); inputs];
    let id = format!("modr-sim-{}", fingerprint.get(..24).unwrap_or_default());
    let body = to_bytes(&json!({"id": id, "model": call.model, "results": results}));
    Ok(Reply::from(Whole::json(body, Some(Usage::default()))))
}

fn result() -> Value {
    let each = |value: Value| -> Map<String, Value> {
        CATEGORIES.iter().map(|category| ((*category).to_owned(), value.clone())).collect()
    };
    json!({
        "flagged": false,
        "categories": each(json!(false)),
        "category_scores": each(json!(0.0)),
        "category_applied_input_types": each(json!([])),
    })
}
