//! What clients of Anthropic's API send, as providers of chat completions take it: whole bodies.

use std::sync::Arc;

use providers::messages::{Accepts, OverChat};
use shared::model::provider::{Endpoint, Failure, Provider as _, ProviderRequest};

use crate::aws::{Aws, Recorded};
use crate::play::{Answer, Server, call, failure, json, provider};

const REPLY: &str = include_str!("../fixtures/messages/reply.json");

fn toml(server: &Server, more: &str) -> String {
    let url = &server.base_url;
    format!(
        "[[provider]]\nname = \"it\"\nkind = \"openai\"\nbase_url = \"{url}\"\napi_key_env = \"KEY\"\nmedia_urls = [\"https://\", \"data:\"]\n{more}\n"
    )
}

/// Sends the members `client` to a provider with these settings, and compares the members `expected` of the body that it gets.
async fn check_at(settings: &str, client: &str, expected: &str) {
    let server = Server::start(Answer::json(200, REPLY)).await;
    let sent = call(Endpoint::Messages, &format!(r#"{{"model":"chat","max_tokens":9,{client}}}"#), false);
    provider(&toml(&server, settings)).send(&sent).await.unwrap();
    let limit = if settings.contains("openrouter") { "max_tokens" } else { "max_completion_tokens" };
    let expected = json(format!(r#"{{"model":"their-model","{limit}":9,{expected}}}"#));
    assert_eq!(server.got().json(), expected, "{:#}", server.got().json());
}

/// The same for messages.
async fn check_messages(client: &str, expected: &str) {
    check_at("", &format!(r#""messages":[{client}]"#), &format!(r#""messages":[{expected}]"#)).await;
}

/// The same for the blocks of a user, which become the content of one message.
async fn check_blocks(blocks: &str, expected: &str) {
    let of = |content: &str| format!(r#"{{"role":"user","content":{content}}}"#);
    check_messages(&of(&format!("[{blocks}]")), &of(expected)).await;
}

/// The same for members beside a message of the user.
async fn check_beside(client: &str, expected: &str) {
    const HI: &str = r#""messages":[{"role":"user","content":"a"}]"#;
    let comma = if expected.is_empty() { "" } else { "," };
    check_at("", &format!("{HI},{client}"), &format!("{HI}{comma}{expected}")).await;
}

/// Compares the failure of a call with these members, and the member that it names.
async fn check_refused(members: &str, param: &str, expected: &str) {
    let server = Server::start(Answer::json(200, REPLY)).await;
    let body = format!(r#"{{"model":"chat",{members}}}"#);
    let failure = failure(provider(&toml(&server, "")).send(&call(Endpoint::Messages, &body, false)).await);
    let named = match &failure {
        Failure::Unsupported { param, .. } => param.clone(),
        Failure::Refused { status: 400, refusal } => refusal.param.clone(),
        _ => None,
    };
    assert_eq!((named.as_deref(), failure.to_string().as_str()), (Some(param), expected), "{members}");
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
async fn other_calls_pass() {
    let server = Server::start(Answer::json(200, REPLY)).await;
    let body = r#"{"model":"their-model","messages":[{"role":"user","content":"a"}],"later":1.0}"#;
    provider(&toml(&server, "")).send(&call(Endpoint::ChatCompletions, body, false)).await.unwrap();
    assert_eq!(server.got().body, body);
}

#[tokio::test]
async fn a_stream_is_asked_for() {
    let server = Server::start(Answer::sse(include_str!("../fixtures/messages/stream.sse"))).await;
    let body = r#"{"max_tokens":9,"messages":[{"role":"user","content":"a"}],"stream":true}"#;
    provider(&toml(&server, "")).send(&call(Endpoint::Messages, body, true)).await.unwrap();
    let expected = r#"{"model":"their-model","messages":[{"role":"user","content":"a"}],"max_completion_tokens":9,"stream":true,"stream_options":{"include_usage":true}}"#;
    assert_eq!(server.got().json(), json(expected));
}

/// Sends the members `client` to a model of Bedrock, and compares the body that it gets with the members `expected`.
async fn check_bedrock(model: &str, client: &str, expected: &str) {
    let aws = Aws::new(Recorded::json(200, include_str!("../fixtures/bedrock/reply.json")));
    let accepts = Accepts { marks: true, thoughts: true, every_effort: true };
    let body = format!(r#"{{"max_tokens":9,{client}}}"#);
    let sent = ProviderRequest { model: model.to_owned(), ..call(Endpoint::Messages, &body, false) };
    OverChat::new(Arc::new(aws.bedrock()), accepts).send(&sent).await.unwrap();
    let got = &aws.sent()[0].body;
    assert_eq!(*got, json(format!("{{{expected}}}")), "{got:#}");
}

const MARKED: &str = r#"
    "system":[{"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"1h"}}],
    "messages":[
        {"role":"user","content":[
            {"type":"text","text":"b"},
            {"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="},"cache_control":{"type":"ephemeral"}}]},
        {"role":"assistant","content":[{"type":"tool_use","id":"1","name":"f","input":{}}]},
        {"role":"user","content":[
            {"type":"tool_result","tool_use_id":"1","content":"c","cache_control":{"type":"ephemeral"}}]}],
    "tools":[{"name":"f","input_schema":{"type":"object"},"cache_control":{"type":"ephemeral"}}]"#;

#[tokio::test]
async fn marks_for_the_cache_go_where_they_are_read() {
    let call = r#"{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]}"#;
    check_at(
        "preset = \"openrouter\"",
        MARKED,
        &format!(
            r#""messages":[
                {{"role":"system","content":[{{"type":"text","text":"a","cache_control":{{"type":"ephemeral","ttl":"1h"}}}}]}},
                {{"role":"user","content":[{{"type":"text","text":"b"}},{{"type":"image_url","image_url":{{"url":"data:image/png;base64,AA=="}},"cache_control":{{"type":"ephemeral"}}}}]}},
                {call},
                {{"role":"tool","tool_call_id":"1","content":[{{"type":"text","text":"c","cache_control":{{"type":"ephemeral"}}}}]}}],
            "tools":[{{"type":"function","function":{{"name":"f","parameters":{{"type":"object"}}}},"cache_control":{{"type":"ephemeral"}}}}]"#
        ),
    )
    .await;
    check_at(
        "",
        MARKED,
        &format!(
            r#""messages":[
                {{"role":"system","content":"a"}},
                {{"role":"user","content":[{{"type":"text","text":"b"}},{{"type":"image_url","image_url":{{"url":"data:image/png;base64,AA=="}}}}]}},
                {call},
                {{"role":"tool","tool_call_id":"1","content":"c"}}],
            "tools":[{{"type":"function","function":{{"name":"f","parameters":{{"type":"object"}}}}}}]"#
        ),
    )
    .await;
}

#[tokio::test]
async fn marks_become_cache_points_at_bedrock() {
    check_bedrock(
        "anthropic.claude-opus-4-6-v1",
        &format!(r#"{MARKED},"output_config":{{"effort":"max"}}"#),
        r#""system":[{"text":"a"},{"cachePoint":{"type":"default","ttl":"1h"}}],
        "messages":[
            {"role":"user","content":[{"text":"b"},{"image":{"format":"png","source":{"bytes":"AA=="}}},{"cachePoint":{"type":"default"}}]},
            {"role":"assistant","content":[{"toolUse":{"toolUseId":"1","name":"f","input":{}}}]},
            {"role":"user","content":[{"toolResult":{"toolUseId":"1","content":[{"text":"c"}]}},{"cachePoint":{"type":"default"}}]}],
        "inferenceConfig":{"maxTokens":9},
        "toolConfig":{"tools":[{"toolSpec":{"name":"f","inputSchema":{"json":{"type":"object"}}}},{"cachePoint":{"type":"default"}}]},
        "outputConfig":{"effort":"max"},"additionalModelRequestFields":{"thinking":{"type":"adaptive"}}"#,
    )
    .await;
}

#[tokio::test]
async fn bedrock_is_told_not_to_think() {
    check_bedrock(
        "anthropic.claude-sonnet-5",
        r#""messages":[{"role":"user","content":"a"}],"thinking":{"type":"disabled"}"#,
        r#""messages":[{"role":"user","content":[{"text":"a"}]}],"inferenceConfig":{"maxTokens":9},
        "additionalModelRequestFields":{"thinking":{"type":"disabled"}}"#,
    )
    .await;
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
async fn thoughts_are_not_sent_to_openai() {
    let message = r#"{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"weir:1:"},{"type":"text","text":"b"}]}"#;
    check_at(
        "preset = \"openai\"",
        &format!(r#""messages":[{message}]"#),
        r#""messages":[{"role":"assistant","content":"b"}]"#,
    )
    .await;
}

#[tokio::test]
async fn tools_that_come_and_go_are_said() {
    check_at(
        "",
        r#""messages":[{"role":"user","content":"a"},{"role":"system","content":[
            {"type":"tool_addition","tool":{"name":"g","input_schema":{"type":"object"}}},
            {"type":"tool_addition","tools":[{"type":"tool_reference","name":"h"}]},
            {"type":"tool_removal","tool_name":"f"}],"output_config":{"effort":"low"},"clear_at":"x"}],
        "output_config":{"effort":"high"},
        "tools":[{"name":"f","input_schema":{}}]"#,
        r#""messages":[{"role":"user","content":"a"},{"role":"system","content":"From here on you can use: `g`.\n\nFrom here on you can use: `h`.\n\nFrom here on you must not use: `f`."}],
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

#[tokio::test]
async fn choices_of_tools_have_their_counterparts() {
    let tool = r#""tools":[{"name":"f","input_schema":{}}]"#;
    let function = r#""tools":[{"type":"function","function":{"name":"f","parameters":{}}}]"#;
    for (choice, expected) in [
        (r#"{"type":"auto"}"#, r#""tool_choice":"auto""#),
        (r#"{"type":"none"}"#, r#""tool_choice":"none""#),
        (
            r#"{"type":"any","disable_parallel_tool_use":true}"#,
            r#""tool_choice":"required","parallel_tool_calls":false"#,
        ),
        (
            r#"{"type":"tool","name":"f","disable_parallel_tool_use":false}"#,
            r#""tool_choice":{"type":"function","function":{"name":"f"}}"#,
        ),
    ] {
        let client = format!(r#"{tool},"tool_choice":{choice}"#);
        check_beside(&client, &format!("{function},{expected}")).await;
    }
    check_beside(r#""tools":[],"tool_choice":{"type":"auto"}"#, "").await;
    check_beside(
        r#""tools":[{"type":"tool_search_tool_regex_20251119","name":"tool_search"}],"tool_choice":{"type":"auto"}"#,
        "",
    )
    .await;
}

#[tokio::test]
async fn tools_that_anthropic_runs_or_defines_are_refused_by_name() {
    let hi = r#""messages":[{"role":"user","content":"a"}]"#;
    for kind in ["web_search_20260209", "web_fetch_20250910", "code_execution_20250825", "bash_20250124"] {
        let members = format!(r#"{hi},"tools":[{{"name":"f","input_schema":{{}}}},{{"type":"{kind}","name":"x"}}]"#);
        let what = format!("tools[1]: tools of the type `{kind}` are not supported by this provider");
        check_refused(&members, "tools[1]", &what).await;
    }
    check_refused(
        &format!(r#"{hi},"tools":[{{"name":"f"}}]"#),
        "tools[0].input_schema",
        "the provider refused with 400: tools[0].input_schema: Field required",
    )
    .await;
}

#[tokio::test]
async fn an_effort_is_asked_for_in_words() {
    let effort = |effort: &str| format!(r#""reasoning_effort":"{effort}""#);
    for (members, expected) in [
        (r#""output_config":{"effort":"low"}"#, effort("low")),
        (r#""output_config":{"effort":"xhigh"}"#, effort("xhigh")),
        (r#""output_config":{"effort":"max","task_budget":{"type":"tokens","total":9}}"#, effort("xhigh")),
        (r#""thinking":{"type":"enabled","budget_tokens":1024}"#, effort("low")),
        (r#""thinking":{"type":"enabled","budget_tokens":2048}"#, effort("medium")),
        (r#""thinking":{"type":"enabled","budget_tokens":8191}"#, effort("medium")),
        (r#""thinking":{"type":"enabled","budget_tokens":31999}"#, effort("high")),
        (r#""thinking":{"type":"enabled","budget_tokens":31999},"output_config":{"effort":"low"}"#, effort("low")),
        (r#""thinking":{"type":"adaptive"}"#, String::new()),
        (r#""thinking":{"type":"disabled"},"output_config":{"effort":"high"}"#, String::new()),
        (r#""thinking":null,"output_config":null"#, String::new()),
    ] {
        check_beside(members, &expected).await;
    }
}

#[tokio::test]
async fn options_are_sent_if_others_know_them() {
    check_beside(&format!(r#""metadata":{{"user_id":"{}"}}"#, "é".repeat(65)), "").await;
    let user = "é".repeat(64);
    check_beside(&format!(r#""metadata":{{"user_id":"{user}"}}"#), &format!(r#""user":"{user}""#)).await;
    check_beside(r#""stop_sequences":[],"temperature":1.0,"top_k":5"#, r#""temperature":1.0"#).await;
    check_beside(
        r#""output_format":{"type":"json_schema","schema":{"type":"object"}}"#,
        r#""response_format":{"type":"json_schema","json_schema":{"name":"output","strict":true,"schema":{"type":"object"}}}"#,
    )
    .await;
    check_beside(
        r#""speed":"standard","inference_geo":"us","diagnostics":{},"cache_control":{"type":"ephemeral"},"container":null"#,
        "",
    )
    .await;
}

#[tokio::test]
async fn members_that_change_the_answer_are_refused_by_name() {
    let hi = r#""messages":[{"role":"user","content":"a"}]"#;
    for (member, name) in [
        (r#""mcp_servers":[{"type":"url"}]"#, "mcp_servers"),
        (r#""container":"c""#, "container"),
        (r#""speed":"fast""#, "speed"),
        (r#""later":1"#, "later"),
        (r#""output_config":{"later":1}"#, "output_config.later"),
        (r#""tools":[{"name":"f","input_schema":{}}],"tool_choice":{"type":"auto","later":1}"#, "tool_choice.later"),
    ] {
        check_refused(&format!("{hi},{member}"), name, &format!("{name}: Extra inputs are not permitted")).await;
    }
    check_refused(
        &format!(r#"{hi},"max_tokens":0"#),
        "max_tokens",
        "max_tokens: 0, which only stores the input, is not supported by this provider",
    )
    .await;
    check_refused(
        &format!(r#"{hi},"output_config":{{"effort":"huge"}}"#),
        "output_config.effort",
        "the provider refused with 400: output_config.effort: `huge` is no effort",
    )
    .await;
    check_refused(
        &format!(r#"{hi},"thinking":{{"type":"enabled"}}"#),
        "thinking.budget_tokens",
        "the provider refused with 400: thinking.budget_tokens: Field required",
    )
    .await;
}
