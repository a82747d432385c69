//! The tool calls in a stream: their numbers, and the reason for which a choice with calls ends.

use std::collections::HashMap;

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::Value;
use shared::model::object::Object;

/// Numbers the tool calls of each choice from 0 in the order in which they begin.
///
/// Some servers number them from 1, leave numbers out, or number none. OpenAI's clients keep the calls in a list by their
/// number, and fail at a gap. Ollama ends a choice with calls as one without: agents then stop instead of making the calls.
pub(super) struct Calls {
    /// By the number of their choice.
    begun: HashMap<u64, Vec<Call>>,
    /// Whether the request names the tool that is called: then a choice with a call ends with `stop` at OpenAI, too.
    is_named: bool,
}

/// A call that has begun.
struct Call {
    /// The server's number of it.
    index: Option<u64>,
    id: Option<String>,
    /// So far.
    arguments: String,
}

impl Call {
    /// Whether its arguments are complete.
    fn is_whole(&self) -> bool {
        serde_json::from_str::<IgnoredAny>(&self.arguments).is_ok()
    }

    fn add(&mut self, piece: &Object) {
        let function = piece.get::<Value>("function").unwrap_or_default();
        self.arguments.push_str(function["arguments"].as_str().unwrap_or_default());
    }
}

impl Calls {
    /// The calls in the answer to a request.
    pub(super) fn new(request: &Object) -> Self {
        let choice: Option<Object> = request.get("tool_choice");
        let is_named = choice.is_some_and(|choice| choice.text("function").or(choice.text("custom")).is_some());
        Self { begun: HashMap::new(), is_named }
    }

    /// The chunk with its calls numbered, and with the reason that belongs to them; `None` if it has these already.
    pub(super) fn told(&mut self, chunk: &str) -> Option<Bytes> {
        let may_stop = !self.is_named && !self.begun.is_empty() && chunk.contains("\"stop\"");
        if !chunk.contains("\"tool_calls\"") && !may_stop {
            return None;
        }
        let body = Object::parse(chunk.as_bytes()).ok()?;
        let mut choices: Vec<Object> = body.get("choices")?;
        let mut has_changed = false;
        for choice in &mut choices {
            let begun = self.begun.entry(choice.get("index").unwrap_or(0)).or_default();
            has_changed |= number_in(choice, begun);
            has_changed |= !self.is_named && !begun.is_empty() && end_with_calls(choice);
        }
        has_changed.then(|| body.with("choices", &choices).to_bytes())
    }
}

/// Sets the numbers of the calls in a choice. Returns whether one had another.
fn number_in(choice: &mut Object, begun: &mut Vec<Call>) -> bool {
    let Some(mut delta) = choice.get::<Object>("delta") else { return false };
    let Some(mut calls) = delta.get::<Vec<Object>>("tool_calls") else { return false };
    let has_changed = number(begun, &mut calls);
    if has_changed {
        delta.set("tool_calls", &calls);
        choice.set("delta", &delta);
    }
    has_changed
}

/// Corrects the reason of a choice with calls. Returns whether it had another.
fn end_with_calls(choice: &mut Object) -> bool {
    let stops = choice.get::<String>("finish_reason").is_some_and(|reason| reason == "stop");
    if stops {
        choice.set("finish_reason", "tool_calls");
    }
    stops
}

/// Sets the numbers of calls. Returns whether one had another.
fn number(begun: &mut Vec<Call>, calls: &mut [Object]) -> bool {
    let mut has_changed = false;
    for call in calls {
        let named = call.get::<u64>("index");
        let place = position(begun, named, call);
        begun[place].add(call);
        let number = place as u64;
        if named != Some(number) {
            call.set("index", &number);
            has_changed = true;
        }
    }
    has_changed
}

/// The place of a call among those that have begun, which it joins if it is new.
fn position(begun: &mut Vec<Call>, index: Option<u64>, call: &Object) -> usize {
    let id = call.get::<String>("id").filter(|id| !id.is_empty());
    let known = match (index, &id) {
        (Some(_), _) => with_number(begun, index, id.as_ref(), call),
        (None, Some(_)) => begun.iter().position(|before| before.id == id),
        (None, None) if has_name(call) => None,
        (None, None) => begun.len().checked_sub(1),
    };
    known.unwrap_or_else(|| {
        begun.push(Call { index, id, arguments: String::new() });
        begun.len() - 1
    })
}

/// The place of the call with this number that a piece belongs to: the one with its id, or else the last. Some servers give
/// all calls one number: then a new id and a name begin another call, once the arguments of the last one are complete. Before that,
/// they begin none, because some servers make a new id for each piece, and repeat the name.
fn with_number(begun: &[Call], index: Option<u64>, id: Option<&String>, call: &Object) -> Option<usize> {
    let has_id = |before: &Call| before.id.as_ref() == id;
    let numbered = || begun.iter().enumerate().rev().filter(|(_, before)| before.index == index);
    let mut same = numbered().filter(|(_, before)| id.is_some() && has_id(before));
    let (place, last) = same.next().or_else(|| numbered().next())?;
    let is_another = id.is_some() && last.id.is_some() && !has_id(last) && has_name(call) && last.is_whole();
    (!is_another).then_some(place)
}

fn has_name(call: &Object) -> bool {
    let named = |kind: &str| {
        call.get::<Value>(kind).is_some_and(|kind| kind["name"].as_str().is_some_and(|name| !name.is_empty()))
    };
    named("function") || named("custom")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers the calls of chunks with one choice, each given as the list of its calls.
    #[track_caller]
    fn check(chunks: &[(&str, &str)]) {
        let mut calls = Calls::new(&Object::default());
        for (given, expected) in chunks {
            let chunk =
                |list: &str| format!(r#"{{"choices":[{{"index":0,"delta":{{"tool_calls":{list}}}}}],"x":1.0}}"#);
            let numbered = calls.told(&chunk(given)).unwrap_or_else(|| chunk(given).into());
            assert_eq!(numbered, chunk(expected));
        }
    }

    #[test]
    fn gaps_are_closed() {
        check(&[
            (r#"[{"index":1,"id":"a"}]"#, r#"[{"index":0,"id":"a"}]"#),
            (r#"[{"index":1,"function":{"arguments":"{}"}}]"#, r#"[{"index":0,"function":{"arguments":"{}"}}]"#),
            (r#"[{"index":3,"id":"b"},{"index":1}]"#, r#"[{"index":1,"id":"b"},{"index":0}]"#),
            (r#"[{"index":3}]"#, r#"[{"index":1}]"#),
        ]);
    }

    #[test]
    fn calls_without_numbers_are_numbered() {
        check(&[
            (r#"[{"id":"a"}]"#, r#"[{"id":"a","index":0}]"#),
            (r#"[{"function":{"arguments":"{"}}]"#, r#"[{"function":{"arguments":"{"},"index":0}]"#),
            (r#"[{"id":"b","index":null}]"#, r#"[{"id":"b","index":1}]"#),
            (r#"[{"id":"a"}]"#, r#"[{"id":"a","index":0}]"#),
            (r#"[{"id":"","function":{"name":"f"}}]"#, r#"[{"id":"","function":{"name":"f"},"index":2}]"#),
        ]);
    }

    #[test]
    fn two_whole_calls_with_one_number_are_two() {
        check(&[
            (
                r#"[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]"#,
                r#"[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]"#,
            ),
            (
                r#"[{"index":0,"id":"b","function":{"name":"f","arguments":"{"}}]"#,
                r#"[{"index":1,"id":"b","function":{"name":"f","arguments":"{"}}]"#,
            ),
            (r#"[{"index":0,"function":{"arguments":"}"}}]"#, r#"[{"index":1,"function":{"arguments":"}"}}]"#),
            (r#"[{"index":0,"id":"b","function":{"name":"f"}}]"#, r#"[{"index":1,"id":"b","function":{"name":"f"}}]"#),
            (r#"[{"index":0,"id":"a"}]"#, r#"[{"index":0,"id":"a"}]"#),
            (r#"[{"index":0,"id":"c","custom":{"name":"g"}}]"#, r#"[{"index":2,"id":"c","custom":{"name":"g"}}]"#),
        ]);
    }

    #[test]
    fn right_numbers_stay_and_an_index_names_its_call_whatever_its_id() {
        let chunk = |call: &str| format!(r#"{{"choices":[{{"delta":{{"tool_calls":[{call}]}}}}]}}"#);
        let mut calls = Calls::new(&Object::default());
        for call in [r#"{"index":0,"id":"a"}"#, r#"{"index":0,"id":"b"}"#, r#"{"index":1,"id":"c"}"#] {
            assert_eq!(calls.told(&chunk(call)), None, "{call}");
        }
    }

    #[test]
    fn a_choice_with_calls_ends_with_them_unless_the_request_names_the_tool() {
        let call = r#"{"choices":[{"index":1,"delta":{"tool_calls":[{"index":0,"id":"a"}]}}]}"#;
        let end = |index: u64, reason: &str| {
            format!(r#"{{"choices":[{{"index":{index},"delta":{{}},"finish_reason":"{reason}"}}]}}"#)
        };
        let mut calls = Calls::new(&Object::parse(br#"{"tool_choice":"required"}"#).unwrap());
        assert_eq!(calls.told(&end(1, "stop")), None);
        assert_eq!(calls.told(call), None);
        assert_eq!(calls.told(&end(1, "stop")).unwrap(), end(1, "tool_calls"));
        assert_eq!([calls.told(&end(0, "stop")), calls.told(&end(1, "length"))], [None, None]);
        let named = r#"{"tool_choice":{"type":"function","function":{"name":"f"}}}"#;
        let mut calls = Calls::new(&Object::parse(named.as_bytes()).unwrap());
        assert_eq!([calls.told(call), calls.told(&end(1, "stop"))], [None, None]);
    }

    #[test]
    fn choices_are_numbered_apart_and_other_chunks_stay() {
        let mut calls = Calls::new(&Object::default());
        let chunk = |choice: u64, index: u64| {
            format!(r#"{{"choices":[{{"index":{choice},"delta":{{"tool_calls":[{{"index":{index}}}]}}}}]}}"#)
        };
        assert_eq!(calls.told(&chunk(0, 2)).unwrap(), chunk(0, 0));
        assert_eq!(calls.told(&chunk(1, 1)).unwrap(), chunk(1, 0));
        for other in [r#"{"choices":[{"delta":{"tool_calls":null}}]}"#, r#"{"choices":"\"tool_calls\""}"#, "{}", "x"] {
            assert_eq!(calls.told(other), None);
        }
    }
}
