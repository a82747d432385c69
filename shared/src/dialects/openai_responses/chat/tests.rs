use crate::dialects::openai_responses::{CreateResponse, Item, NewIds, StoredRequest, parse_items};
use crate::model::clock::Timestamp;
use crate::model::object::Object;

fn request(members: &str) -> CreateResponse {
    let body = format!(r#"{{"model":"m",{members}}}"#);
    CreateResponse::parse(body.as_bytes(), Timestamp(0)).unwrap()
}

/// The chat call for a request, without the model and the members of a stream.
#[track_caller]
fn check(members: &str, context: &str, expected: &str) {
    let context = parse_items(context.as_bytes(), "context", NewIds::At(Timestamp(0))).unwrap();
    let mut chat = match request(members).chat(&context) {
        Ok(body) => body.object,
        Err(error) => {
            let told = format!("{}: {}", error.param.unwrap_or_default(), error.message);
            assert_eq!(told, expected, "{members}");
            return;
        }
    };
    assert!(chat.remove("model") && chat.remove("stream") && chat.remove("stream_options"));
    assert_eq!(chat.to_bytes(), expected, "{members}");
}

#[test]
fn the_call_is_a_stream_with_usage() {
    let body = request(r#""input":"hi""#).chat(&[]).unwrap();
    let expected = r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true,"stream_options":{"include_usage":true}}"#;
    assert_eq!(body.object.to_bytes(), expected);
    assert!(body.stream && body.include_usage);
}

#[test]
fn items_become_messages() {
    for (input, messages) in [
        (r#""hi""#, r#"{"role":"user","content":"hi"}"#),
        (
            r#"[{"role":"developer","content":"Be brief."},{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]}]"#,
            r#"{"role":"developer","content":"Be brief."},{"role":"user","content":"hi"}"#,
        ),
        (
            r#"[{"role":"user","content":[{"type":"input_text","text":"What?"},{"type":"input_image","image_url":"https://a/b.png","detail":"low"},{"type":"input_image","image_url":"data:image/png;base64,AA=="},{"type":"input_image","image_url":"https://c","detail":"original"}]}]"#,
            r#"{"role":"user","content":[{"type":"text","text":"What?"},{"type":"image_url","image_url":{"url":"https://a/b.png","detail":"low"}},{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}},{"type":"image_url","image_url":{"url":"https://c","detail":"high"}}]}"#,
        ),
        (
            r#"[{"role":"user","content":[{"type":"input_file","filename":"a.pdf","file_data":"data:application/pdf;base64,AAAA"}]}]"#,
            r#"{"role":"user","content":[{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,AAAA"}}]}"#,
        ),
        (
            r#"[{"role":"user","content":"a"},{"id":"msg_1","type":"message","role":"assistant","status":"completed","content":[{"type":"output_text","text":"b","annotations":[]},{"type":"refusal","refusal":"no"}]},{"role":"user","content":"c"}]"#,
            r#"{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"text","text":"b"},{"type":"refusal","refusal":"no"}]},{"role":"user","content":"c"}"#,
        ),
        (
            r#"[{"role":"user","content":[]},{"role":"assistant","content":""}]"#,
            r#"{"role":"user","content":""},{"role":"assistant","content":""}"#,
        ),
    ] {
        check(&format!(r#""input":{input}"#), "[]", &format!(r#"{{"messages":[{messages}]}}"#));
    }
}

const CALL_A: &str = r#"{"type":"function_call","call_id":"a","name":"f","arguments":"{}"}"#;
const CALL_B: &str = r#"{"type":"function_call","id":"fc_9","call_id":"b","name":"g","arguments":"{\"x\":1}"}"#;
const OUTPUT_A: &str = r#"{"type":"function_call_output","call_id":"a","output":"1"}"#;
const OUTPUT_B: &str = r#"{"type":"function_call_output","call_id":"b","output":[{"type":"input_text","text":"2"},{"type":"input_image","image_url":"https://i"}]}"#;
const SAID: &str = r#"{"role":"assistant","content":"Let me see."}"#;
const REASONED: &str = r#"{"type":"reasoning","id":"rs_1","summary":[]}"#;

const TOOL_A: &str = r#"{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}"#;
const TOOL_B: &str = r#"{"id":"b","type":"function","function":{"name":"g","arguments":"{\"x\":1}"}}"#;
const RESULT_A: &str = r#"{"role":"tool","tool_call_id":"a","content":"1"}"#;
const RESULT_B: &str = r#"{"role":"tool","tool_call_id":"b","content":[{"type":"text","text":"2"},{"type":"image_url","image_url":{"url":"https://i"}}]}"#;

#[test]
fn thoughts_go_back_with_the_message_that_follows_them() {
    let thought = |n: u32| {
        format!(r#"{{"type":"reasoning","summary":[],"content":[{{"type":"reasoning_text","text":"t{n}"}}]}}"#)
    };
    let summary = r#"{"type":"reasoning","summary":[{"type":"summary_text","text":"s"}]}"#;
    for (items, messages) in [
        (
            vec![thought(1), SAID.to_owned()],
            r#"{"role":"assistant","reasoning_content":"t1","content":"Let me see."}"#.to_owned(),
        ),
        (
            vec![
                thought(1),
                CALL_A.to_owned(),
                thought(2),
                CALL_B.to_owned(),
                OUTPUT_A.to_owned(),
                OUTPUT_B.to_owned(),
            ],
            format!(
                r#"{{"role":"assistant","reasoning_content":"t1t2","content":null,"tool_calls":[{TOOL_A},{TOOL_B}]}},{RESULT_A},{RESULT_B}"#
            ),
        ),
        (
            vec![summary.to_owned(), r#"{"role":"user","content":"?"}"#.to_owned(), SAID.to_owned()],
            r#"{"role":"user","content":"?"},{"role":"assistant","content":"Let me see."}"#.to_owned(),
        ),
    ] {
        check(&format!(r#""input":[{}]"#, items.join(",")), "[]", &format!(r#"{{"messages":[{messages}]}}"#));
    }
}

#[test]
fn function_calls_are_one_message_with_their_outputs_behind() {
    let both = format!(
        r#"{{"role":"assistant","content":"Let me see.","tool_calls":[{TOOL_A},{TOOL_B}]}},{RESULT_A},{RESULT_B}"#
    );
    let silent = format!(r#"{{"role":"assistant","content":null,"tool_calls":[{TOOL_A}]}},{RESULT_A}"#);
    let other = format!(r#"{{"role":"assistant","content":null,"tool_calls":[{TOOL_B}]}},{RESULT_B}"#);
    for (items, messages) in [
        (vec![SAID, CALL_A, CALL_B, OUTPUT_A, OUTPUT_B], both.clone()),
        (vec![REASONED, SAID, REASONED, CALL_A, CALL_B, OUTPUT_B, OUTPUT_A], both.clone()),
        (vec![CALL_A, CALL_B, SAID, OUTPUT_A, OUTPUT_B], both),
        (vec![CALL_A, OUTPUT_A, CALL_B, OUTPUT_B], format!("{silent},{other}")),
        (
            vec![CALL_A, r#"{"role":"user","content":"?"}"#, OUTPUT_A],
            format!(r#"{silent},{{"role":"user","content":"?"}}"#),
        ),
        (vec![CALL_A, OUTPUT_A, CALL_A, OUTPUT_A], format!("{silent},{silent}")),
    ] {
        let input = format!(r#""input":[{}]"#, items.join(","));
        let input = input.replace(r#""id":"rs_1","#, "");
        check(&input, "[]", &format!(r#"{{"messages":[{messages}]}}"#));
    }
}

#[test]
fn instructions_and_context_come_before_the_input() {
    check(
        &format!(r#""instructions":"Be brief.","input":[{OUTPUT_A}]"#),
        &format!(r#"[{{"role":"user","content":"hi"}},{CALL_A}]"#),
        &format!(
            r#"{{"messages":[{{"role":"system","content":"Be brief."}},{{"role":"user","content":"hi"}},{{"role":"assistant","content":null,"tool_calls":[{TOOL_A}]}},{RESULT_A}]}}"#
        ),
    );
    check(
        r#""previous_response_id":"resp_1""#,
        r#"[{"role":"user","content":"hi"}]"#,
        r#"{"messages":[{"role":"user","content":"hi"}]}"#,
    );
}

#[test]
fn references_stand_for_items_that_are_there() {
    let context = r#"[{"id":"msg_1","role":"user","content":"hi"}]"#;
    check(
        r#""input":[{"type":"item_reference","id":"msg_1"},{"role":"user","content":"b"}]"#,
        context,
        r#"{"messages":[{"role":"user","content":"hi"},{"role":"user","content":"b"}]}"#,
    );
    check(
        r#""input":[{"id":"msg_1"}]"#,
        "[]",
        "input[0].id: Invalid value for 'input[0].id': there is no item 'msg_1'.",
    );
    let mut request = request(r#""input":[{"id":"msg_1"},{"id":"msg_2"},{"id":"msg_2","role":"user","content":"b"}]"#);
    assert_eq!(request.references(), ["msg_1"]);
    request.resolve(&parse_items(context.as_bytes(), "items", NewIds::At(Timestamp(0))).unwrap());
    assert_eq!(request.references(), [""; 0]);
    assert_eq!(
        request.chat(&[]).unwrap().object.text("messages"),
        Some(r#"[{"role":"user","content":"hi"},{"role":"user","content":"b"}]"#)
    );
}

#[test]
fn refuses_input_that_no_model_could_answer() {
    for (members, context, expected) in [
        (format!(r#""input":[{CALL_A}]"#), "[]".to_owned(), "input: No tool output found for function call 'a'."),
        (
            format!(r#""input":[{CALL_A},{OUTPUT_B}]"#),
            "[]".to_owned(),
            "input[1].call_id: No tool call found for function call output with call_id 'b'.",
        ),
        (
            r#""input":"go on""#.to_owned(),
            format!("[{OUTPUT_A}]"),
            ": An earlier item cannot be used: No tool call found for function call output with call_id 'a'.",
        ),
        (
            r#""previous_response_id":"resp_1""#.to_owned(),
            "[]".to_owned(),
            "input: Missing required parameter: 'input'.",
        ),
    ] {
        check(&members, &context, expected);
    }
}

#[test]
fn a_context_has_at_most_8_megabytes() {
    let of = |bytes: usize| {
        Item(Object::default().with("id", "m1").with("role", "user").with("content", &"a".repeat(bytes)))
    };
    let request = request(r#""input":"hi""#);
    assert!(request.chat(&[of(8_300_000)]).is_ok());
    for context in [vec![of(8_400_000)], vec![of(4_200_000), of(4_200_000)]] {
        let error = request.chat(&context).unwrap_err();
        assert_eq!((error.code, error.param.as_deref()), (Some("context_length_exceeded"), Some("input")));
        assert!(error.message.contains("more than 8 MB"), "{}", error.message);
        // A worker refuses the same.
        let stored = StoredRequest::new(&request, &context, Timestamp(0), Object::default(), None);
        assert_eq!(stored.chat(Timestamp(0)).unwrap_err(), error);
    }
}

#[test]
fn settings_get_chats_names() {
    for (members, chat) in [
        (
            r#""max_output_tokens":50,"temperature":0.20,"top_p":1"#,
            r#""max_completion_tokens":50,"temperature":0.20,"top_p":1"#,
        ),
        (
            r#""user":"u","safety_identifier":"s","prompt_cache_key":"k","service_tier":"flex","metadata":{"a":"b"},"truncation":"auto","store":false"#,
            r#""user":"u","safety_identifier":"s","prompt_cache_key":"k","service_tier":"flex""#,
        ),
        (r#""reasoning":{"effort":"low","summary":"auto"}"#, r#""reasoning_effort":"low","reasoning_summary":"auto""#),
        (
            r#""reasoning":{"effort":null},"text":{},"tools":[],"tool_choice":"auto","parallel_tool_calls":true,"temperature":null"#,
            "",
        ),
        (r#""text":{"format":{"type":"text"},"verbosity":"low"}"#, r#""verbosity":"low""#),
        (r#""text":{"format":{"type":"json_object"}}"#, r#""response_format":{"type":"json_object"}"#),
        (
            r#""text":{"format":{"type":"json_schema","name":"n","schema":{"type":"object"},"strict":true}}"#,
            r#""response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"},"strict":true}}"#,
        ),
        (r#""top_logprobs":2"#, r#""logprobs":true,"top_logprobs":2"#),
        (
            r#""include":["message.output_text.logprobs","reasoning.encrypted_content"],"top_logprobs":0"#,
            r#""logprobs":true"#,
        ),
        (
            r#""tools":[{"type":"function","name":"f","description":"d","parameters":{"type":"object"},"strict":true},{"type":"function","name":"g","parameters":null}],"tool_choice":{"type":"function","name":"g"},"parallel_tool_calls":false"#,
            r#""tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},"strict":true}},{"type":"function","function":{"name":"g"}}],"tool_choice":{"type":"function","function":{"name":"g"}},"parallel_tool_calls":false"#,
        ),
        (
            r#""tools":[{"type":"function","name":"f"},{"type":"function","name":"g"}],"tool_choice":{"type":"allowed_tools","mode":"required","tools":[{"type":"function","name":"g"}]}"#,
            r#""tools":[{"type":"function","function":{"name":"g"}}],"tool_choice":"required""#,
        ),
    ] {
        let comma = if chat.is_empty() { "" } else { "," };
        let expected = format!(r#"{{"messages":[{{"role":"user","content":"hi"}}]{comma}{chat}}}"#);
        check(&format!(r#""input":"hi",{members}"#), "[]", &expected);
    }
}

#[test]
fn the_numbers_of_the_body_are_those_of_the_whole_call() {
    let context = [Item(Object::parse(br#"{"id":"msg_1","type":"message","role":"user","content":[{"type":"input_image","image_url":"data:image/png;base64,AAAA"}]}"#).unwrap())];
    let members = r#""instructions":"i","max_output_tokens":17,"tools":[{"type":"function","name":"f"}],"input":[{"role":"user","content":[{"type":"input_file","filename":"a","file_data":"AAAA"}]}]"#;
    let body = request(members).chat(&context).unwrap();
    assert_eq!((body.images, body.other_media, body.max_output_tokens, body.has_tools), (1, 1, Some(17), true));
    assert_eq!((body.choices, body.contexts), (1, 1));
    let media = [
        r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}"#,
        r#"{"type":"file","file":{"filename":"a","file_data":"AAAA"}}"#,
    ];
    let media: usize = media.iter().map(|part| part.len()).sum();
    assert_eq!(body.text_bytes, (body.object.to_bytes().len() - media) as u64);
}
