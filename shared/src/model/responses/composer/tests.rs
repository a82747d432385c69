use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::model::money::MicroUsd;
use crate::model::responses::CreateResponse;
use crate::model::tokens::Usage;

const NOW: Instant = Instant(1_790_000_000_000);
const LATER: Instant = Instant(1_790_000_002_500);

fn composer(first_sequence: u64) -> Composer {
    let request = CreateResponse::parse(br#"{"model":"m","input":"hi"}"#, NOW).unwrap();
    Composer::new(request.skeleton("resp_1", NOW, Status::InProgress), first_sequence, NOW)
}

fn bill() -> Bill {
    let usage = Usage { input: 9, cached_input: 4, cache_write: 1, output: 5, reasoning: 2 };
    Bill { usage, cost: Some(MicroUsd(123)) }
}

/// Chunks of a choice with these deltas; a string is the reason of the end.
fn chunks(deltas: &[Value]) -> Vec<Vec<u8>> {
    let choice = |delta: &Value| match delta.as_str() {
        Some(reason) => json!({"index": 0, "delta": {}, "finish_reason": reason}),
        None => json!({"index": 0, "delta": delta, "finish_reason": null}),
    };
    let chunk = |delta| json!({"object": "chat.completion.chunk", "choices": [choice(delta)], "usage": null});
    deltas.iter().map(|delta| chunk(delta).to_string().into_bytes()).collect()
}

/// The events as lines: number, name without `response.`, and what is new in it. Made ids become `msg_0`, `fc_1`.
fn lines(events: &[ResponseEvent]) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    events.iter().map(|event| with_short_ids(&line(event), &mut ids)).collect()
}

fn line(event: &ResponseEvent) -> String {
    let mut data = Object::parse(&event.data).unwrap();
    assert_eq!(data.get::<String>("type").as_deref(), Some(event.name));
    assert_eq!(data.get::<u64>("sequence_number"), Some(event.sequence_number));
    data.remove("type");
    data.remove("sequence_number");
    if let Some(response) = data.get::<Object>("response") {
        let mut shown = Object::default();
        for (name, text) in response.members() {
            let told = ["status", "completed_at", "error", "incomplete_details", "output", "usage"].contains(&name);
            if told && !["null", "[]"].contains(&text) {
                shown.set(name, &response.get::<Box<serde_json::value::RawValue>>(name));
            }
        }
        data = shown;
    }
    let name = event.name.strip_prefix("response.").unwrap();
    let data = data.to_bytes();
    format!("{} {name} {}", event.sequence_number, String::from_utf8_lossy(&data))
}

fn with_short_ids(line: &str, ids: &mut Vec<String>) -> String {
    let mut line = line.to_owned();
    for prefix in ["msg_", "fc_", "rs_", "call_"] {
        let mut from = 0;
        while let Some(at) = line[from..].find(&format!("\"{prefix}")).map(|at| from + at + 1) {
            let end = at + line[at..].find('"').unwrap();
            let id = line[at..end].to_owned();
            from = at + prefix.len();
            if id.len() == prefix.len() + 24 {
                let known = ids.iter().position(|known| *known == id).unwrap_or_else(|| {
                    ids.push(id.clone());
                    ids.len() - 1
                });
                line.replace_range(at..end, &format!("{prefix}{known}"));
            }
        }
    }
    line
}

/// Plays a stream from its beginning to its end and compares all events but the first two.
#[track_caller]
fn check(deltas: &[Value], expected: &str) {
    let mut composer = composer(0);
    let mut events = vec![composer.created(Status::InProgress), composer.in_progress()];
    for chunk in chunks(deltas) {
        events.extend(composer.chunk(&chunk).unwrap());
    }
    let (last, ..) = composer.complete(&bill(), LATER);
    events.extend(last);
    let lines = lines(&events);
    assert_eq!(lines[..2], [r#"0 created {"status":"in_progress"}"#, r#"1 in_progress {"status":"in_progress"}"#]);
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(lines[2..], expected);
}

#[test]
fn a_text_comes_in_pieces() {
    check(
        &[json!({"role": "assistant", "content": ""}), json!({"content": "Good "}), json!({"content": "day"}), json!("stop")],
        r#"@@a_text_comes_in_pieces@@"#,
    );
}

#[test]
fn a_function_call_comes_in_pieces() {
    check(
        &[json!({"tool_calls": [{"index": 0, "id": "call_a", "type": "function", "function": {"name": "f", "arguments": ""}}]}),
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"a\":"}}]}),
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]}),
            json!("tool_calls")],
        r#"@@a_function_call_comes_in_pieces@@"#,
    );
}

#[test]
fn a_text_and_two_calls_follow_each_other() {
    check(
        &[json!({"content": "Let me see."}),
            json!({"tool_calls": [{"index": 0, "id": "call_a", "function": {"name": "f", "arguments": "{}"}}]}),
            json!({"tool_calls": [{"index": 1, "id": "call_b", "function": {"name": "g", "arguments": "{\"b\":"}}]}),
            json!({"tool_calls": [{"index": 1, "function": {"arguments": "2}"}}]}),
            json!("tool_calls")],
        r#"@@a_text_and_two_calls_follow_each_other@@"#,
    );
}

#[test]
fn pieces_of_parallel_calls_may_be_mixed() {
    check(
        &[json!({"tool_calls": [
                {"index": 0, "id": "call_a", "function": {"name": "f"}},
                {"index": 1, "id": "call_b", "function": {"name": "g"}},
            ]}),
            json!({"tool_calls": [{"index": 1, "function": {"arguments": "{"}}, {"index": 0, "function": {"arguments": "{}"}}]}),
            json!({"tool_calls": [{"index": 1, "function": {"arguments": "}"}}]}),
            json!("tool_calls")],
        r#"@@pieces_of_parallel_calls_may_be_mixed@@"#,
    );
}

#[test]
fn calls_without_index_id_or_arguments_are_told_apart() {
    check(
        &[json!({"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}, {"id": "b", "function": {"name": "f"}}]}),
            json!({"tool_calls": [{"index": 0, "function": {"name": "g", "arguments": "{}"}}]}),
            json!("stop")],
        r#"@@calls_without_index_id_or_arguments_are_told_apart@@"#,
    );
}

#[test]
fn reasoning_ends_before_the_text_begins() {
    check(
        &[json!({"reasoning_content": "Hm"}), json!({"reasoning": "."}), json!({"content": "Yes", "reasoning": null}), json!("stop")],
        r#"@@reasoning_ends_before_the_text_begins@@"#,
    );
}

#[test]
fn a_refusal_is_a_part_of_its_own() {
    check(
        &[json!({"content": "Oh. "}), json!({"refusal": "I "}), json!({"refusal": "won't."}), json!("stop")],
        r#"@@a_refusal_is_a_part_of_its_own@@"#,
    );
}

#[test]
fn what_was_cut_off_is_incomplete() {
    check(
        &[json!({"content": "On"}), json!("length")],
        r#"@@what_was_cut_off_is_incomplete@@"#,
    );
}

#[test]
fn what_was_filtered_is_incomplete() {
    check(
        &[json!({"tool_calls": [{"index": 0, "id": "call_a", "function": {"name": "f", "arguments": "{"}}]}), json!("content_filter")],
        r#"@@what_was_filtered_is_incomplete@@"#,
    );
}

#[test]
fn a_stream_that_says_nothing_completes_without_output() {
    check(
        &[json!({"role": "assistant", "content": ""}), json!({"content": null, "refusal": null}), json!("stop")],
        r#"@@a_stream_that_says_nothing_completes_without_output@@"#,
    );
}

