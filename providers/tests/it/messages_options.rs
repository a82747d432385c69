//! Tools, options and marks of Anthropic's API as providers of chat completions take them: whole bodies.

use std::sync::Arc;

use providers::messages::{Accepts, OverChat};
use shared::model::provider::{Endpoint, Provider as _, ProviderRequest};

use crate::aws::{Aws, Recorded};
use crate::messages_sent::{REPLY, check_at, check_refused, toml};
use crate::play::{Answer, Server, call, json, provider};

/// The same for members beside a message of the user.
async fn check_beside(client: &str, expected: &str) {
    const HI: &str = r#""messages":[{"role":"user","content":"a"}]"#;
    let comma = if expected.is_empty() { "" } else { "," };
    check_at("", &format!("{HI},{client}"), &format!("{HI}{comma}{expected}")).await;
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
        &format!(r#"{hi},"output_config":{{"effort":5}}"#),
        "output_config.effort",
        "the provider refused with 400: output_config.effort: Input has the wrong type",
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

#[tokio::test]
async fn a_provider_is_sent_no_urls_that_it_may_not_fetch() {
    check_refused(
        r#""messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"http://a.example/b"}}]}]"#,
        "messages",
        "this provider is not sent the URL `http://a.example/b`: it must begin with `https://`, `data:` (`media_urls` in the models file)",
    )
    .await;
}
