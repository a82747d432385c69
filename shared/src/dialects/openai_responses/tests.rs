//! Accepted and refused requests.

use super::*;
use crate::model::clock::Timestamp;
use crate::model::object::Object;
use crate::model::response::Status;

const NOW: Timestamp = Timestamp(1_790_000_000_000);

/// Checks the error for a body that is valid except for these members: its path, code and message.
#[track_caller]
fn refused(members: &str, param: &str, code: Option<&str>, message: &str) {
    let body = format!(r#"{{"model":"m",{members}}}"#);
    let read = CreateResponse::parse(body.as_bytes(), NOW).and_then(|create| create.chat(&[]).map(drop));
    let error = read.unwrap_err();
    assert_eq!((error.param.as_deref(), error.code, error.message.as_str()), (Some(param), code, message), "{members}");
}

/// Checks the error for a value, with the usual code and text.
#[track_caller]
fn invalid(members: &str, param: &str, reason: &str) {
    refused(members, param, Some("invalid_value"), &format!("Invalid value for '{param}': {reason}."));
}

#[track_caller]
fn mistyped(members: &str, param: &str, reason: &str) {
    refused(members, param, Some("invalid_type"), &format!("Invalid value for '{param}': {reason}."));
}

#[track_caller]
fn missing(members: &str, param: &str) {
    let message = format!("Missing required parameter: '{param}'.");
    refused(members, param, Some("missing_required_parameter"), &message);
}

#[test]
fn wrong_types_are_named_with_their_path() {
    mistyped(r#""input":5"#, "input", "invalid type: integer `5`, expected a string or a list");
    mistyped(r#""input":["a"]"#, "input[0]", "invalid type: string \"a\", expected a JSON object");
    mistyped(
        r#""input":[{"role":"user","content":7}]"#,
        "input[0].content",
        "invalid type: integer `7`, expected a string or a list",
    );
    mistyped(
        r#""input":[{"role":"user","content":["a"]}]"#,
        "input[0].content[0]",
        "invalid type: string \"a\", expected a JSON object",
    );
    mistyped(
        r#""input":[{"role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_image","image_url":{"url":"u"}}]}]"#,
        "input[0].content[1].image_url",
        "invalid type: object, expected a string",
    );
    mistyped(r#""input":"a","stream":"yes""#, "stream", "invalid type: string \"yes\", expected a boolean");
    mistyped(r#""input":"a","tools":{}"#, "tools", "invalid type: object, expected an array");
    mistyped(
        r#""input":"a","tools":[{"type":"function","name":"f","strict":1}]"#,
        "tools[0].strict",
        "invalid type: integer `1`, expected a boolean",
    );
    mistyped(r#""input":"a","reasoning":"low""#, "reasoning", "invalid type: string \"low\", expected a JSON object");
    mistyped(r#""input":"a","metadata":{"a":1}"#, "metadata.a", "invalid type: integer `1`, expected a string");
    mistyped(
        r#""input":"a","conversation":{"id":1}"#,
        "conversation.id",
        "invalid type: integer `1`, expected a string",
    );
    mistyped(r#""input":"a","previous_response_id":"""#, "previous_response_id", "it must not be empty");
}

#[test]
fn missing_members_are_named_with_their_path() {
    missing(r#""instructions":"a""#, "input");
    missing(r#""input":[]"#, "input");
    missing(r#""input":[{}]"#, "input[0].type");
    missing(r#""input":[{"role":"user"}]"#, "input[0].content");
    missing(r#""input":[{"type":"message","content":"a"}]"#, "input[0].role");
    missing(r#""input":[{"role":"user","content":[{"type":"input_text"}]}]"#, "input[0].content[0].text");
    missing(r#""input":[{"role":"user","content":[{"type":"input_image"}]}]"#, "input[0].content[0].image_url");
    missing(
        r#""input":[{"role":"user","content":[{"type":"input_file","file_data":"AAAA"}]}]"#,
        "input[0].content[0].filename",
    );
    missing(r#""input":[{"type":"function_call","call_id":"a","name":"f"}]"#, "input[0].arguments");
    missing(r#""input":[{"type":"function_call_output","output":"a"}]"#, "input[0].call_id");
    missing(r#""input":"a","tools":[{"type":"function"}]"#, "tools[0].name");
    missing(r#""input":"a","text":{"format":{"type":"json_schema","name":"n"}}"#, "text.format.schema");
    let error = CreateResponse::parse(br#"{"input":"a"}"#, NOW).unwrap_err();
    assert_eq!(error.param.as_deref(), Some("model"));
    assert!(CreateResponse::parse_to_count(br#"{"input":"a"}"#, NOW).is_ok());
    assert!(
        CreateResponse::parse(b"[1]", NOW).unwrap_err().message.starts_with("The request body must be a JSON object")
    );
}

#[test]
fn errors_name_the_expected_values() {
    invalid(r#""input":"a","temperature":2.5"#, "temperature", "2.5 is not between 0 and 2");
    invalid(r#""input":"a","top_logprobs":21"#, "top_logprobs", "21 is not between 0 and 20");
    invalid(
        r#""input":"a","text":{"verbosity":"loud"}"#,
        "text.verbosity",
        "'loud' is not supported, expected one of 'low', 'medium', 'high'",
    );
    invalid(
        r#""input":"a","text":{"format":{"type":"xml"}}"#,
        "text.format.type",
        "'xml' is not supported, expected one of 'text', 'json_object', 'json_schema'",
    );
    invalid(
        r#""input":"a","tool_choice":"any""#,
        "tool_choice",
        "'any' is not supported, expected one of 'auto', 'none', 'required'",
    );
    invalid(
        r#""input":"a","tool_choice":"required""#,
        "tool_choice",
        "'required' needs at least one function in 'tools'",
    );
    invalid(
        r#""input":"a","tool_choice":{"type":"function","name":"f"}"#,
        "tool_choice.name",
        "there is no function 'f' in 'tools'",
    );
    invalid(
        r#""input":[{"role":"tool","content":"a"}]"#,
        "input[0].role",
        "'tool' is no role, expected one of 'user', 'assistant', 'system', 'developer'",
    );
    invalid(
        r#""input":[{"role":"user","content":[{"type":"input_audio"}]}]"#,
        "input[0].content[0].type",
        "'input_audio' is not supported, expected one of 'input_text', 'input_image', 'input_file'",
    );
    invalid(
        r#""input":[{"role":"system","content":[{"type":"input_image","image_url":"u"}]}]"#,
        "input[0].content[0].type",
        "'input_image' is not supported, expected one of 'input_text'",
    );
    invalid(
        r#""input":[{"role":"user","content":[{"type":"input_file","filename":"a","file_data":"data:text/plain,a"}]}]"#,
        "input[0].content[0].file_data",
        "expected base64 or a data URL in base64",
    );
    let twice = r#""input":[{"id":"a","role":"user","content":"a"},{"id":"a","role":"user","content":"b"}]"#;
    invalid(twice, "input[1].id", "the id 'a' is there twice");
}

#[test]
fn members_that_contradict_each_other_are_refused() {
    let reason = "a background response must be stored, so 'store' cannot be false";
    invalid(r#""input":"a","background":true,"store":false"#, "background", reason);
    invalid(
        r#""input":"a","previous_response_id":"resp_1","conversation":"conv_1""#,
        "previous_response_id",
        "it cannot be used together with 'conversation'",
    );
}

#[test]
fn metadata_has_openais_limits() {
    let pairs: Vec<String> = (0..17).map(|key| format!(r#""k{key}":"v""#)).collect();
    let many = format!(r#""input":"a","metadata":{{{}}}"#, pairs.join(","));
    invalid(&many, "metadata", "it has 17 pairs, expected at most 16");
    let key = "k".repeat(65);
    let long_key = format!(r#""input":"a","metadata":{{"{key}":"v"}}"#);
    invalid(&long_key, "metadata", &format!("the key '{key}' has more than 64 characters"));
    let long_value = format!(r#""input":"a","metadata":{{"a":"{}"}}"#, "\u{e9}".repeat(513));
    invalid(&long_value, "metadata.a", "it has more than 512 characters");
    let fits = format!(r#"{{"model":"m","input":"a","metadata":{{"a":"{}"}}}}"#, "\u{e9}".repeat(512));
    assert!(CreateResponse::parse(fits.as_bytes(), NOW).is_ok());
}

#[test]
fn items_of_tools_that_openai_ran_are_kept_and_not_sent() {
    let hosted = [
        r#"{"id":"ws_1","type":"web_search_call","status":"searching","action":{"type":"search","query":"q"}}"#,
        r#"{"id":"ig_1","type":"image_generation_call","status":"completed","result":"AA=="}"#,
        r#"{"id":"fs_1","type":"file_search_call","status":"failed","queries":[],"results":null}"#,
        r#"{"id":"ci_1","type":"code_interpreter_call","status":"interpreting","code":"1","container_id":"c"}"#,
        r#"{"id":"mcp_1","type":"mcp_call","status":"completed","name":"f","arguments":"{}","server_label":"s"}"#,
        r#"{"id":"mcpl_1","type":"mcp_list_tools","server_label":"s","tools":[]}"#,
        r#"{"id":"mcpr_1","type":"mcp_approval_request","name":"f","arguments":"{}","server_label":"s"}"#,
    ];
    let body = format!(r#"{{"model":"m","input":[{},{{"role":"user","content":"a"}}]}}"#, hosted.join(","));
    let create = CreateResponse::parse(body.as_bytes(), NOW).unwrap();
    let kept: Vec<_> = create.input.iter().map(|item| item.0.to_bytes()).collect();
    assert_eq!(kept[..hosted.len()], hosted);
    let messages = create.chat(&[]).unwrap().object.text("messages").unwrap().to_owned();
    assert_eq!(messages, r#"[{"role":"user","content":"a"}]"#);
    let unnamed = br#"{"model":"m","input":[{"type":"web_search_call"}]}"#;
    let unnamed = CreateResponse::parse(unnamed, NOW).unwrap().input.remove(0);
    assert!(unnamed.id().starts_with("ws_") && unnamed.0.text("status") == Some(r#""completed""#));
}

#[test]
fn unsupported_members_are_refused() {
    for kind in ["file_search", "code_interpreter", "mcp", "computer", "shell", "local_shell"] {
        let message = format!(
            "Tools of the type '{kind}' are not supported, only 'function', 'custom', 'namespace', 'tool_search'."
        );
        let members = format!(r#""input":"a","tools":[{{"type":"function","name":"f"}},{{"type":"{kind}"}}]"#);
        refused(&members, "tools[1].type", Some("unsupported_tool"), &message);
    }
    refused(
        r#""input":"a","tool_choice":{"type":"web_search"}"#,
        "tool_choice.type",
        Some("unsupported_tool"),
        "Choices of the type 'web_search' are not supported, only 'function', 'custom', 'tool_search', 'allowed_tools'.",
    );
    refused(
        r#""input":[{"type":"computer_call","id":"cu_1"}]"#,
        "input[0].type",
        Some("unsupported_item"),
        "Invalid value for 'input[0].type': items of the type 'computer_call' are not supported, only 'message', 'function_call', 'function_call_output', 'custom_tool_call', 'custom_tool_call_output', 'tool_search_call', 'tool_search_output', 'additional_tools', 'reasoning', 'item_reference', 'compaction', 'compaction_trigger', 'web_search_call', 'image_generation_call', 'file_search_call', 'code_interpreter_call', 'mcp_call', 'mcp_list_tools', 'mcp_approval_request'.",
    );
    refused(
        r#""input":[{"role":"user","content":[{"type":"input_image","file_id":"file-1"}]}]"#,
        "input[0].content[0].file_id",
        Some("file_not_found"),
        "Invalid value for 'input[0].content[0].file_id': no file found with id 'file-1'. POST /v1/files uploads a file.",
    );
    refused(
        r#""input":[{"role":"user","content":[{"type":"input_file","file_url":"https://a/b.pdf"}]}]"#,
        "input[0].content[0].file_url",
        Some("unsupported_file"),
        "Files by URL are not supported. Send the file in 'file_data', as base64, with a 'filename', or upload it and name its 'file_id'.",
    );
    refused(
        r#""prompt":{"id":"pmpt_1"}"#,
        "prompt",
        Some("unsupported_parameter"),
        "Stored prompts are not supported: send their text in 'instructions' and 'input'.",
    );
}

#[test]
fn items_are_normalised() {
    for (item, expected) in [
        (
            r#"{"role":"user","content":"a"}"#,
            r#"{"id":"msg_*","type":"message","status":"completed","role":"user","content":[{"type":"input_text","text":"a"}]}"#,
        ),
        (
            r#"{"role":"assistant","content":"a","phase":"commentary"}"#,
            r#"{"id":"msg_*","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"a","annotations":[],"logprobs":[]}],"phase":"commentary"}"#,
        ),
        (
            r#"{"id":null,"status":"incomplete","role":"user","content":[{"type":"input_image","image_url":"u"}]}"#,
            r#"{"id":"msg_*","type":"message","status":"incomplete","role":"user","content":[{"type":"input_image","image_url":"u","detail":"auto"}]}"#,
        ),
        (
            r#"{"type":"function_call","id":"fc_1","call_id":"c","name":"f","arguments":"{}"}"#,
            r#"{"id":"fc_1","type":"function_call","status":"completed","call_id":"c","name":"f","arguments":"{}"}"#,
        ),
        (
            r#"{"type":"function_call_output","call_id":"c","output":"1"}"#,
            r#"{"id":"fco_*","type":"function_call_output","status":"completed","call_id":"c","output":"1"}"#,
        ),
        (
            r#"{"type":"function_call_output","call_id":"c","output":[{"type":"input_image","image_url":"u"}]}"#,
            r#"{"id":"fco_*","type":"function_call_output","status":"completed","call_id":"c","output":[{"type":"input_image","image_url":"u","detail":"auto"}]}"#,
        ),
        (r#"{"type":"reasoning","id":""}"#, r#"{"id":"rs_*","type":"reasoning","summary":[]}"#),
        (
            r#"{"type":"custom_tool_call","call_id":"c","name":"f","input":"a"}"#,
            r#"{"id":"ctc_*","type":"custom_tool_call","status":"completed","call_id":"c","name":"f","input":"a"}"#,
        ),
        (
            r#"{"type":"additional_tools","role":"developer","tools":[]}"#,
            r#"{"id":"at_*","type":"additional_tools","role":"developer","tools":[]}"#,
        ),
        (r#"{"id":"msg_1"}"#, r#"{"id":"msg_1","type":"item_reference"}"#),
    ] {
        let found = parse_items(format!("[{item}]").as_bytes(), "items", NewIds::At(NOW)).unwrap().remove(0);
        let id = found.id();
        let made = id.split_once('_').map(|(prefix, rest)| (prefix, rest.len()));
        let shown = match made {
            Some((prefix, 24)) => String::from_utf8_lossy(&found.0.to_bytes()).replace(&id, &format!("{prefix}_*")),
            _ => String::from_utf8_lossy(&found.0.to_bytes()).into_owned(),
        };
        assert_eq!(shown, expected, "{item}");
        // Normalised items stay unchanged.
        let again = parse_items(&serde_json::to_vec(&[&found]).unwrap(), "items", NewIds::At(NOW)).unwrap().remove(0);
        assert_eq!(again.0.to_bytes(), found.0.to_bytes());
    }
}

#[test]
fn a_body_is_read_with_its_defaults() {
    let plain = CreateResponse::parse(br#"{"model":"m","input":"a","store":null}"#, NOW).unwrap();
    assert_eq!((plain.stream, plain.background, plain.store), (false, false, true));
    assert_eq!((plain.previous_response_id, plain.conversation, plain.input.len()), (None, None, 1));
    for conversation in [r#""conv_1""#, r#"{"id":"conv_1"}"#] {
        let body = format!(r#"{{"model":"m","stream":true,"background":true,"conversation":{conversation}}}"#);
        let read = CreateResponse::parse(body.as_bytes(), NOW).unwrap();
        assert_eq!((read.stream, read.background, read.conversation.as_deref()), (true, true, Some("conv_1")));
        assert!(read.input.is_empty());
    }
}

/// The response before any output, with a short id.
fn shown(create: &CreateResponse, status: Status) -> String {
    String::from_utf8_lossy(&create.skeleton(&[], NOW, status).to_bytes()).replace(&create.id, "resp_1")
}

#[test]
fn a_skeleton_has_every_member() {
    let plain = CreateResponse::parse(br#"{"model":"m","input":"a"}"#, NOW).unwrap();
    let expected = r#"{"id":"resp_1","object":"response","created_at":1790000000,"status":"in_progress","background":false,"completed_at":null,"conversation":null,"error":null,"incomplete_details":null,"instructions":null,"max_output_tokens":null,"max_tool_calls":null,"model":"m","output":[],"parallel_tool_calls":true,"previous_response_id":null,"prompt_cache_key":null,"prompt_cache_retention":null,"reasoning":{"effort":null,"summary":null},"safety_identifier":null,"service_tier":"auto","store":true,"temperature":1.0,"text":{"format":{"type":"text"},"verbosity":"medium"},"tool_choice":"auto","tools":[],"top_logprobs":0,"top_p":1.0,"truncation":"disabled","usage":null,"user":null,"metadata":{}}"#;
    assert_eq!(shown(&plain, Status::InProgress), expected);
    let full = r#"{"model":"m","input":"a","background":true,"conversation":"conv_1","instructions":"i","max_output_tokens":19,"temperature":0.50,"reasoning":{"effort":"low"},"text":{"format":{"type":"json_object"}},"tools":[{"type":"function","name":"f","strict":true}],"tool_choice":"none","truncation":"auto","metadata":{"a":"b"},"user":"u"}"#;
    let full = CreateResponse::parse(full.as_bytes(), NOW).unwrap();
    let expected = r#"{"id":"resp_1","object":"response","created_at":1790000000,"status":"queued","background":true,"completed_at":null,"conversation":{"id":"conv_1"},"error":null,"incomplete_details":null,"instructions":"i","max_output_tokens":19,"max_tool_calls":null,"model":"m","output":[],"parallel_tool_calls":true,"previous_response_id":null,"prompt_cache_key":null,"prompt_cache_retention":null,"reasoning":{"effort":"low","summary":null},"safety_identifier":null,"service_tier":"auto","store":true,"temperature":0.50,"text":{"format":{"type":"json_object"},"verbosity":"medium"},"tool_choice":"none","tools":[{"type":"function","name":"f","strict":true,"description":null,"parameters":null}],"top_logprobs":0,"top_p":1.0,"truncation":"auto","usage":null,"user":"u","metadata":{"a":"b"}}"#;
    assert_eq!(shown(&full, Status::Queued), expected);
}

#[test]
fn a_response_can_end_without_a_stream() {
    let skeleton =
        CreateResponse::parse(br#"{"model":"m","input":"a"}"#, NOW).unwrap().skeleton(&[], NOW, Status::Queued);
    let failed = failed_response(&skeleton, "server_error", "It broke.");
    let told = ["status", "error", "output"].map(|name| failed.text(name).unwrap());
    assert_eq!(told, ["\"failed\"", r#"{"code":"server_error","message":"It broke."}"#, "[]"]);
    assert_eq!(cancelled_response(&skeleton).text("status"), Some("\"cancelled\""));
    assert_eq!(deleted_response("resp_1").to_bytes(), r#"{"id":"resp_1","object":"response","deleted":true}"#);
}

#[test]
fn a_request_has_at_most_5_000_items() {
    let items = |count| format!(r#""input":[{}]"#, vec![r#"{"role":"user","content":""}"#; count].join(","));
    assert!(CreateResponse::parse(format!(r#"{{"model":"m",{}}}"#, items(5_000)).as_bytes(), NOW).is_ok());
    invalid(&items(5_001), "input", "it has 5001 items, expected at most 5000");
}

#[test]
fn an_error_quotes_the_beginning_of_a_long_value() {
    let message = |value: &str| {
        let body = format!(r#"{{"model":"m","input":"a","tool_choice":"{value}","temperature":1}}"#);
        CreateResponse::parse(body.as_bytes(), NOW).and_then(|create| create.chat(&[])).unwrap_err().message
    };
    assert!(message("any").ends_with("expected one of 'auto', 'none', 'required'."));
    assert!(message(&"é".repeat(100_000)).len() < 400);
    let typed = format!(r#"{{"model":"m","input":"a","temperature":"{}"}}"#, "é".repeat(100_000));
    assert!(CreateResponse::parse(typed.as_bytes(), NOW).unwrap_err().message.len() < 400);
}

#[test]
fn a_reference_has_an_id_that_an_item_can_have() {
    let reason = "expected 1 to 128 letters, digits, '_' and '-'";
    for id in ["msg#1", "a b", &"a".repeat(129)] {
        invalid(&format!(r#""input":[{{"type":"item_reference","id":"{id}"}}]"#), "input[0].id", reason);
    }
}

#[track_caller]
fn unknown(members: &str, param: &str, help: &str) {
    let message = format!("Unknown parameter: '{param}'.{help}");
    refused(&format!(r#""input":"a",{members}"#), param, Some("unknown_parameter"), &message);
}

#[test]
fn unknown_members_are_refused_with_the_right_name() {
    for (name, right) in [
        ("max_tokens", "max_output_tokens"),
        ("max_completion_tokens", "max_output_tokens"),
        ("response_format", "text.format"),
        ("messages", "input"),
        ("functions", "tools"),
        ("reasoning_effort", "reasoning.effort"),
        ("temprature", "temperature"),
    ] {
        unknown(&format!(r#""{name}":1"#), name, &format!(" Did you mean '{right}'?"));
    }
    for name in ["stop", "seed", "n", "logit_bias"] {
        unknown(&format!(r#""{name}":1"#), name, " Only '/v1/chat/completions' has it.");
    }
    unknown(r#""colour":"red""#, "colour", "");
    unknown(r#""reasoning":{"efort":"low"}"#, "reasoning.efort", " Did you mean 'reasoning.effort'?");
    unknown(r#""text":{"fromat":{}}"#, "text.fromat", " Did you mean 'text.format'?");
    unknown(
        r#""text":{"format":{"type":"json_object","strickt":1}}"#,
        "text.format.strickt",
        " Did you mean 'text.format.strict'?",
    );
    let message = "Unknown parameter: 'max_tokens'. Did you mean 'max_output_tokens'?";
    assert_eq!(CreateResponse::parse_to_count(br#"{"max_tokens":5}"#, NOW).unwrap_err().message, message);
}

#[test]
fn members_that_change_nothing_are_accepted() {
    let body = r#"{"model":"m","input":[{"role":"user","content":"a","internal":1}],"client_metadata":{"a":"b"},"stop":null,"stream_options":{"include_usage":true},"background_options":{"completion_window":"2h"},"reasoning":{"context":"auto","mode":"standard"},"service_tier":"fast"}"#;
    assert!(CreateResponse::parse(body.as_bytes(), NOW).is_ok());
}

#[test]
fn values_outside_of_openais_limits_are_refused() {
    for asked in [0, 1, 15] {
        let members = format!(r#""input":"a","max_output_tokens":{asked}"#);
        let message = format!("Invalid value for 'max_output_tokens': {asked} is below the minimum of 16.");
        refused(&members, "max_output_tokens", Some("integer_below_min_value"), &message);
    }
    let least = CreateResponse::parse(br#"{"model":"m","input":"a","max_output_tokens":16}"#, NOW).unwrap();
    assert_eq!(least.chat(&[]).unwrap().max_output_tokens, Some(16));
    invalid(
        r#""input":"a","service_tier":"gold""#,
        "service_tier",
        "'gold' is not supported, expected one of 'auto', 'default', 'flex', 'scale', 'priority', 'fast', 'ultrafast'",
    );
    let long = format!(r#""input":"a","safety_identifier":"{}""#, "é".repeat(65));
    let message = "Invalid value for 'safety_identifier': it has 65 characters, expected at most 64.";
    refused(&long, "safety_identifier", Some("string_above_max_length"), message);
}

#[test]
fn names_and_keys_have_at_most_64_characters() {
    let namespace = |letters: usize| {
        let tool = r#"{"type":"function","name":"f"}"#;
        format!(
            r#""input":"a","tools":[{tool},{{"type":"namespace","name":"{}","tools":[{tool}]}}]"#,
            "n".repeat(letters)
        )
    };
    let message = "Invalid value for 'tools[1].name': it has 65 characters, expected at most 64.";
    refused(&namespace(65), "tools[1].name", Some("string_above_max_length"), message);
    assert!(CreateResponse::parse(format!(r#"{{"model":"m",{}}}"#, namespace(64)).as_bytes(), NOW).is_ok());
    let compact = |letters: usize| {
        let body = format!(r#"{{"model":"m","input":"a","prompt_cache_key":"{}"}}"#, "k".repeat(letters));
        CreateResponse::parse_to_compact(body.as_bytes(), NOW)
    };
    let invalid = compact(65).unwrap_err();
    assert_eq!((invalid.param.as_deref(), invalid.code), (Some("prompt_cache_key"), Some("string_above_max_length")));
    assert!(compact(64).is_ok());
}

#[test]
fn a_stored_request_is_read_as_it_was_accepted() {
    let body = r#"{"model":"m","input":"a","max_tokens":5,"max_output_tokens":3,"service_tier":"gold"}"#;
    assert!(CreateResponse::parse(body.as_bytes(), NOW).is_err());
    let stored = CreateResponse::parse_stored(Object::parse(body.as_bytes()).unwrap(), NOW).unwrap();
    assert_eq!(stored.chat(&[]).unwrap().max_output_tokens, Some(3));
}

#[test]
fn an_id_that_cannot_be_kept_is_replaced_by_the_same_one_each_time() {
    let long = "a".repeat(129);
    for id in ["functions.f:0", "a b", "a#b", "a/b", "é", long.as_str()] {
        let item = format!(r#"{{"id":"{id}","type":"function_call","call_id":"{id}","name":"f","arguments":"{{}}"}}"#);
        let read = |items: &str| {
            let body = format!(r#"{{"model":"m","input":{items}}}"#);
            CreateResponse::parse(body.as_bytes(), NOW)
        };
        let one = read(&format!("[{item}]")).unwrap().input[0].id();
        let again = read(&format!(r#"[{{"role":"user","content":"a"}},{item}]"#)).unwrap().input[1].id();
        assert!(one == again && one.starts_with("fc_") && is_id(&one), "{id}: {one} {again}");
        assert_eq!(ItemOrigin::of(&one), None);
        assert_eq!(read(&format!("[{item},{item}]")).unwrap_err().param.as_deref(), Some("input[1].id"));
        let refused = parse_items(format!("[{item}]").as_bytes(), "items", NewIds::At(NOW)).unwrap_err();
        assert_eq!(refused.param.as_deref(), Some("items[0].id"));
    }
}
