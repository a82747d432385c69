//! What OpenAI's clients send, as Anthropic takes it: whole bodies.

use shared::model::provider::{Endpoint, Failure, ProviderRequest};

use crate::play::{Answer, Server, call, failure, json, provider};

const REPLY: &str = include_str!("../fixtures/anthropic/reply.json");

fn toml(server: &Server) -> String {
    format!(
        "[[provider]]\nname = \"it\"\nkind = \"anthropic\"\nbase_url = \"{}\"\nmedia_urls = [\"data:\"]\n",
        server.base_url
    )
}

/// A call of a model that the models file gives 64,000 tokens of output.
fn request(model: &str, body: &str) -> ProviderRequest {
    let model = model.to_owned();
    ProviderRequest { model, max_output_tokens: Some(64_000), ..call(Endpoint::ChatCompletions, body, false) }
}

/// Sends the members `client` to `model`, and compares the body that Anthropic gets with the members `expected`.
async fn check(model: &str, client: &str, expected: &str) {
    let server = Server::start(Answer::json(200, REPLY)).await;
    provider(&toml(&server)).send(&request(model, &format!("{{{client}}}"))).await.unwrap();
    let expected = json(format!(r#"{{"model":"{model}","max_tokens":64000,"stream":false,{expected}}}"#));
    assert_eq!(server.got().json(), expected, "{:#}", server.got().json());
}

/// The same for members beside a message of the user.
async fn check_beside(model: &str, client: &str, expected: &str) {
    let client = format!(r#""messages":[{{"role":"user","content":"a"}}],{client}"#);
    let comma = if expected.is_empty() { "" } else { "," };
    let expected =
        format!(r#""messages":[{{"role":"user","content":[{{"type":"text","text":"a"}}]}}]{comma}{expected}"#);
    check(model, &client, &expected).await;
}

#[tokio::test]
async fn without_a_limit_the_models_ceiling_is_sent_and_the_budget_follows_from_it() {
    let thinking = r#""thinking":{"type":"enabled","budget_tokens":16384}"#;
    check_beside("claude-sonnet-4-5", r#""reasoning_effort":"high""#, thinking).await;
    let server = Server::start(Answer::json(200, REPLY)).await;
    let limited = r#"{"messages":[{"role":"user","content":"a"}],"max_tokens":500,"reasoning_effort":"high"}"#;
    provider(&toml(&server)).send(&request("claude-sonnet-4-5", limited)).await.unwrap();
    let expected = r#"{"model":"claude-sonnet-4-5","max_tokens":500,"stream":false,"messages":[{"role":"user","content":[{"type":"text","text":"a"}]}]}"#;
    assert_eq!(server.got().json(), json(expected));
}

#[tokio::test]
async fn marks_for_the_cache_stay_on_their_blocks() {
    check(
        "claude-opus-5",
        r#""messages":[
            {"role":"system","content":[{"type":"text","text":"a"},{"type":"text","text":"b","cache_control":{"type":"ephemeral","ttl":"1h"}},{"type":"text","text":"c"}]},
            {"role":"user","content":[{"type":"text","text":"d","cache_control":{"type":"ephemeral"}},{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="},"cache_control":{"type":"ephemeral","ttl":"5m"}}]},
            {"role":"assistant","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"},"cache_control":{"type":"ephemeral"}}]},
            {"role":"tool","tool_call_id":"1","content":[{"type":"text","text":"e","cache_control":{"type":"ephemeral"}}]},
            {"role":"user","content":"g","cache_control":{"type":"ephemeral"}}],
        "tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}},"cache_control":{"type":"ephemeral"}},
            {"type":"function","function":{"name":"g","parameters":{"type":"object"},"cache_control":{"type":"ephemeral","ttl":"1h"}}}]"#,
        r#""system":[{"type":"text","text":"a\nb","cache_control":{"type":"ephemeral","ttl":"1h"}},{"type":"text","text":"c"}],
        "messages":[
            {"role":"user","content":[{"type":"text","text":"d","cache_control":{"type":"ephemeral"}},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="},"cache_control":{"type":"ephemeral","ttl":"5m"}}]},
            {"role":"assistant","content":[{"type":"tool_use","id":"1","name":"f","input":{},"cache_control":{"type":"ephemeral"}}]},
            {"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":[{"type":"text","text":"e"}],"cache_control":{"type":"ephemeral"}},{"type":"text","text":"g","cache_control":{"type":"ephemeral"}}]}],
        "tools":[{"name":"f","input_schema":{"type":"object"},"cache_control":{"type":"ephemeral"}},
            {"name":"g","input_schema":{"type":"object"},"cache_control":{"type":"ephemeral","ttl":"1h"}}]"#,
    )
    .await;
}

#[tokio::test]
async fn a_mark_with_another_time_is_refused() {
    let server = Server::start(Answer::json(200, REPLY)).await;
    let body = r#"{"messages":[{"role":"user","content":"a","cache_control":{"type":"ephemeral","ttl":"9h"}}]}"#;
    let failure = failure(provider(&toml(&server)).send(&request("claude-opus-5", body)).await);
    let Failure::Refused { status: 400, refusal } = failure else { panic!("{failure}") };
    assert_eq!(refusal.param.as_deref(), Some("messages[0]"));
}

#[tokio::test]
async fn the_schema_of_a_tool_is_of_an_object() {
    check_beside(
        "claude-opus-5",
        r#""tools":[{"type":"function","function":{"name":"f","parameters":{}}},{"type":"function","function":{"name":"g","parameters":{"properties":{"a":{}}}}},{"type":"function","function":{"name":"h"}},{"type":"function","function":{"name":"i","parameters":{"anyOf":[{"properties":{"a":{}}}]}}}]"#,
        r#""tools":[{"name":"f","input_schema":{"type":"object"}},{"name":"g","input_schema":{"type":"object","properties":{"a":{}}}},{"name":"h","input_schema":{"type":"object","properties":{}}},{"name":"i","input_schema":{"type":"object","properties":{"a":{}},"description":"{anyOf: [{\"properties\":{\"a\":{}}}]}"}}]"#,
    )
    .await;
}

#[tokio::test]
async fn ids_of_other_providers_are_mapped_alike_in_calls_and_results() {
    let server = Server::start(Answer::json(200, REPLY)).await;
    let calls = |ids: [&str; 2]| {
        let call = |id| format!(r#"{{"id":"{id}","type":"function","function":{{"name":"f","arguments":"{{}}"}}}}"#);
        let result = |id| format!(r#"{{"role":"tool","tool_call_id":"{id}","content":"b"}}"#);
        let (calls, results) = (ids.map(call).join(","), ids.map(result).join(","));
        format!(
            r#"{{"messages":[{{"role":"user","content":"a"}},{{"role":"assistant","tool_calls":[{calls}]}},{results}]}}"#
        )
    };
    let ids = ["functions.get_weather:0", "call_1"];
    provider(&toml(&server)).send(&request("claude-opus-5", &calls(ids))).await.unwrap();
    let body = server.got().json();
    let of = |pointer: &str| body.pointer(pointer).and_then(|id| id.as_str()).unwrap().to_owned();
    let mapped = of("/messages/1/content/0/id");
    assert!(mapped.starts_with("call_") && mapped.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_'), "{mapped}");
    assert_eq!(of("/messages/2/content/0/tool_use_id"), mapped);
    assert_eq!([of("/messages/1/content/1/id"), of("/messages/2/content/1/tool_use_id")], ["call_1", "call_1"]);
}

#[tokio::test]
async fn an_effort_becomes_what_the_model_has() {
    for (model, effort, expected) in [
        ("claude-opus-4-6", "max", r#""thinking":{"type":"adaptive"},"output_config":{"effort":"max"}"#),
        ("claude-opus-4-6", "xhigh", r#""thinking":{"type":"adaptive"},"output_config":{"effort":"high"}"#),
        ("claude-haiku-4-5", "max", r#""thinking":{"type":"enabled","budget_tokens":32768}"#),
        ("claude-3-5-haiku-20241022", "high", ""),
        ("claude-sonnet-5", "none", r#""thinking":{"type":"disabled"}"#),
        ("claude-opus-5-5", "none", r#""output_config":{"effort":"low"}"#),
        ("claude-haiku-4-5", "none", ""),
    ] {
        check_beside(model, &format!(r#""reasoning_effort":"{effort}""#), expected).await;
    }
}

#[tokio::test]
async fn thinking_gives_way_to_a_forced_tool_and_the_temperature_to_thinking() {
    let tool = r#""tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}]"#;
    let sent = r#""tools":[{"name":"f","input_schema":{"type":"object"}}]"#;
    let forced = format!(r#"{tool},"tool_choice":"required","reasoning_effort":"high","temperature":0.2"#);
    let any = format!(r#"{sent},"tool_choice":{{"type":"any"}}"#);
    check_beside("claude-sonnet-4-5", &forced, &format!(r#"{any},"temperature":0.2"#)).await;
    let effort = format!(r#"{any},"output_config":{{"effort":"high"}}"#);
    check_beside("claude-opus-4-7", &forced, &effort).await;
    let both = format!(r#"{effort},"thinking":{{"type":"adaptive"}}"#);
    check_beside("claude-opus-5", &forced, &both).await;
    let thinking = r#""thinking":{"type":"enabled","budget_tokens":16384}"#;
    check_beside("claude-sonnet-4-5", r#""reasoning_effort":"high","temperature":0.2,"top_p":0.9"#, thinking).await;
}

#[tokio::test]
async fn one_of_temperature_and_top_p_is_sent_and_none_to_a_model_without() {
    for (model, members, expected) in [
        ("claude-sonnet-4-5", r#""temperature":0.7,"top_p":1"#, r#""temperature":0.7"#),
        ("claude-sonnet-4-5", r#""temperature":0.7,"top_p":0.9"#, r#""temperature":0.7"#),
        ("claude-sonnet-4-5", r#""temperature":1,"top_p":0.9"#, r#""top_p":0.9"#),
        ("claude-3-5-haiku-20241022", r#""temperature":0.7,"top_p":0.9"#, r#""temperature":0.7,"top_p":0.9"#),
        ("claude-opus-4-7", r#""temperature":0.7,"top_p":0.9"#, ""),
    ] {
        check_beside(model, members, expected).await;
    }
}

#[tokio::test]
async fn a_user_that_names_a_person_is_hashed() {
    let user = |name: &str| format!(r#""user":"{name}""#);
    let metadata = |id: &str| format!(r#""metadata":{{"user_id":"{id}"}}"#);
    check_beside("claude-opus-5", &user("user-7"), &metadata("user-7")).await;
    let server = Server::start(Answer::json(200, REPLY)).await;
    let body = r#"{"messages":[{"role":"user","content":"a"}],"user":"jo@example.com"}"#;
    provider(&toml(&server)).send(&request("claude-opus-5", body)).await.unwrap();
    let sent = server.got().json()["metadata"]["user_id"].as_str().unwrap().to_owned();
    assert!(sent.starts_with("user_") && !sent.contains('@'), "{sent}");
    check_beside("claude-opus-5", &user("jo@example.com"), &metadata(&sent)).await;
}

#[tokio::test]
async fn images_and_files_have_the_types_that_anthropic_knows() {
    check(
        "claude-opus-5",
        r#""messages":[{"role":"user","content":[
            {"type":"image_url","image_url":{"url":"data:image/jpg;base64,AA=="}},
            {"type":"image_url","image_url":{"url":"DATA:IMAGE/PNG;charset=utf-8;base64,/9j/AA=="}},
            {"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,JVBERi0="}},
            {"type":"file","file":{"file_data":"JVBERi0="}},
            {"type":"file","file":{"filename":"a.md","file_data":"data:text/markdown;base64,IyDDpA=="}}]}]"#,
        r#""messages":[{"role":"user","content":[
            {"type":"image","source":{"type":"base64","media_type":"image/jpeg","data":"AA=="}},
            {"type":"image","source":{"type":"base64","media_type":"image/jpeg","data":"/9j/AA=="}},
            {"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBERi0="},"title":"a.pdf"},
            {"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBERi0="}},
            {"type":"document","source":{"type":"text","media_type":"text/plain","data":"\u0023 ä"},"title":"a.md"}]}]"#,
    )
    .await;
}

#[tokio::test]
async fn files_that_anthropic_does_not_read_are_refused() {
    for (file, expected) in [
        (r#"{"file_id":"file-1"}"#, "a file without `file_data` cannot be expressed"),
        (
            r#"{"file_data":"data:application/zip;base64,AA=="}"#,
            "Anthropic cannot read a file of the type `application/zip`: it takes PDF and text only",
        ),
        (
            r#"{"file_data":"data:application/zip;base64,AA==","filename":"a.zip"}"#,
            "Anthropic cannot read the file `a.zip` of the type `application/zip`: it takes PDF and text only",
        ),
    ] {
        let server = Server::start(Answer::json(200, REPLY)).await;
        let body = format!(r#"{{"messages":[{{"role":"user","content":[{{"type":"file","file":{file}}}]}}]}}"#);
        let failure = failure(provider(&toml(&server)).send(&request("claude-opus-5", &body)).await);
        assert!(matches!(&failure, Failure::Unsupported { what, .. } if what == expected), "{failure}");
    }
}

#[tokio::test]
async fn texts_of_white_space_are_left_out() {
    check(
        "claude-opus-5",
        r#""messages":[
            {"role":"system","content":" "},
            {"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":" \n"}]},
            {"role":"assistant","content":"\n"},
            {"role":"user","content":"b"},
            {"role":"assistant","content":"c \n"}]"#,
        r#""messages":[
            {"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
            {"role":"assistant","content":[{"type":"text","text":"c"}]}]"#,
    )
    .await;
}

#[tokio::test]
async fn keywords_that_anthropic_refuses_move_to_the_description() {
    let schema = r#"{"type":"object","properties":{"a":{"type":"integer","minimum":1}}}"#;
    let moved = r#"{"type":"object","properties":{"a":{"type":"integer","description":"{minimum: 1}"}},"additionalProperties":false}"#;
    let tool = |strict: bool| {
        format!(r#"{{"type":"function","function":{{"name":"f","strict":{strict},"parameters":{schema}}}}}"#)
    };
    let client = format!(
        r#""response_format":{{"type":"json_schema","json_schema":{{"name":"n","strict":true,"schema":{schema}}}}},"tools":[{},{}]"#,
        tool(true),
        tool(false)
    );
    let expected = format!(
        r#""output_config":{{"format":{{"type":"json_schema","schema":{moved}}}}},"tools":[{{"name":"f","input_schema":{moved},"strict":true}},{{"name":"f","input_schema":{schema}}}]"#
    );
    check_beside("claude-opus-5", &client, &expected).await;
}
