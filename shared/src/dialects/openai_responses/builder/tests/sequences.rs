//! Whole streams, event by event.

use serde_json::{Value, json};

use super::*;

/// Plays a stream from its beginning to its end and compares all events but the first two.
#[track_caller]
fn check(deltas: &[Value], expected: &str) {
    check_with("[]", deltas, expected);
}

/// As `check`, for a request with tools.
#[track_caller]
fn check_with(tools: &str, deltas: &[Value], expected: &str) {
    let mut builder = builder_with(tools, 0);
    let mut events = vec![builder.created_event(Status::InProgress), builder.in_progress_event()];
    for chunk in chunks(deltas) {
        events.extend(builder.chunk(&chunk).unwrap());
    }
    let (last, ..) = builder.complete(&charge(), LATER);
    events.extend(last);
    let lines = lines(&events);
    assert_eq!(lines[..2], [r#"0 created {"status":"in_progress"}"#, r#"1 in_progress {"status":"in_progress"}"#]);
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(lines[2..], expected);
}

#[test]
fn a_text_comes_in_pieces() {
    check(
        &[
            json!({"role": "assistant", "content": ""}),
            json!({"content": "Good "}),
            json!({"content": "day"}),
            json!("stop"),
        ],
        r#"
            2 output_item.added {"output_index":0,"item":{"id":"msg_0","type":"message","status":"in_progress","content":[],"role":"assistant"}}
            3 content_part.added {"item_id":"msg_0","output_index":0,"content_index":0,"part":{"type":"output_text","annotations":[],"logprobs":[],"text":""}}
            4 output_text.delta {"item_id":"msg_0","output_index":0,"content_index":0,"delta":"Good ","logprobs":[]}
            5 output_text.delta {"item_id":"msg_0","output_index":0,"content_index":0,"delta":"day","logprobs":[]}
            6 output_text.done {"item_id":"msg_0","output_index":0,"content_index":0,"text":"Good day","logprobs":[]}
            7 content_part.done {"item_id":"msg_0","output_index":0,"content_index":0,"part":{"type":"output_text","annotations":[],"logprobs":[],"text":"Good day"}}
            8 output_item.done {"output_index":0,"item":{"id":"msg_0","type":"message","status":"completed","content":[{"type":"output_text","annotations":[],"logprobs":[],"text":"Good day"}],"role":"assistant"}}
            9 completed {"status":"completed","completed_at":1790000002,"output":[{"id":"msg_0","type":"message","status":"completed","content":[{"type":"output_text","annotations":[],"logprobs":[],"text":"Good day"}],"role":"assistant"}]}
        "#,
    );
}

#[test]
fn citations_belong_to_their_text() {
    let cited = |page: &str| json!({"type": "url_citation", "url_citation": {"url": page, "title": "T", "start_index": 0, "end_index": 2}});
    check(
        &[
            json!({"role": "assistant", "annotations": [cited("a")]}),
            json!({"content": "Go"}),
            json!({"annotations": [cited("a"), cited("b")]}),
            json!("stop"),
        ],
        r#"
            2 output_item.added {"output_index":0,"item":{"id":"msg_0","type":"message","status":"in_progress","content":[],"role":"assistant"}}
            3 content_part.added {"item_id":"msg_0","output_index":0,"content_index":0,"part":{"type":"output_text","annotations":[],"logprobs":[],"text":""}}
            4 output_text.annotation.added {"item_id":"msg_0","output_index":0,"content_index":0,"annotation_index":0,"annotation":{"type":"url_citation","start_index":0,"end_index":2,"url":"a","title":"T"}}
            5 output_text.delta {"item_id":"msg_0","output_index":0,"content_index":0,"delta":"Go","logprobs":[]}
            6 output_text.annotation.added {"item_id":"msg_0","output_index":0,"content_index":0,"annotation_index":1,"annotation":{"type":"url_citation","start_index":0,"end_index":2,"url":"b","title":"T"}}
            7 output_text.done {"item_id":"msg_0","output_index":0,"content_index":0,"text":"Go","logprobs":[]}
            8 content_part.done {"item_id":"msg_0","output_index":0,"content_index":0,"part":{"type":"output_text","annotations":[{"type":"url_citation","start_index":0,"end_index":2,"url":"a","title":"T"},{"type":"url_citation","start_index":0,"end_index":2,"url":"b","title":"T"}],"logprobs":[],"text":"Go"}}
            9 output_item.done {"output_index":0,"item":{"id":"msg_0","type":"message","status":"completed","content":[{"type":"output_text","annotations":[{"type":"url_citation","start_index":0,"end_index":2,"url":"a","title":"T"},{"type":"url_citation","start_index":0,"end_index":2,"url":"b","title":"T"}],"logprobs":[],"text":"Go"}],"role":"assistant"}}
            10 completed {"status":"completed","completed_at":1790000002,"output":[{"id":"msg_0","type":"message","status":"completed","content":[{"type":"output_text","annotations":[{"type":"url_citation","start_index":0,"end_index":2,"url":"a","title":"T"},{"type":"url_citation","start_index":0,"end_index":2,"url":"b","title":"T"}],"logprobs":[],"text":"Go"}],"role":"assistant"}]}
        "#,
    );
}

#[test]
fn a_whole_message_in_a_chunk_adds_its_citations() {
    let mut builder = builder(0);
    builder.chunk(br#"{"choices":[{"index":0,"delta":{"content":"Go"}}]}"#).unwrap();
    let message = br#"{"choices":[{"index":0,"delta":{},"message":{"content":"Go","annotations":[{"type":"url_citation","url_citation":{"url":"a"}}]},"finish_reason":"stop"}]}"#;
    let names: Vec<&str> = builder.chunk(message).unwrap().iter().map(|event| event.name).collect();
    assert_eq!(names, ["response.output_text.annotation.added"]);
}

#[test]
fn a_call_has_the_namespace_and_the_kind_of_its_tool() {
    check_with(
        r#"[{"type":"namespace","name":"n","tools":[{"type":"function","name":"f"}]},{"type":"custom","name":"c"},{"type":"tool_search","execution":"client"}]"#,
        &[
            json!({"tool_calls": [{"index": 0, "id": "call_a", "type": "function", "function": {"name": "n__f", "arguments": "{}"}}]}),
            json!({"tool_calls": [{"index": 1, "id": "call_b", "type": "custom", "custom": {"name": "c", "input": "a "}}]}),
            json!({"tool_calls": [{"index": 1, "custom": {"input": "{}"}}]}),
            json!({"tool_calls": [{"index": 2, "id": "call_c", "type": "function", "function": {"name": "tool_search", "arguments": "{\"q\":1}"}}]}),
            json!("tool_calls"),
        ],
        r#"
            2 output_item.added {"output_index":0,"item":{"id":"fc_0","type":"function_call","status":"in_progress","arguments":"","call_id":"call_a","name":"f","namespace":"n"}}
            3 function_call_arguments.delta {"item_id":"fc_0","output_index":0,"delta":"{}"}
            4 function_call_arguments.done {"item_id":"fc_0","output_index":0,"name":"f","arguments":"{}"}
            5 output_item.done {"output_index":0,"item":{"id":"fc_0","type":"function_call","status":"completed","arguments":"{}","call_id":"call_a","name":"f","namespace":"n"}}
            6 output_item.added {"output_index":1,"item":{"id":"ctc_1","type":"custom_tool_call","status":"in_progress","input":"","call_id":"call_b","name":"c"}}
            7 custom_tool_call_input.delta {"item_id":"ctc_1","output_index":1,"delta":"a "}
            8 custom_tool_call_input.delta {"item_id":"ctc_1","output_index":1,"delta":"{}"}
            9 output_item.added {"output_index":2,"item":{"id":"tsc_2","type":"tool_search_call","status":"in_progress","call_id":"call_c","execution":"client","arguments":{}}}
            10 custom_tool_call_input.done {"item_id":"ctc_1","output_index":1,"input":"a {}"}
            11 output_item.done {"output_index":1,"item":{"id":"ctc_1","type":"custom_tool_call","status":"completed","input":"a {}","call_id":"call_b","name":"c"}}
            12 output_item.done {"output_index":2,"item":{"id":"tsc_2","type":"tool_search_call","status":"completed","call_id":"call_c","execution":"client","arguments":{"q":1}}}
            13 completed {"status":"completed","completed_at":1790000002,"output":[{"id":"fc_0","type":"function_call","status":"completed","arguments":"{}","call_id":"call_a","name":"f","namespace":"n"},{"id":"ctc_1","type":"custom_tool_call","status":"completed","input":"a {}","call_id":"call_b","name":"c"},{"id":"tsc_2","type":"tool_search_call","status":"completed","call_id":"call_c","execution":"client","arguments":{"q":1}}]}
        "#,
    );
}

#[test]
fn a_function_call_comes_in_pieces() {
    check(
        &[
            json!({"tool_calls": [{"index": 0, "id": "call_a", "type": "function", "function": {"name": "f", "arguments": ""}}]}),
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"a\":"}}]}),
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]}),
            json!("tool_calls"),
        ],
        r#"
            2 output_item.added {"output_index":0,"item":{"id":"fc_0","type":"function_call","status":"in_progress","arguments":"","call_id":"call_a","name":"f"}}
            3 function_call_arguments.delta {"item_id":"fc_0","output_index":0,"delta":"{\"a\":"}
            4 function_call_arguments.delta {"item_id":"fc_0","output_index":0,"delta":"1}"}
            5 function_call_arguments.done {"item_id":"fc_0","output_index":0,"name":"f","arguments":"{\"a\":1}"}
            6 output_item.done {"output_index":0,"item":{"id":"fc_0","type":"function_call","status":"completed","arguments":"{\"a\":1}","call_id":"call_a","name":"f"}}
            7 completed {"status":"completed","completed_at":1790000002,"output":[{"id":"fc_0","type":"function_call","status":"completed","arguments":"{\"a\":1}","call_id":"call_a","name":"f"}]}
        "#,
    );
}

#[test]
fn a_text_and_two_calls_follow_each_other() {
    check(
        &[
            json!({"content": "Let me see."}),
            json!({"tool_calls": [{"index": 0, "id": "call_a", "function": {"name": "f", "arguments": "{}"}}]}),
            json!({"tool_calls": [{"index": 1, "id": "call_b", "function": {"name": "g", "arguments": "{\"b\":"}}]}),
            json!({"tool_calls": [{"index": 1, "function": {"arguments": "2}"}}]}),
            json!("tool_calls"),
        ],
        r#"
            2 output_item.added {"output_index":0,"item":{"id":"msg_0","type":"message","status":"in_progress","content":[],"role":"assistant"}}
            3 content_part.added {"item_id":"msg_0","output_index":0,"content_index":0,"part":{"type":"output_text","annotations":[],"logprobs":[],"text":""}}
            4 output_text.delta {"item_id":"msg_0","output_index":0,"content_index":0,"delta":"Let me see.","logprobs":[]}
            5 output_text.done {"item_id":"msg_0","output_index":0,"content_index":0,"text":"Let me see.","logprobs":[]}
            6 content_part.done {"item_id":"msg_0","output_index":0,"content_index":0,"part":{"type":"output_text","annotations":[],"logprobs":[],"text":"Let me see."}}
            7 output_item.done {"output_index":0,"item":{"id":"msg_0","type":"message","status":"completed","content":[{"type":"output_text","annotations":[],"logprobs":[],"text":"Let me see."}],"role":"assistant"}}
            8 output_item.added {"output_index":1,"item":{"id":"fc_1","type":"function_call","status":"in_progress","arguments":"","call_id":"call_a","name":"f"}}
            9 function_call_arguments.delta {"item_id":"fc_1","output_index":1,"delta":"{}"}
            10 function_call_arguments.done {"item_id":"fc_1","output_index":1,"name":"f","arguments":"{}"}
            11 output_item.done {"output_index":1,"item":{"id":"fc_1","type":"function_call","status":"completed","arguments":"{}","call_id":"call_a","name":"f"}}
            12 output_item.added {"output_index":2,"item":{"id":"fc_2","type":"function_call","status":"in_progress","arguments":"","call_id":"call_b","name":"g"}}
            13 function_call_arguments.delta {"item_id":"fc_2","output_index":2,"delta":"{\"b\":"}
            14 function_call_arguments.delta {"item_id":"fc_2","output_index":2,"delta":"2}"}
            15 function_call_arguments.done {"item_id":"fc_2","output_index":2,"name":"g","arguments":"{\"b\":2}"}
            16 output_item.done {"output_index":2,"item":{"id":"fc_2","type":"function_call","status":"completed","arguments":"{\"b\":2}","call_id":"call_b","name":"g"}}
            17 completed {"status":"completed","completed_at":1790000002,"output":[{"id":"msg_0","type":"message","status":"completed","content":[{"type":"output_text","annotations":[],"logprobs":[],"text":"Let me see."}],"role":"assistant"},{"id":"fc_1","type":"function_call","status":"completed","arguments":"{}","call_id":"call_a","name":"f"},{"id":"fc_2","type":"function_call","status":"completed","arguments":"{\"b\":2}","call_id":"call_b","name":"g"}]}
        "#,
    );
}

#[test]
fn pieces_of_parallel_calls_may_be_mixed() {
    check(
        &[
            json!({"tool_calls": [
                {"index": 0, "id": "call_a", "function": {"name": "f"}},
                {"index": 1, "id": "call_b", "function": {"name": "g"}},
            ]}),
            json!({"tool_calls": [{"index": 1, "function": {"arguments": "{"}}, {"index": 0, "function": {"arguments": "{}"}}]}),
            json!({"tool_calls": [{"index": 1, "function": {"arguments": "}"}}]}),
            json!("tool_calls"),
        ],
        r#"
            2 output_item.added {"output_index":0,"item":{"id":"fc_0","type":"function_call","status":"in_progress","arguments":"","call_id":"call_a","name":"f"}}
            3 output_item.added {"output_index":1,"item":{"id":"fc_1","type":"function_call","status":"in_progress","arguments":"","call_id":"call_b","name":"g"}}
            4 function_call_arguments.delta {"item_id":"fc_1","output_index":1,"delta":"{"}
            5 function_call_arguments.delta {"item_id":"fc_0","output_index":0,"delta":"{}"}
            6 function_call_arguments.delta {"item_id":"fc_1","output_index":1,"delta":"}"}
            7 function_call_arguments.done {"item_id":"fc_0","output_index":0,"name":"f","arguments":"{}"}
            8 output_item.done {"output_index":0,"item":{"id":"fc_0","type":"function_call","status":"completed","arguments":"{}","call_id":"call_a","name":"f"}}
            9 function_call_arguments.done {"item_id":"fc_1","output_index":1,"name":"g","arguments":"{}"}
            10 output_item.done {"output_index":1,"item":{"id":"fc_1","type":"function_call","status":"completed","arguments":"{}","call_id":"call_b","name":"g"}}
            11 completed {"status":"completed","completed_at":1790000002,"output":[{"id":"fc_0","type":"function_call","status":"completed","arguments":"{}","call_id":"call_a","name":"f"},{"id":"fc_1","type":"function_call","status":"completed","arguments":"{}","call_id":"call_b","name":"g"}]}
        "#,
    );
}

#[test]
fn a_call_whose_pieces_have_different_ids_is_one_call() {
    check(
        &[
            json!({"tool_calls": [{"index": 0, "id": "call_a", "function": {"name": "f", "arguments": ""}}]}),
            json!({"tool_calls": [{"index": 0, "id": "call_b", "function": {"arguments": "{\"a\":"}}]}),
            json!({"tool_calls": [{"index": 0, "id": "call_c", "function": {"name": "", "arguments": "1}"}}]}),
            json!("tool_calls"),
        ],
        r#"
            2 output_item.added {"output_index":0,"item":{"id":"fc_0","type":"function_call","status":"in_progress","arguments":"","call_id":"call_a","name":"f"}}
            3 function_call_arguments.delta {"item_id":"fc_0","output_index":0,"delta":"{\"a\":"}
            4 function_call_arguments.delta {"item_id":"fc_0","output_index":0,"delta":"1}"}
            5 function_call_arguments.done {"item_id":"fc_0","output_index":0,"name":"f","arguments":"{\"a\":1}"}
            6 output_item.done {"output_index":0,"item":{"id":"fc_0","type":"function_call","status":"completed","arguments":"{\"a\":1}","call_id":"call_a","name":"f"}}
            7 completed {"status":"completed","completed_at":1790000002,"output":[{"id":"fc_0","type":"function_call","status":"completed","arguments":"{\"a\":1}","call_id":"call_a","name":"f"}]}
        "#,
    );
}

#[test]
fn an_empty_finish_reason_is_none() {
    check(
        &[
            json!({"tool_calls": [{"index": 0, "id": "call_a", "function": {"name": "f", "arguments": "{}"}}]}),
            json!("length"),
            json!(""),
        ],
        r#"
            2 output_item.added {"output_index":0,"item":{"id":"fc_0","type":"function_call","status":"in_progress","arguments":"","call_id":"call_a","name":"f"}}
            3 function_call_arguments.delta {"item_id":"fc_0","output_index":0,"delta":"{}"}
            4 function_call_arguments.done {"item_id":"fc_0","output_index":0,"name":"f","arguments":"{}"}
            5 output_item.done {"output_index":0,"item":{"id":"fc_0","type":"function_call","status":"incomplete","arguments":"{}","call_id":"call_a","name":"f"}}
            6 incomplete {"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"output":[{"id":"fc_0","type":"function_call","status":"incomplete","arguments":"{}","call_id":"call_a","name":"f"}]}
        "#,
    );
}

#[test]
fn calls_without_index_id_or_arguments_are_distinguished() {
    check(
        &[
            json!({"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}, {"id": "b", "function": {"name": "f"}}]}),
            json!({"tool_calls": [{"index": 0, "function": {"name": "g", "arguments": "{}"}}]}),
            json!("stop"),
        ],
        r#"
            2 output_item.added {"output_index":0,"item":{"id":"fc_0","type":"function_call","status":"in_progress","arguments":"","call_id":"a","name":"f"}}
            3 function_call_arguments.delta {"item_id":"fc_0","output_index":0,"delta":"{}"}
            4 function_call_arguments.done {"item_id":"fc_0","output_index":0,"name":"f","arguments":"{}"}
            5 output_item.done {"output_index":0,"item":{"id":"fc_0","type":"function_call","status":"completed","arguments":"{}","call_id":"a","name":"f"}}
            6 output_item.added {"output_index":1,"item":{"id":"fc_1","type":"function_call","status":"in_progress","arguments":"","call_id":"b","name":"f"}}
            7 output_item.added {"output_index":2,"item":{"id":"fc_2","type":"function_call","status":"in_progress","arguments":"","call_id":"call_3","name":"g"}}
            8 function_call_arguments.delta {"item_id":"fc_2","output_index":2,"delta":"{}"}
            9 function_call_arguments.delta {"item_id":"fc_1","output_index":1,"delta":"{}"}
            10 function_call_arguments.done {"item_id":"fc_1","output_index":1,"name":"f","arguments":"{}"}
            11 output_item.done {"output_index":1,"item":{"id":"fc_1","type":"function_call","status":"completed","arguments":"{}","call_id":"b","name":"f"}}
            12 function_call_arguments.done {"item_id":"fc_2","output_index":2,"name":"g","arguments":"{}"}
            13 output_item.done {"output_index":2,"item":{"id":"fc_2","type":"function_call","status":"completed","arguments":"{}","call_id":"call_3","name":"g"}}
            14 completed {"status":"completed","completed_at":1790000002,"output":[{"id":"fc_0","type":"function_call","status":"completed","arguments":"{}","call_id":"a","name":"f"},{"id":"fc_1","type":"function_call","status":"completed","arguments":"{}","call_id":"b","name":"f"},{"id":"fc_2","type":"function_call","status":"completed","arguments":"{}","call_id":"call_3","name":"g"}]}
        "#,
    );
}

#[test]
fn reasoning_ends_before_the_text_begins() {
    check(
        &[
            json!({"reasoning_content": "Hm"}),
            json!({"reasoning": "."}),
            json!({"content": "Yes", "reasoning": null}),
            json!("stop"),
        ],
        r#"
            2 output_item.added {"output_index":0,"item":{"id":"rs_0","type":"reasoning","status":"in_progress","summary":[],"content":[]}}
            3 content_part.added {"item_id":"rs_0","output_index":0,"content_index":0,"part":{"type":"reasoning_text","text":""}}
            4 reasoning_text.delta {"item_id":"rs_0","output_index":0,"content_index":0,"delta":"Hm"}
            5 reasoning_text.delta {"item_id":"rs_0","output_index":0,"content_index":0,"delta":"."}
            6 reasoning_text.done {"item_id":"rs_0","output_index":0,"content_index":0,"text":"Hm."}
            7 content_part.done {"item_id":"rs_0","output_index":0,"content_index":0,"part":{"type":"reasoning_text","text":"Hm."}}
            8 output_item.done {"output_index":0,"item":{"id":"rs_0","type":"reasoning","status":"completed","summary":[],"content":[{"type":"reasoning_text","text":"Hm."}]}}
            9 output_item.added {"output_index":1,"item":{"id":"msg_1","type":"message","status":"in_progress","content":[],"role":"assistant"}}
            10 content_part.added {"item_id":"msg_1","output_index":1,"content_index":0,"part":{"type":"output_text","annotations":[],"logprobs":[],"text":""}}
            11 output_text.delta {"item_id":"msg_1","output_index":1,"content_index":0,"delta":"Yes","logprobs":[]}
            12 output_text.done {"item_id":"msg_1","output_index":1,"content_index":0,"text":"Yes","logprobs":[]}
            13 content_part.done {"item_id":"msg_1","output_index":1,"content_index":0,"part":{"type":"output_text","annotations":[],"logprobs":[],"text":"Yes"}}
            14 output_item.done {"output_index":1,"item":{"id":"msg_1","type":"message","status":"completed","content":[{"type":"output_text","annotations":[],"logprobs":[],"text":"Yes"}],"role":"assistant"}}
            15 completed {"status":"completed","completed_at":1790000002,"output":[{"id":"rs_0","type":"reasoning","status":"completed","summary":[],"content":[{"type":"reasoning_text","text":"Hm."}]},{"id":"msg_1","type":"message","status":"completed","content":[{"type":"output_text","annotations":[],"logprobs":[],"text":"Yes"}],"role":"assistant"}]}
        "#,
    );
}

#[test]
fn a_refusal_is_a_part_of_its_own() {
    check(
        &[json!({"content": "Oh. "}), json!({"refusal": "I "}), json!({"refusal": "won't."}), json!("stop")],
        r#"
            2 output_item.added {"output_index":0,"item":{"id":"msg_0","type":"message","status":"in_progress","content":[],"role":"assistant"}}
            3 content_part.added {"item_id":"msg_0","output_index":0,"content_index":0,"part":{"type":"output_text","annotations":[],"logprobs":[],"text":""}}
            4 output_text.delta {"item_id":"msg_0","output_index":0,"content_index":0,"delta":"Oh. ","logprobs":[]}
            5 output_text.done {"item_id":"msg_0","output_index":0,"content_index":0,"text":"Oh. ","logprobs":[]}
            6 content_part.done {"item_id":"msg_0","output_index":0,"content_index":0,"part":{"type":"output_text","annotations":[],"logprobs":[],"text":"Oh. "}}
            7 content_part.added {"item_id":"msg_0","output_index":0,"content_index":1,"part":{"type":"refusal","refusal":""}}
            8 refusal.delta {"item_id":"msg_0","output_index":0,"content_index":1,"delta":"I "}
            9 refusal.delta {"item_id":"msg_0","output_index":0,"content_index":1,"delta":"won't."}
            10 refusal.done {"item_id":"msg_0","output_index":0,"content_index":1,"refusal":"I won't."}
            11 content_part.done {"item_id":"msg_0","output_index":0,"content_index":1,"part":{"type":"refusal","refusal":"I won't."}}
            12 output_item.done {"output_index":0,"item":{"id":"msg_0","type":"message","status":"completed","content":[{"type":"output_text","annotations":[],"logprobs":[],"text":"Oh. "},{"type":"refusal","refusal":"I won't."}],"role":"assistant"}}
            13 completed {"status":"completed","completed_at":1790000002,"output":[{"id":"msg_0","type":"message","status":"completed","content":[{"type":"output_text","annotations":[],"logprobs":[],"text":"Oh. "},{"type":"refusal","refusal":"I won't."}],"role":"assistant"}]}
        "#,
    );
}

#[test]
fn output_that_was_cut_off_is_incomplete() {
    check(
        &[json!({"content": "On"}), json!("length")],
        r#"
            2 output_item.added {"output_index":0,"item":{"id":"msg_0","type":"message","status":"in_progress","content":[],"role":"assistant"}}
            3 content_part.added {"item_id":"msg_0","output_index":0,"content_index":0,"part":{"type":"output_text","annotations":[],"logprobs":[],"text":""}}
            4 output_text.delta {"item_id":"msg_0","output_index":0,"content_index":0,"delta":"On","logprobs":[]}
            5 output_text.done {"item_id":"msg_0","output_index":0,"content_index":0,"text":"On","logprobs":[]}
            6 content_part.done {"item_id":"msg_0","output_index":0,"content_index":0,"part":{"type":"output_text","annotations":[],"logprobs":[],"text":"On"}}
            7 output_item.done {"output_index":0,"item":{"id":"msg_0","type":"message","status":"incomplete","content":[{"type":"output_text","annotations":[],"logprobs":[],"text":"On"}],"role":"assistant"}}
            8 incomplete {"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"output":[{"id":"msg_0","type":"message","status":"incomplete","content":[{"type":"output_text","annotations":[],"logprobs":[],"text":"On"}],"role":"assistant"}]}
        "#,
    );
}

#[test]
fn filtered_output_is_incomplete() {
    check(
        &[
            json!({"tool_calls": [{"index": 0, "id": "call_a", "function": {"name": "f", "arguments": "{"}}]}),
            json!("content_filter"),
        ],
        r#"
            2 output_item.added {"output_index":0,"item":{"id":"fc_0","type":"function_call","status":"in_progress","arguments":"","call_id":"call_a","name":"f"}}
            3 function_call_arguments.delta {"item_id":"fc_0","output_index":0,"delta":"{"}
            4 function_call_arguments.done {"item_id":"fc_0","output_index":0,"name":"f","arguments":"{"}
            5 output_item.done {"output_index":0,"item":{"id":"fc_0","type":"function_call","status":"incomplete","arguments":"{","call_id":"call_a","name":"f"}}
            6 incomplete {"status":"incomplete","incomplete_details":{"reason":"content_filter"},"output":[{"id":"fc_0","type":"function_call","status":"incomplete","arguments":"{","call_id":"call_a","name":"f"}]}
        "#,
    );
}

#[test]
fn a_stream_that_says_nothing_completes_without_output() {
    check(
        &[json!({"role": "assistant", "content": ""}), json!({"content": null, "refusal": null}), json!("stop")],
        r#"
            2 completed {"status":"completed","completed_at":1790000002}
        "#,
    );
}

#[test]
fn a_summary_has_parts_of_its_own() {
    let entry = |text: &str, index: u64| json!([{"type": "reasoning.summary", "summary": text, "index": index}]);
    check(
        &[
            json!({"reasoning_content": "A", "reasoning_details": entry("A", 0)}),
            json!({"reasoning_content": "b", "reasoning_details": entry("b", 0)}),
            json!({"reasoning_content": "\n\nC", "reasoning_details": entry("C", 1)}),
            json!({"reasoning_details": [{"type": "reasoning.encrypted", "data": "d", "index": 2}]}),
            json!("stop"),
        ],
        r#"
            2 output_item.added {"output_index":0,"item":{"id":"rs_0","type":"reasoning","status":"in_progress","summary":[],"content":[]}}
            3 reasoning_summary_part.added {"item_id":"rs_0","output_index":0,"summary_index":0,"part":{"type":"summary_text","text":""}}
            4 reasoning_summary_text.delta {"item_id":"rs_0","output_index":0,"summary_index":0,"delta":"A"}
            5 reasoning_summary_text.delta {"item_id":"rs_0","output_index":0,"summary_index":0,"delta":"b"}
            6 reasoning_summary_text.done {"item_id":"rs_0","output_index":0,"summary_index":0,"text":"Ab"}
            7 reasoning_summary_part.done {"item_id":"rs_0","output_index":0,"summary_index":0,"part":{"type":"summary_text","text":"Ab"}}
            8 reasoning_summary_part.added {"item_id":"rs_0","output_index":0,"summary_index":1,"part":{"type":"summary_text","text":""}}
            9 reasoning_summary_text.delta {"item_id":"rs_0","output_index":0,"summary_index":1,"delta":"C"}
            10 reasoning_summary_text.done {"item_id":"rs_0","output_index":0,"summary_index":1,"text":"C"}
            11 reasoning_summary_part.done {"item_id":"rs_0","output_index":0,"summary_index":1,"part":{"type":"summary_text","text":"C"}}
            12 output_item.done {"output_index":0,"item":{"id":"rs_0","type":"reasoning","status":"completed","summary":[{"type":"summary_text","text":"Ab"},{"type":"summary_text","text":"C"}],"content":[],"encrypted_content":"weir:1:W3siaW5kZXgiOjAsInN1bW1hcnkiOiJBYiIsInR5cGUiOiJyZWFzb25pbmcuc3VtbWFyeSJ9LHsiaW5kZXgiOjEsInN1bW1hcnkiOiJDIiwidHlwZSI6InJlYXNvbmluZy5zdW1tYXJ5In0seyJkYXRhIjoiZCIsImluZGV4IjoyLCJ0eXBlIjoicmVhc29uaW5nLmVuY3J5cHRlZCJ9XQ"}}
            13 completed {"status":"completed","completed_at":1790000002,"output":[{"id":"rs_0","type":"reasoning","status":"completed","summary":[{"type":"summary_text","text":"Ab"},{"type":"summary_text","text":"C"}],"content":[],"encrypted_content":"weir:1:W3siaW5kZXgiOjAsInN1bW1hcnkiOiJBYiIsInR5cGUiOiJyZWFzb25pbmcuc3VtbWFyeSJ9LHsiaW5kZXgiOjEsInN1bW1hcnkiOiJDIiwidHlwZSI6InJlYXNvbmluZy5zdW1tYXJ5In0seyJkYXRhIjoiZCIsImluZGV4IjoyLCJ0eXBlIjoicmVhc29uaW5nLmVuY3J5cHRlZCJ9XQ"}]}
        "#,
    );
}
