//! What OpenAI's clients send, as Converse takes it: whole bodies.

use shared::model::provider::{Endpoint, Failure, Provider as _, ProviderRequest};

use crate::aws::{Aws, Recorded};
use crate::play::{call, failure, json};

const REPLY: &str = include_str!("../fixtures/bedrock/reply.json");
const SONNET_4_5: &str = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0";

fn request(model: &str, client: &str) -> ProviderRequest {
    let body = format!("{{{client}}}");
    ProviderRequest { model: model.to_owned(), ..call(Endpoint::ChatCompletions, &body, false) }
}

/// Sends the members `client` to `model`, and compares the body that Bedrock gets with the members `expected`.
async fn check(model: &str, client: &str, expected: &str) {
    let aws = Aws::new(Recorded::json(200, REPLY));
    aws.bedrock().send(&request(model, client)).await.unwrap();
    let sent = &aws.sent()[0].body;
    assert_eq!(*sent, json(format!("{{{expected}}}")), "{sent:#}");
}

/// The same for members beside a message of the user.
async fn check_beside(model: &str, client: &str, expected: &str) {
    let client = format!(r#""messages":[{{"role":"user","content":"a"}}],{client}"#);
    check(model, &client, &format!(r#""messages":[{{"role":"user","content":[{{"text":"a"}}]}}],{expected}"#)).await;
}

const MARKED: &str = r#""messages":[
    {"role":"system","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"1h"}},{"type":"text","text":"b"}]},
    {"role":"user","content":[{"type":"text","text":"c","cache_control":{"type":"ephemeral"}},{"type":"text","text":"d"}]},
    {"role":"assistant","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]},
    {"role":"tool","tool_call_id":"1","content":[{"type":"text","text":"e","cache_control":{"type":"ephemeral","ttl":"5m"}}]}],
"tools":[{"type":"function","function":{"name":"f"},"cache_control":{"type":"ephemeral"}}]"#;

#[tokio::test]
async fn marks_for_the_cache_become_points_behind_their_blocks() {
    check(
        SONNET_4_5,
        MARKED,
        r#""system":[{"text":"a"},{"cachePoint":{"type":"default","ttl":"1h"}},{"text":"b"}],
        "messages":[
            {"role":"user","content":[{"text":"c"},{"cachePoint":{"type":"default"}},{"text":"d"}]},
            {"role":"assistant","content":[{"toolUse":{"toolUseId":"1","name":"f","input":{}}}]},
            {"role":"user","content":[{"toolResult":{"toolUseId":"1","content":[{"text":"e"}]}},{"cachePoint":{"type":"default","ttl":"5m"}}]}],
        "inferenceConfig":{},
        "toolConfig":{"tools":[{"toolSpec":{"name":"f","inputSchema":{"json":{"type":"object","properties":{}}}}},{"cachePoint":{"type":"default"}}]}"#,
    )
    .await;
}

#[tokio::test]
async fn a_model_gets_no_points_that_it_does_not_take() {
    let messages = |point: &str| {
        format!(
            r#""messages":[
                {{"role":"user","content":[{{"text":"c"}},{point}{{"text":"d"}}]}},
                {{"role":"assistant","content":[{{"toolUse":{{"toolUseId":"1","name":"f","input":{{}}}}}}]}},
                {{"role":"user","content":[{{"toolResult":{{"toolUseId":"1","content":[{{"text":"e"}}]}}}}{}]}}],
            "inferenceConfig":{{}},
            "toolConfig":{{"tools":[{{"toolSpec":{{"name":"f","inputSchema":{{"json":{{"type":"object","properties":{{}}}}}}}}}}]}}"#,
            if point.is_empty() { "" } else { r#",{"cachePoint":{"type":"default"}}"# }
        )
    };
    let nova = format!(
        r#""system":[{{"text":"a"}},{{"cachePoint":{{"type":"default"}}}},{{"text":"b"}}],{}"#,
        messages(r#"{"cachePoint":{"type":"default"}},"#)
    );
    check("eu.amazon.nova-pro-v1:0", MARKED, &nova).await;
    let other = format!(r#""system":[{{"text":"a"}},{{"text":"b"}}],{}"#, messages(""));
    check("mistral.mistral-large-2407-v1:0", MARKED, &other).await;
}

#[tokio::test]
async fn schemas_ids_and_texts_are_as_bedrock_takes_them() {
    check(
        SONNET_4_5,
        r#""messages":[{"role":"user","content":"a"},{"role":"assistant","content":" "},{"role":"user","content":"b"},
            {"role":"assistant","tool_calls":[{"id":"f:0","type":"function","function":{"name":"f","arguments":"{}"}}]},
            {"role":"tool","tool_call_id":"f:0","content":"c"}],
        "tools":[{"type":"function","function":{"name":"f","parameters":{}}},
            {"type":"function","function":{"name":"g","strict":true,"parameters":{"properties":{"a":{"type":"string","maxLength":3}}}}}]"#,
        r#""messages":[{"role":"user","content":[{"text":"a"},{"text":"b"}]},
            {"role":"assistant","content":[{"toolUse":{"toolUseId":"call_ID","name":"f","input":{}}}]},
            {"role":"user","content":[{"toolResult":{"toolUseId":"call_ID","content":[{"text":"c"}]}}]}],
        "inferenceConfig":{},
        "toolConfig":{"tools":[{"toolSpec":{"name":"f","inputSchema":{"json":{"type":"object"}}}},
            {"toolSpec":{"name":"g","strict":true,"inputSchema":{"json":{"type":"object","additionalProperties":false,
                "properties":{"a":{"type":"string","description":"{maxLength: 3}"}}}}}}]}"#
            .replace("call_ID", &shared::model::id::derive("call_", &["f:0"]))
            .as_str(),
    )
    .await;
}

#[tokio::test]
async fn thinking_and_sampling_are_as_the_model_takes_them() {
    let thinking =
        r#""inferenceConfig":{},"additionalModelRequestFields":{"thinking":{"type":"enabled","budget_tokens":16384}}"#;
    check_beside(SONNET_4_5, r#""reasoning_effort":"high","temperature":0.5,"top_p":0.5"#, thinking).await;
    let one = r#""inferenceConfig":{"temperature":0.5}"#;
    check_beside(SONNET_4_5, r#""temperature":0.5,"top_p":0.5"#, one).await;
    check_beside("global.anthropic.claude-opus-4-7", r#""temperature":0.5,"top_p":0.5"#, r#""inferenceConfig":{}"#)
        .await;
    let both = r#""inferenceConfig":{"temperature":1.0,"topP":0.5}"#;
    check_beside("eu.amazon.nova-pro-v1:0", r#""temperature":1.5,"top_p":0.5,"reasoning_effort":"none""#, both).await;
    let none = r#""inferenceConfig":{},"additionalModelRequestFields":{"thinking":{"type":"disabled"}}"#;
    check_beside("global.anthropic.claude-sonnet-5", r#""reasoning_effort":"none""#, none).await;
}

#[tokio::test]
async fn images_and_files_have_the_types_that_bedrock_knows() {
    check(
        SONNET_4_5,
        r#""messages":[{"role":"user","content":[
            {"type":"text","text":"a"},
            {"type":"image_url","image_url":{"url":"data:image/jpg;base64,AA=="}},
            {"type":"file","file":{"filename":"a_b.pdf","file_data":"data:application/pdf;base64,JVBERi0="}},
            {"type":"file","file":{"file_data":"data:text/plain;base64,YQ=="}}]}]"#,
        r#""messages":[{"role":"user","content":[
            {"text":"a"},
            {"image":{"format":"jpeg","source":{"bytes":"AA=="}}},
            {"document":{"format":"pdf","name":"a b pdf 1","source":{"bytes":"JVBERi0="}}},
            {"document":{"format":"txt","name":"document 2","source":{"bytes":"YQ=="}}}]}],
        "inferenceConfig":{}"#,
    )
    .await;
    check(
        SONNET_4_5,
        r#""messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a.csv","file_data":"data:application/octet-stream;base64,YQ=="}}]}]"#,
        r#""messages":[{"role":"user","content":[{"document":{"format":"csv","name":"a csv 1","source":{"bytes":"YQ=="}}},{"text":"."}]}],
        "inferenceConfig":{}"#,
    )
    .await;
    let aws = Aws::new(Recorded::json(200, REPLY));
    let zip = r#""messages":[{"role":"user","content":[{"type":"file","file":{"file_data":"data:application/zip;base64,AA=="}}]}]"#;
    let failure = failure(aws.bedrock().send(&request(SONNET_4_5, zip)).await);
    assert!(matches!(&failure, Failure::Unsupported { what, .. } if what.contains("application/zip")), "{failure}");
}
