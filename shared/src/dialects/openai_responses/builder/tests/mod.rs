mod properties;
mod sequences;

use serde_json::{Value, json};

use super::*;
use crate::dialects::openai_responses::CreateResponse;
use crate::model::money::MicroUsd;
use crate::model::tokens::Usage;

const NOW: Timestamp = Timestamp(1_790_000_000_000);
const LATER: Timestamp = Timestamp(1_790_000_002_500);

fn builder(first_sequence: u64) -> EventBuilder {
    builder_with("[]", first_sequence)
}

/// A builder for a request with these tools.
fn builder_with(tools: &str, first_sequence: u64) -> EventBuilder {
    let body = format!(r#"{{"model":"m","input":"hi","tools":{tools}}}"#);
    let request = CreateResponse::parse(body.as_bytes(), NOW).unwrap();
    EventBuilder::new(request.skeleton(&[], NOW, Status::InProgress), first_sequence)
}

fn charge() -> Charge {
    let usage = Usage { input: 9, cached_input: 4, cache_write: 1, output: 5, reasoning: 2, ..Usage::default() };
    Charge { usage, cost: MicroUsd(123), ..Charge::default() }
}

/// Chunks of a choice with these deltas. A string is a finish reason.
fn chunks(deltas: &[Value]) -> Vec<Vec<u8>> {
    let choice = |delta: &Value| match delta.as_str() {
        Some(reason) => json!({"index": 0, "delta": {}, "finish_reason": reason}),
        None => json!({"index": 0, "delta": delta, "finish_reason": null}),
    };
    let chunk = |delta| json!({"object": "chat.completion.chunk", "choices": [choice(delta)], "usage": null});
    deltas.iter().map(|delta| chunk(delta).to_string().into_bytes()).collect()
}

/// The events as lines: number, name without `response.`, and new content. Generated ids become `msg_0`, `fc_1`.
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
            let told = ["status", "completed_at", "error", "incomplete_details", "output"].contains(&name);
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
    for prefix in ["msg_", "fc_", "ctc_", "tsc_", "rs_", "call_"] {
        let mut from = 0;
        while let Some(at) = line[from..].find(&format!("\"{prefix}")).map(|at| from + at + 1) {
            let end = at + line[at..].find('"').unwrap();
            let id = line[at..end].to_owned();
            from = at + prefix.len();
            if [24, 27].contains(&(id.len() - prefix.len())) {
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

#[test]
fn the_usage_has_its_details_and_its_cost() {
    let (_, response, status) = builder(0).complete(&charge(), LATER);
    let expected = r#"{"input_tokens":9,"input_tokens_details":{"cached_tokens":4,"cache_write_tokens":1},"output_tokens":5,"output_tokens_details":{"reasoning_tokens":2},"total_tokens":14,"cost":0.000123}"#;
    assert_eq!((response.text("usage"), status), (Some(expected), Status::Completed));
}

#[test]
fn an_answer_that_ended_with_an_error_is_a_failure() {
    for (reason, fails) in [("error", true), ("stop", false), ("length", false)] {
        let mut builder = builder(0);
        for chunk in chunks(&[json!({"content": "a"}), json!(reason)]) {
            builder.chunk(&chunk).unwrap();
        }
        assert_eq!(builder.failure().is_some(), fails, "{reason}");
    }
}

#[test]
fn log_probabilities_come_with_their_text() {
    let chunk = r#"{"choices":[{"index":0,"delta":{"content":"Hi"},"logprobs":{"content":[{"token":"Hi","logprob":-0.5,"bytes":[72,105],"top_logprobs":[{"token":"Hi","logprob":-0.5,"bytes":null}]}]}}]}"#;
    let mut builder = builder(0);
    let delta = builder.chunk(chunk.as_bytes()).unwrap().pop().unwrap();
    let short = r#"[{"token":"Hi","logprob":-0.5,"top_logprobs":[{"token":"Hi","logprob":-0.5}]}]"#;
    assert_eq!(Object::parse(&delta.data).unwrap().text("logprobs"), Some(short));
    let (_, response, _) = builder.complete(&charge(), LATER);
    let whole = r#""logprobs":[{"token":"Hi","logprob":-0.5,"bytes":[72,105],"top_logprobs":[{"token":"Hi","logprob":-0.5,"bytes":[]}]}]"#;
    assert!(response.text("output").unwrap().contains(whole));
}

/// The chat message of the assistant that a client's next turn becomes, if it sends the answer's items back.
fn sent_back(response: &Object, next: Value) -> Object {
    let output = response.get::<Vec<Object>>("output").unwrap();
    let input = [output, vec![Object::parse(next.to_string().as_bytes()).unwrap()]].concat();
    let body = Object::default().with("model", "m").with("input", &input);
    let chat = CreateResponse::parse(&body.to_bytes(), NOW).unwrap().chat(&[]).unwrap();
    chat.object.get::<Vec<Object>>("messages").unwrap().remove(0)
}

#[test]
fn reasoning_that_the_model_wants_back_comes_back_in_its_item() {
    let text = |text: &str| json!([{"type": "reasoning.text", "text": text, "index": 0}]);
    let signed = json!([{"type": "reasoning.text", "text": "", "signature": "s", "index": 0}]);
    let encrypted = json!([{"type": "reasoning.encrypted", "data": "d", "id": "c"}]);
    let call = json!([{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]);
    let mut builder = builder(0);
    for chunk in chunks(&[
        json!({"reasoning_content": "H", "reasoning_details": text("H")}),
        json!({"reasoning_content": "m", "reasoning_details": text("m")}),
        json!({"reasoning_details": signed}),
        json!({"content": "Let me see."}),
        json!({"reasoning_details": encrypted, "tool_calls": call}),
        json!("tool_calls"),
    ]) {
        builder.chunk(&chunk).unwrap();
    }
    let (_, response, _) = builder.complete(&charge(), LATER);
    let kinds: Vec<String> =
        response.get::<Vec<Object>>("output").unwrap().iter().filter_map(|item| item.get("type")).collect();
    assert_eq!(kinds, ["reasoning", "message", "reasoning", "function_call"]);
    let message = sent_back(&response, json!({"type": "function_call_output", "call_id": "c", "output": "1"}));
    assert_eq!(message.get::<String>("reasoning_content").as_deref(), Some("Hm"));
    let expected = r#"[{"type":"reasoning.text","text":"Hm","index":0,"signature":"s"},{"type":"reasoning.encrypted","data":"d","id":"c"}]"#;
    assert_eq!(message.get::<Value>("reasoning_details"), serde_json::from_str(expected).unwrap());
}

#[test]
fn reasoning_behind_the_answer_comes_back_with_it() {
    let mut builder = builder(0);
    let encrypted = json!([{"type": "reasoning.encrypted", "data": "d", "id": null}]);
    for chunk in chunks(&[json!({"content": "Yes."}), json!({"reasoning_details": encrypted}), json!("stop")]) {
        builder.chunk(&chunk).unwrap();
    }
    let response = builder.complete(&charge(), LATER).1;
    let message = sent_back(&response, json!({"role": "user", "content": "a"}));
    assert_eq!(message.get::<String>("content").as_deref(), Some("Yes."));
    assert_eq!(message.get::<Value>("reasoning_details"), Some(encrypted));
}

#[test]
fn a_failure_keeps_ended_items() {
    let mut builder = builder(17);
    let mut events = vec![builder.created_event(Status::Queued), builder.queued_event(), builder.in_progress_event()];
    for chunk in chunks(&[json!({"reasoning": "Hm"}), json!({"content": "Ye"})]) {
        events.extend(builder.chunk(&chunk).unwrap());
    }
    let (last, response) = builder.fail("server_error", "It broke.", Some(&charge()));
    events.extend(last);
    let lines = lines(&events);
    assert_eq!(
        lines[..3],
        [
            r#"17 created {"status":"queued"}"#,
            r#"18 queued {"status":"queued"}"#,
            r#"19 in_progress {"status":"in_progress"}"#
        ]
    );
    let expected = r#"{"status":"failed","error":{"code":"server_error","message":"It broke."},"output":[{"id":"rs_0","type":"reasoning","status":"completed","summary":[],"content":[{"type":"reasoning_text","text":"Hm"}]}]}"#;
    assert_eq!(*lines.last().unwrap(), format!("{} failed {expected}", 17 + events.len() - 1));
    assert_eq!(response.get::<Object>("usage").unwrap().get("total_tokens"), Some(14));
}

#[test]
fn invalid_chunks_are_malformed() {
    for (chunk, expected) in [
        ("", "the chunk is no chat completion's: EOF while parsing a value at line 1 column 0"),
        ("[DONE]", "the chunk is no chat completion's: expected value at line 1 column 2"),
        (
            r#"{"choices":[{"delta":{"content":5}}]}"#,
            "the chunk is no chat completion's: invalid type: integer `5`, expected a string at line 1 column 33",
        ),
        (r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a"}]}}]}"#, "a tool call begins without a name"),
        (
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"{}"}},{"index":1,"function":{"name":"g"}},{"index":0,"function":{"arguments":"{}"}}]}}]}"#,
            "a tool call goes on after its arguments were whole",
        ),
    ] {
        match builder(0).chunk(chunk.as_bytes()) {
            Err(Failure::Malformed(message)) => assert_eq!(message, expected),
            _ => panic!("{chunk}"),
        }
    }
}

#[test]
fn chunks_that_say_nothing_lead_to_nothing() {
    for chunk in [
        "{}",
        r#"{"choices":[],"usage":{"prompt_tokens":1}}"#,
        r#"{"choices":null}"#,
        r#"{"choices":[{"index":1,"delta":{"content":"other"}}]}"#,
        r#"{"choices":[{"index":0,"delta":null,"finish_reason":null}]}"#,
        r#"{"choices":[{"index":0,"delta":{"reasoning":{"steps":[]},"tool_calls":null},"logprobs":null}]}"#,
    ] {
        assert_eq!(builder(0).chunk(chunk.as_bytes()).unwrap(), [], "{chunk}");
    }
}

#[test]
fn the_service_tier_is_the_providers() {
    let mut builder = builder(0);
    builder.chunk(br#"{"service_tier":"flex","choices":[]}"#).unwrap();
    let (_, response, _) = builder.complete(&charge(), LATER);
    assert_eq!(response.text("service_tier"), Some("\"flex\""));
}

#[test]
fn a_character_that_is_cut_between_chunks_is_whole_in_the_response() {
    let chunk = |delta: &str| format!(r#"{{"choices":[{{"index":0,"delta":{delta}}}]}}"#);
    let piece = |arguments: &str| {
        chunk(&format!(
            r#"{{"tool_calls":[{{"index":0,"id":"c","function":{{"name":"f","arguments":"{arguments}"}}}}]}}"#
        ))
    };
    let mut builder = builder(0);
    let mut events = Vec::new();
    for chunk in [
        chunk(r#"{"reasoning_content":"a\ud83d"}"#),
        chunk(r#"{"content":"b\ud83d"}"#),
        chunk(r#"{"content":"\ude00c"}"#),
        piece(r#"{\"d\":\"\ud83d"#),
        piece(r#"\ude00\"}"#),
    ] {
        events.extend(builder.chunk(chunk.as_bytes()).unwrap());
    }
    let (last, response, _) = builder.complete(&charge(), LATER);
    events.extend(last);
    let deltas = events.iter().map(|event| Object::parse(&event.data).unwrap().get::<String>("delta"));
    let deltas: Vec<String> = deltas.flatten().collect();
    assert_eq!(deltas, ["a", "\u{fffd}", "b", "😀c", "{\"d\":\"", "😀\"}"]);
    let output = response.text("output").unwrap();
    for text in ["\"text\":\"a\u{fffd}\"", r#""text":"b😀c""#, r#""arguments":"{\"d\":\"😀\"}""#] {
        assert!(output.contains(text), "{text}: {output}");
    }
}
