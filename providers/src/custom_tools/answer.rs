//! Writes calls of functions that stand for custom tools as calls of these tools.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use serde_json::{Value, json};
use shared::model::object::Object;
use shared::model::provider::Event;

use super::input::Input;

/// A whole answer with calls of `tools`. `None`: it has none.
pub(super) fn whole(body: &[u8], tools: &HashSet<String>) -> Option<Bytes> {
    let mut answer = Object::parse(body).ok()?;
    let mut choices: Vec<Object> = answer.get("choices")?;
    let mut has_changed = false;
    for choice in &mut choices {
        let Some(mut message) = choice.get::<Object>("message") else { continue };
        let Some(mut calls) = message.get::<Vec<Object>>("tool_calls") else { continue };
        for call in &mut calls {
            has_changed |= rewrite_whole(call, tools);
        }
        message.set("tool_calls", &calls);
        choice.set("message", &message);
    }
    answer.set("choices", &choices);
    has_changed.then(|| answer.to_bytes())
}

fn rewrite_whole(call: &mut Object, tools: &HashSet<String>) -> bool {
    let Some(function) = call.get::<Object>("function") else { return false };
    let Some(name) = function.get::<String>("name").filter(|name| tools.contains(name)) else { return false };
    let mut input = Input::default();
    let read = input.push(&function.get::<String>("arguments").unwrap_or_default()) + &input.end();
    call.remove("function");
    call.set("type", "custom");
    call.set("custom", &json!({"name": name, "input": read}));
    true
}

/// A call within a stream: the index of its answer and its own. Some servers give no index, but whole calls.
type Place = (u64, Option<u64>);

/// Rewrites the chunks of a stream.
pub(super) struct Chunks {
    tools: HashSet<String>,
    /// The calls of custom tools that go on.
    open: HashMap<Place, Input>,
}

impl Chunks {
    pub(super) fn new(tools: HashSet<String>) -> Self {
        Self { tools, open: HashMap::new() }
    }

    pub(super) fn event(&mut self, event: Event) -> Event {
        let data = self.rewritten(&event.data);
        Event { data: data.unwrap_or(event.data), ..event }
    }

    /// The chunk with calls of custom tools; `None` if it has none.
    fn rewritten(&mut self, data: &[u8]) -> Option<Bytes> {
        let mut chunk = Object::parse(data).ok()?;
        let mut choices: Vec<Object> = chunk.get("choices")?;
        let mut has_changed = false;
        for choice in &mut choices {
            let index = choice.get("index").unwrap_or(0);
            let mut delta: Object = choice.get("delta").unwrap_or_default();
            let mut calls: Vec<Object> = delta.get("tool_calls").unwrap_or_default();
            for call in &mut calls {
                has_changed |= self.rewrite_piece(index, call);
            }
            if choice.get::<String>("finish_reason").is_some_and(|reason| !reason.is_empty()) {
                calls.extend(self.rests_of(index));
            }
            if !calls.is_empty() {
                has_changed = true;
                delta.set("tool_calls", &calls);
                choice.set("delta", &delta);
            }
        }
        chunk.set("choices", &choices);
        has_changed.then(|| chunk.to_bytes())
    }

    fn rewrite_piece(&mut self, choice: u64, call: &mut Object) -> bool {
        let place = (choice, call.get("index"));
        let Some(function) = call.get::<Object>("function") else { return false };
        let name: Option<String> = function.get("name");
        if let Some(name) = name.as_ref().filter(|name| !name.is_empty()) {
            // Another call begins here.
            self.open.remove(&place);
            if self.tools.contains(name) {
                self.open.insert(place, Input::default());
            }
        }
        let Some(input) = self.open.get_mut(&place) else { return false };
        let read = input.push(&function.get::<String>("arguments").unwrap_or_default());
        let custom = match name {
            Some(name) => json!({"name": name, "input": read}),
            None => json!({"input": read}),
        };
        call.remove("function");
        if call.text("type").is_some() {
            call.set("type", "custom");
        }
        call.set("custom", &custom);
        true
    }

    /// Ends the calls of an answer. The pieces have the input that waited for more arguments.
    fn rests_of(&mut self, choice: u64) -> Vec<Object> {
        let mut places: Vec<Place> = self.open.keys().filter(|place| place.0 == choice).copied().collect();
        places.sort_unstable();
        let piece = |place: Place| {
            let rest = self.open.remove(&place)?.end();
            let head = place.1.map_or_else(Object::default, |index| Object::default().with("index", &index));
            (!rest.is_empty()).then(|| head.with("custom", &json!({"input": Value::from(rest)})))
        };
        places.into_iter().filter_map(piece).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tools() -> HashSet<String> {
        HashSet::from(["c".to_owned()])
    }

    #[test]
    fn a_whole_answer_has_the_input() {
        let body = r#"{"id":"1","choices":[{"index":0,"message":{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"c","arguments":"{\"input\":\"x\\ny\"}"}},{"id":"b","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}"#;
        let expected = r#"{"id":"1","choices":[{"index":0,"message":{"role":"assistant","tool_calls":[{"id":"a","type":"custom","custom":{"input":"x\ny","name":"c"}},{"id":"b","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}"#;
        assert_eq!(whole(body.as_bytes(), &tools()).unwrap(), expected);
        assert_eq!(whole(body.replace("\"c\"", "\"d\"").as_bytes(), &tools()), None);
        assert_eq!(whole(b"{}", &tools()), None);
    }

    #[track_caller]
    fn stream(deltas: &[(&str, &str)]) {
        let mut chunks = Chunks::new(tools());
        for (delta, expected) in deltas {
            let of = |delta: &str| match delta {
                "end" => r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#.to_owned(),
                delta => {
                    format!(r#"{{"choices":[{{"index":0,"delta":{{"tool_calls":[{delta}]}},"finish_reason":null}}]}}"#)
                }
            };
            let event = chunks.event(Event { data: of(delta).into(), usage: None });
            assert_eq!(String::from_utf8_lossy(&event.data), of(expected), "{delta}");
        }
    }

    #[test]
    fn pieces_of_a_stream_are_pieces_of_the_input() {
        stream(&[
            (
                r#"{"index":0,"id":"a","type":"function","function":{"name":"c","arguments":""}}"#,
                r#"{"index":0,"id":"a","type":"custom","custom":{"input":"","name":"c"}}"#,
            ),
            (r#"{"index":0,"function":{"arguments":"{\"input\":\"x\\"}}"#, r#"{"index":0,"custom":{"input":"x"}}"#),
            (
                r#"{"index":1,"id":"b","type":"function","function":{"name":"f","arguments":"{}"}}"#,
                r#"{"index":1,"id":"b","type":"function","function":{"name":"f","arguments":"{}"}}"#,
            ),
            (r#"{"index":0,"function":{"arguments":"ny\"}"}}"#, r#"{"index":0,"custom":{"input":"\ny"}}"#),
            ("end", "end"),
        ]);
    }

    #[test]
    fn a_call_that_breaks_off_ends_with_what_there_is() {
        let mut chunks = Chunks::new(tools());
        let begin =
            r#"{"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"c","arguments":"{\"in"}}]}}]}"#;
        chunks.event(Event { data: begin.into(), usage: None });
        let end = r#"{"choices":[{"delta":{},"finish_reason":"length"}]}"#;
        let event = chunks.event(Event { data: end.into(), usage: None });
        let expected =
            r#"{"choices":[{"delta":{"tool_calls":[{"custom":{"input":"{\"in"}}]},"finish_reason":"length"}]}"#;
        assert_eq!(String::from_utf8_lossy(&event.data), expected);
    }
}
