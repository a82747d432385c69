//! Messages of Anthropic's API as providers of chat completions take them: whole bodies.

use shared::model::provider::{Endpoint, ProviderRequest};

use crate::messages_sent::{REPLY, check_at, check_refused, toml};
use crate::play::{Answer, Server, call, json, provider};

/// The same for messages.
async fn check_messages(client: &str, expected: &str) {
    check_at("", &format!(r#""messages":[{client}]"#), &format!(r#""messages":[{expected}]"#)).await;
}

/// The same for the blocks of a user, which become the content of one message.
async fn check_blocks(blocks: &str, expected: &str) {
    let of = |content: &str| format!(r#"{{"role":"user","content":{content}}}"#);
    check_messages(&of(&format!("[{blocks}]")), &of(expected)).await;
}

#[tokio::test]
async fn a_message_becomes_a_chat_completion() {
    let server = Server::start(Answer::json(200, REPLY)).await;
    let headers = vec![("anthropic-version", "2023-06-01".to_owned())];
    let client = include_str!("../fixtures/messages/request-client.json");
    let sent = ProviderRequest { headers, ..call(Endpoint::Messages, client, false) };
    provider(&toml(&server, "")).send(&sent).await.unwrap();
    let got = server.got();
    let expected = json(include_str!("../fixtures/messages/request-provider.json"));
    assert_eq!(got.json(), expected, "{:#}", got.json());
    assert_eq!((got.path.as_str(), got.header("anthropic-version")), ("/v1/chat/completions", None));
    assert_eq!(got.header("traceparent"), sent.traceparent.as_deref());
    // Numbers keep their digits, and a model writes its answer in the order of the schema.
    let body = String::from_utf8_lossy(&got.body);
    assert!(body.contains("\"temperature\":0.50") && body.contains(r#"{"b": {}, "a": {}}"#), "{body}");
}

#[tokio::test]
async fn neighbours_of_one_role_are_one_message_and_results_follow_their_calls() {
    let call = |id: &str| format!(r#"{{"type":"tool_use","id":"{id}","name":"f","input":{{"a":1}}}}"#);
    let result = |id: &str| format!(r#"{{"type":"tool_result","tool_use_id":"{id}","content":"{id}"}}"#);
    let said = |text: &str| format!(r#"{{"type":"text","text":"{text}"}}"#);
    let function =
        |id: &str| format!(r#"{{"id":"{id}","type":"function","function":{{"name":"f","arguments":"{{\"a\":1}}"}}}}"#);
    let of = |role: &str, content: &[String]| format!(r#"{{"role":"{role}","content":[{}]}}"#, content.join(","));
    let client = [
        of("user", &[said("a")]),
        of("user", &[said("b")]),
        of("assistant", &[said("c")]),
        of("assistant", &[call("1"), call("2")]),
        of("system", &[said("d")]),
        of("user", &[result("1")]),
        of("user", &[said("e"), result("2"), said("f")]),
        of("assistant", &[call("3")]),
        of("user", &[result("3")]),
    ];
    let expected = [
        r#"{"role":"user","content":"a\n\nb"}"#.to_owned(),
        format!(r#"{{"role":"assistant","content":"c","tool_calls":[{},{}]}}"#, function("1"), function("2")),
        r#"{"role":"tool","tool_call_id":"1","content":"1"}"#.to_owned(),
        r#"{"role":"tool","tool_call_id":"2","content":"2"}"#.to_owned(),
        r#"{"role":"system","content":"d"}"#.to_owned(),
        r#"{"role":"user","content":"e\n\nf"}"#.to_owned(),
        format!(r#"{{"role":"assistant","content":null,"tool_calls":[{}]}}"#, function("3")),
        r#"{"role":"tool","tool_call_id":"3","content":"3"}"#.to_owned(),
    ];
    check_messages(&client.join(","), &expected.join(",")).await;
}

#[tokio::test]
async fn results_are_texts_and_what_else_they_have_follows() {
    let call = r#"{"role":"assistant","content":[{"type":"tool_use","id":"1","name":"f","input":{}}]}"#;
    let called = r#"{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]}"#;
    for (result, text, after) in [
        (r#""content":[]"#, r#""""#, ""),
        (r#""is_error":true"#, r#""Error: ""#, ""),
        (r#""content":[{"type":"text","text":"a"},{"type":"text","text":"b"}],"is_error":false"#, r#""a\n\nb""#, ""),
        (r#""content":[{"type":"tool_reference","tool_name":"g"}]"#, r#""The tool `g` is available.""#, ""),
        (
            r#""content":[{"type":"search_result","source":"s","title":"t","content":[{"type":"text","text":"c"}]}]"#,
            r#""t\ns\nc""#,
            "",
        ),
        (
            r#""content":[{"type":"image","source":{"type":"url","url":"https://a.example/b.png"}}]"#,
            r#""The result follows in the next message.""#,
            r#",{"role":"user","content":[{"type":"text","text":"Result of the tool call `1`:"},{"type":"image_url","image_url":{"url":"https://a.example/b.png"}}]}"#,
        ),
        (
            r#""content":[{"type":"text","text":"a"},{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBERi0="}}]"#,
            r#""a""#,
            r#",{"role":"user","content":[{"type":"text","text":"Result of the tool call `1`:"},{"type":"file","file":{"filename":"document.pdf","file_data":"data:application/pdf;base64,JVBERi0="}}]}"#,
        ),
    ] {
        let client =
            format!(r#"{call},{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"1",{result}}}]}}"#);
        let expected = format!(r#"{called},{{"role":"tool","tool_call_id":"1","content":{text}}}{after}"#);
        check_messages(&client, &expected).await;
    }
}

#[tokio::test]
async fn what_the_assistant_thought_and_found_is_kept_where_others_can_read_it() {
    let check = async |blocks: &str, expected: &str| {
        check_messages(
            &format!(r#"{{"role":"user","content":"a"}},{{"role":"assistant","content":[{blocks}]}}"#),
            &format!(r#"{{"role":"user","content":"a"}}{expected}"#),
        )
        .await;
    };
    let own = r#"{"type":"thinking","thinking":"t","signature":"weir:1:x"}"#;
    let theirs = r#"{"type":"thinking","thinking":"t","signature":"weir:2:"},{"type":"thinking","thinking":"u","signature":"c2ln"},{"type":"redacted_thinking","data":"x"}"#;
    check(own, "").await;
    check(theirs, "").await;
    check(
        &format!(r#"{own},{theirs},{{"type":"text","text":"b"}}"#),
        r#",{"role":"assistant","content":"b","reasoning_content":"t"}"#,
    )
    .await;
    let search = r#"{"type":"text","text":"I search."},{"type":"server_tool_use","id":"1","name":"web_search","input":{}},{"type":"web_search_tool_result","tool_use_id":"1","content":[{"type":"web_search_result","title":"T","url":"https://a.example","encrypted_content":"x"}]},{"type":"text","text":"Found."}"#;
    let found =
        r#",{"role":"assistant","content":"I search.\n\nResult of web_search:\nT\nhttps://a.example\n\nFound."}"#;
    check(search, found).await;
    check(r#"{"type":"compaction","content":"So far: a."}"#, r#",{"role":"assistant","content":"So far: a."}"#).await;
    check(r#"{"type":"compaction","content":null}"#, "").await;
}

#[tokio::test]
async fn tools_that_come_and_go_are_said() {
    check_at(
        "",
        r#""messages":[{"role":"user","content":"a"},{"role":"system","content":[
            {"type":"tool_addition","tool":{"name":"g","input_schema":{"type":"object"}}},
            {"type":"tool_addition","tools":[{"type":"tool_reference","name":"h"},{"name":"f","input_schema":{}}]},
            {"type":"tool_removal","tool_name":"f"}],"output_config":{"effort":"low"},"clear_at":"x"}],
        "output_config":{"effort":"high"},
        "tools":[{"name":"f","input_schema":{}}]"#,
        r#""messages":[{"role":"user","content":"a"},{"role":"system","content":"From here on you can use: `g`.\n\nFrom here on you can use: `h`, `f`.\n\nFrom here on you must not use: `f`."}],
        "reasoning_effort":"low",
        "tools":[{"type":"function","function":{"name":"f","parameters":{}}},{"type":"function","function":{"name":"g","parameters":{"type":"object"}}}]"#,
    )
    .await;
}

#[tokio::test]
async fn blocks_that_only_anthropic_can_read_are_refused_by_name() {
    for (block, place, what) in [
        (r#"{"type":"container_upload","file_id":"f"}"#, "", "blocks of the type `container_upload`"),
        (r#"{"type":"mcp_tool_use","id":"1"}"#, "", "blocks of the type `mcp_tool_use`"),
        (r#"{"type":"mcp_tool_result","content":[]}"#, "", "blocks of the type `mcp_tool_result`"),
        (r#"{"type":"later"}"#, "", "blocks of the type `later`"),
        (r#"{"type":"image","source":{"type":"file","file_id":"f"}}"#, ".source", "images of the type `file`"),
        (r#"{"type":"document","source":{"type":"url","url":"https://a"}}"#, ".source", "documents of the type `url`"),
        (r#"{"type":"document","source":{"type":"file","file_id":"f"}}"#, ".source", "documents of the type `file`"),
    ] {
        for role in ["user", "assistant"] {
            let members = format!(r#""messages":[{{"role":"{role}","content":[{block}]}}]"#);
            let at = format!("messages[0].content[0]{place}");
            check_refused(&members, &at, &format!("{at}: {what} are not supported by this provider")).await;
        }
    }
}

#[tokio::test]
async fn invalid_messages_are_refused() {
    let refused = |text: &str| format!("the provider refused with 400: {text}");
    for (messages, at, text) in [
        ("5", "messages", "Input has the wrong type"),
        (r#"[{"role":"user"}]"#, "messages[0].content", "Field required"),
        (r#"[{"role":"tool","content":"a"}]"#, "messages[0].role", "`tool` is no role of a message"),
        (r#"[{"role":"user","content":[{"type":"text"}]}]"#, "messages[0].content[0].text", "Field required"),
        (
            r#"[{"role":"assistant","content":[{"type":"tool_use","id":"1","name":"f","input":"a"}]}]"#,
            "messages[0].content[0].input",
            "Input should be a valid dictionary",
        ),
    ] {
        check_refused(&format!(r#""messages":{messages}"#), at, &refused(&format!("{at}: {text}"))).await;
    }
    check_refused(r#""max_tokens":9"#, "messages", &refused("messages: Field required")).await;
}

#[tokio::test]
async fn blocks_of_a_user_are_parts() {
    check_blocks(r#"{"type":"text","text":"a"},{"type":"text","text":""}"#, r#""a""#).await;
    check_blocks(
        r#"{"type":"document","title":"T","context":"C","source":{"type":"content","content":"d"}}"#,
        r#""T\n\nC\n\nd""#,
    )
    .await;
    check_blocks(
        r#"{"type":"document","source":{"type":"content","content":[{"type":"image","source":{"type":"url","url":"https://a.example/b"}}]}}"#,
        r#"[{"type":"image_url","image_url":{"url":"https://a.example/b"}}]"#,
    )
    .await;
}
