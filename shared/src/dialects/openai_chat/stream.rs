//! The stream of a chat completion: a provider's chunks as the client asked for them.

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::dialects::sse;
use crate::model::money::MicroUsd;
use crate::model::object::Object;
use crate::model::provider::Event;

/// Writes a chunk as an event for the client. The chunk that reports usage carries the call's cost where the client asked
/// for usage; else it is left out (`None`).
#[must_use]
pub fn chunk(event: &Event, include_usage: bool, cost: impl FnOnce() -> MicroUsd) -> Option<Bytes> {
    if include_usage && event.usage.is_none() {
        return Some(sse::data(&event.data));
    }
    // Providers are always asked for usage; most of their chunks then say `"usage":null`.
    let Ok(mut chunk) = Object::parse(&event.data) else { return Some(sse::data(&event.data)) };
    match event.usage {
        Some(_) if include_usage => {
            let mut usage = chunk.get::<Object>("usage").unwrap_or_default();
            if let Ok(cost) = RawValue::from_string(cost().to_string()) {
                usage.set_raw("cost", cost);
            }
            chunk.set("usage", &usage);
        }
        Some(_) if chunk.text("choices").is_none_or(|choices| choices == "[]") => return None,
        _ if !chunk.remove("usage") => return Some(sse::data(&event.data)),
        _ => {}
    }
    Some(sse::data(&chunk.to_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tokens::Usage;

    #[track_caller]
    fn check(json: &'static str, is_usage: bool, include_usage: bool, expected: Option<&str>) {
        let usage = is_usage.then(Usage::default);
        let event = Event { data: Bytes::from_static(json.as_bytes()), usage };
        let written = chunk(&event, include_usage, || MicroUsd(1_500_000));
        assert_eq!(written, expected.map(|json| Bytes::from(format!("data: {json}\n\n"))));
    }

    #[test]
    fn usage_goes_only_to_clients_that_asked_for_it() {
        let text = r#"{"choices":[{}],"usage":null}"#;
        check(text, false, true, Some(text));
        check(text, false, false, Some(r#"{"choices":[{}]}"#));
        let usage = r#"{"choices":[],"usage":{"prompt_tokens":1}}"#;
        check(usage, true, true, Some(r#"{"choices":[],"usage":{"prompt_tokens":1,"cost":1.500000}}"#));
        check(usage, true, false, None);
        check(r#"{"choices":[{}],"usage":{}}"#, true, false, Some(r#"{"choices":[{}]}"#));
        check("not json", false, false, Some("not json"));
    }
}
