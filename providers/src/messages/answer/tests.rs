//! What a client adds up from a stream is what it would have got whole.

use proptest::prelude::*;
use serde_json::{Value, json};
use shared::model::provider::{Event, Failure, Whole};
use shared::model::tokens::Usage;

use super::{Stream, message_id, whole};
use crate::translate::{Step, Translate as _};

/// The events for deltas of a choice, which then finishes.
fn stream(deltas: &[Value], finish: &str) -> Result<Vec<Value>, Failure> {
    let mut stream = Stream::new("m");
    let chunk = |delta: &Value, finish: Option<&str>| {
        json!({"id": "chatcmpl-1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}).to_string()
    };
    let chunks = deltas.iter().map(|delta| chunk(delta, None)).chain([chunk(&json!({}), Some(finish))]);
    let mut events = Vec::new();
    for chunk in chunks {
        match stream.item(Event { data: chunk.into(), usage: None })? {
            Step::More(more) | Step::Last(more) => events.extend(more),
        }
    }
    events.extend(stream.end()?);
    Ok(events.iter().map(|event| serde_json::from_slice(&event.data).unwrap()).collect())
}

/// Adds up events as clients do. Blocks follow each other, and each piece belongs to the one that is open.
fn added_up(events: &[Value]) -> Value {
    let mut message = events[0]["message"].clone();
    let (mut open, mut arguments) = (None::<usize>, String::new());
    for event in &events[1..] {
        let blocks = message["content"].as_array_mut().unwrap();
        match event["type"].as_str().unwrap() {
            "content_block_start" => {
                assert_eq!((open, event["index"].as_u64()), (None, Some(blocks.len() as u64)), "{event}");
                open = Some(blocks.len());
                blocks.push(event["content_block"].clone());
            }
            "content_block_delta" => {
                assert_eq!(event["index"].as_u64(), open.map(|open| open as u64), "{event}");
                let (delta, block) = (&event["delta"], blocks.last_mut().unwrap());
                match delta["type"].as_str().unwrap() {
                    "text_delta" => append(&mut block["text"], &delta["text"]),
                    "thinking_delta" => append(&mut block["thinking"], &delta["thinking"]),
                    "signature_delta" => block["signature"] = delta["signature"].clone(),
                    "input_json_delta" => arguments += delta["partial_json"].as_str().unwrap(),
                    other => panic!("{other}"),
                }
            }
            "content_block_stop" => {
                assert_eq!(event["index"].as_u64(), open.take().map(|open| open as u64), "{event}");
                if !arguments.is_empty() {
                    blocks.last_mut().unwrap()["input"] =
                        serde_json::from_str(&std::mem::take(&mut arguments)).unwrap();
                }
            }
            "message_delta" => {
                message["stop_reason"] = event["delta"]["stop_reason"].clone();
                message["usage"] = event["usage"].clone();
            }
            "message_stop" => assert_eq!(open, None),
            other => panic!("{other}"),
        }
    }
    message
}

fn append(text: &mut Value, piece: &Value) {
    *text = format!("{}{}", text.as_str().unwrap(), piece.as_str().unwrap()).into();
}

/// The message for the same chat completion, whole.
fn in_one(message: &Value, finish: &str) -> Value {
    let body = json!({"id": "chatcmpl-1", "choices": [{"message": message, "finish_reason": finish}]});
    let chat = Whole::json(body.to_string().into(), None);
    serde_json::from_slice(&whole(&chat, "m").unwrap().body).unwrap()
}

/// Cuts a text into pieces of at most `size` bytes.
fn pieces(text: &str, size: usize) -> Vec<String> {
    let (mut rest, mut pieces) = (text, Vec::new());
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.ceil_char_boundary(size.min(rest.len())));
        pieces.push(piece.to_owned());
        rest = after;
    }
    pieces
}

fn piece(index: usize, id: Option<&str>, arguments: &str) -> Value {
    let function = match id {
        Some(_) => json!({"name": "f", "arguments": arguments}),
        None => json!({"arguments": arguments}),
    };
    json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": function}]})
}

proptest! {
    #[test]
    fn any_split_gives_the_same_message(
        thoughts in "\\PC{0,20}",
        text in "\\PC{0,20}",
        arguments in prop::collection::vec("\\PC{0,12}", 0..4),
        size in 1_usize..9,
        order in prop::collection::vec(any::<prop::sample::Index>(), 200),
    ) {
        let arguments: Vec<String> = arguments.iter().map(|text| json!({"a": text, "b": [{"c": text}]}).to_string()).collect();
        let mut deltas: Vec<Value> = pieces(&thoughts, size).into_iter().map(|piece| json!({"reasoning": piece})).collect();
        deltas.extend(pieces(&text, size).into_iter().map(|piece| json!({"content": piece})));
        // The calls begin in order. Their other pieces come in any order.
        let ids: Vec<String> = (0..arguments.len()).map(|index| format!("call_{index}")).collect();
        deltas.extend(ids.iter().enumerate().map(|(index, id)| piece(index, Some(id), "")));
        let mut left: Vec<_> = arguments.iter().map(|text| pieces(text, size).into_iter()).collect();
        for chosen in order.iter().cycle() {
            let unfinished: Vec<usize> = (0..left.len()).filter(|index| left[*index].len() > 0).collect();
            if unfinished.is_empty() {
                break;
            }
            let index = unfinished[chosen.index(unfinished.len())];
            deltas.extend(left[index].next().map(|text| piece(index, None, &text)));
        }
        let calls: Vec<Value> = ids.iter().zip(&arguments).map(|(id, arguments)| {
            json!({"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}})
        }).collect();
        let message = json!({"content": text, "reasoning_content": thoughts, "tool_calls": calls});
        prop_assert_eq!(added_up(&stream(&deltas, "stop").unwrap()), in_one(&message, "stop"));
    }
}

/// The inputs of the calls in a stream of these pieces.
#[track_caller]
fn check(calls: &[Value], expected: &[Value]) {
    let deltas: Vec<Value> = calls.iter().map(|call| json!({"tool_calls": [call]})).collect();
    let message = added_up(&stream(&deltas, "tool_calls").unwrap());
    let inputs: Vec<Value> =
        message["content"].as_array().unwrap().iter().map(|block| block["input"].clone()).collect();
    assert_eq!(inputs, expected, "{message}");
}

#[test]
fn pieces_belong_together_however_a_server_names_them() {
    let whole = |arguments: &str| json!({"name": "f", "arguments": arguments});
    let more = |arguments: &str| json!({"arguments": arguments});
    // The same number for each call.
    check(
        &[
            json!({"index": 0, "id": "a", "function": whole("{\"a\":1}")}),
            json!({"index": 0, "id": "b", "function": whole("{\"b\":2}")}),
        ],
        &[json!({"a": 1}), json!({"b": 2})],
    );
    // The same number, and no ids.
    check(
        &[json!({"index": 0, "function": whole("{\"a\":1}")}), json!({"index": 0, "function": whole("{\"b\":2}")})],
        &[json!({"a": 1}), json!({"b": 2})],
    );
    // A new id for each piece.
    check(
        &[
            json!({"index": 0, "id": "a", "function": whole("{\"a\"")}),
            json!({"index": 0, "id": "b", "function": more(":1}")}),
            json!({"index": 0, "id": "c", "function": more(" ")}),
        ],
        &[json!({"a": 1})],
    );
    // No numbers, and no ids behind the first piece.
    check(
        &[
            json!({"id": "a", "function": whole("{\"a\"")}),
            json!({"function": more(":1}")}),
            json!({"id": "b", "function": whole("")}),
        ],
        &[json!({"a": 1}), json!({})],
    );
}

#[test]
fn a_call_that_goes_on_after_its_end_is_a_failure() {
    let deltas = [piece(0, Some("a"), "{}"), piece(1, Some("b"), "{}"), piece(0, None, "{}")];
    let failure = stream(&deltas, "tool_calls").unwrap_err();
    assert!(matches!(&failure, Failure::Malformed(reason) if reason.contains("goes on")), "{failure}");
}

#[test]
fn text_behind_a_call_that_is_not_whole_waits_for_it() {
    let deltas = [piece(0, Some("a"), "{"), json!({"content": "b"}), piece(0, None, "}"), json!({"content": "c"})];
    let message = added_up(&stream(&deltas, "tool_calls").unwrap());
    assert_eq!(message["content"][1]["text"], "bc", "{message}");
}

#[test]
fn halves_of_a_character_are_joined() {
    let mut stream = Stream::new("m");
    let mut texts = String::new();
    for text in ["a\\ud83d", "\\ude00", "\\ud83d"] {
        let chunk = format!(r#"{{"choices":[{{"delta":{{"content":"{text}"}}}}]}}"#);
        let Step::More(events) = stream.item(Event { data: chunk.into(), usage: None }).unwrap() else { panic!() };
        texts.extend(events.iter().map(text_of));
    }
    texts.extend(stream.end().unwrap().iter().map(text_of));
    assert_eq!(texts, "a😀\u{fffd}");
}

fn text_of(event: &Event) -> String {
    let event: Value = serde_json::from_slice(&event.data).unwrap();
    event["delta"]["text"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_usage_in_each_chunk_is_reported_with_each() {
    let mut stream = Stream::new("m");
    let usage = |output| Some(Usage { input: 5, output, ..Usage::default() });
    let mut reported = Vec::new();
    for output in [1, 2] {
        let chunk = r#"{"choices":[{"delta":{"content":"a"}}]}"#;
        let Step::More(events) = stream.item(Event { data: chunk.into(), usage: usage(output) }).unwrap() else {
            panic!()
        };
        reported.extend(events.iter().filter_map(|event| event.usage));
    }
    assert_eq!(reported.iter().map(|usage| usage.output).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(stream.end().unwrap()[0].usage, usage(2));
}

#[test]
fn an_id_has_letters_and_digits() {
    assert_eq!(message_id("chatcmpl-A1-b_2"), "msg_A1b2");
    assert_eq!(message_id("gen:7"), "msg_gen7");
    assert!(message_id("").len() > 10);
}
