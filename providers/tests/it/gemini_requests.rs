//! What OpenAI's clients send, as Gemini takes it: whole bodies.

use serde_json::Value;
use shared::model::object::Object;
use shared::model::provider::Failure;
use shared::model::reasoning::{Origin, ReasoningDetails};

use crate::gemini::{chat, toml};
use crate::play::{Answer, Server, failure, json, provider};

const CLIENT: &str = include_str!("../fixtures/gemini/request-client.json");
const REPLY: &str = include_str!("../fixtures/gemini/reply.json");

/// The body that Gemini gets.
async fn sent(model: &str, body: &str) -> Value {
    let server = Server::start(Answer::json(200, REPLY)).await;
    provider(&toml(&server)).send(&chat(model, body, false)).await.unwrap();
    server.got().json()
}

async fn refused(body: &str) -> Failure {
    let server = Server::start(Answer::json(200, REPLY)).await;
    failure(provider(&toml(&server)).send(&chat("gemini-3.5-flash", body, false)).await)
}

#[tokio::test]
async fn a_request_becomes_contents() {
    let server = Server::start(Answer::json(200, REPLY)).await;
    provider(&toml(&server)).send(&chat("gemini-3.5-flash", CLIENT, false)).await.unwrap();
    let got = server.got();
    let hashed = got.json()["contents"][1]["parts"][2]["functionCall"]["id"].as_str().unwrap().to_owned();
    assert!(hashed.starts_with("call_"), "{hashed}");
    let expected = include_str!("../fixtures/gemini/request-provider.json").replace("HASHED", &hashed);
    assert_eq!(got.json(), json(expected), "{:#}", got.json());
    assert_eq!(got.path, "/v1/models/gemini-3.5-flash:generateContent");
    assert_eq!((got.header("x-goog-api-key"), got.header("authorization")), (Some("sk-provider"), None));
    // A model writes its answer in the order of the schema, and numbers keep all digits.
    let text = String::from_utf8_lossy(&got.body);
    assert!(text.contains(r#"{"b":{"type":"integer"},"a""#) && text.contains("12345678901234567890"), "{text}");
}

#[tokio::test]
async fn a_stream_has_a_path_of_its_own() {
    let server = Server::start(Answer::sse("")).await;
    let body = r#"{"messages":[{"role":"user","content":"Hi"}],"stream":true}"#;
    provider(&toml(&server)).send(&chat("tunedModels/mine", body, true)).await.unwrap();
    assert_eq!(server.got().path, "/v1/tunedModels/mine:streamGenerateContent?alt=sse");
    assert_eq!(
        server.got().json(),
        json(r#"{"contents":[{"role":"user","parts":[{"text":"Hi"}]}],"generationConfig":{}}"#)
    );
}

/// Sends `members` beside a message to `model`, and compares the members that Gemini gets beside it.
async fn check_beside(model: &str, members: &str, expected: &str) {
    let got = sent(model, &format!(r#"{{"messages":[{{"role":"user","content":"a"}}],{members}}}"#)).await;
    let expected = format!(r#"{{"contents":[{{"role":"user","parts":[{{"text":"a"}}]}}],{expected}}}"#);
    assert_eq!(got, json(expected), "{got:#}");
}

#[tokio::test]
async fn newer_models_get_no_temperature() {
    let members = r#""temperature":0.2,"top_p":0.5,"max_tokens":9"#;
    check_beside(
        "gemini-2.5-flash",
        members,
        r#""generationConfig":{"maxOutputTokens":9,"temperature":0.2,"topP":0.5}"#,
    )
    .await;
    check_beside("gemini-3.8-flash", members, r#""generationConfig":{"maxOutputTokens":9}"#).await;
}

#[tokio::test]
async fn any_json_is_asked_for_by_its_type() {
    let expected = r#""generationConfig":{"responseMimeType":"application/json"}"#;
    check_beside("gemini-3.8-flash", r#""response_format":{"type":"json_object"}"#, expected).await;
    check_beside("gemini-3.8-flash", r#""response_format":{"type":"text"}"#, r#""generationConfig":{}"#).await;
}

#[tokio::test]
async fn an_effort_becomes_what_the_model_has() {
    for (model, effort, expected) in [
        ("gemini-2.5-flash", "medium", r#"{"thinkingConfig":{"includeThoughts":true,"thinkingBudget":8192}}"#),
        ("gemini-2.5-flash", "none", r#"{"thinkingConfig":{"includeThoughts":false,"thinkingBudget":0}}"#),
        ("gemini-3.8-flash", "max", r#"{"thinkingConfig":{"includeThoughts":true,"thinkingLevel":"HIGH"}}"#),
        ("gemma-3-27b-it", "high", "{}"),
    ] {
        let expected = format!(r#""generationConfig":{expected}"#);
        check_beside(model, &format!(r#""reasoning_effort":"{effort}""#), &expected).await;
    }
}

#[tokio::test]
async fn a_choice_of_tools_becomes_a_mode() {
    let tool = r#""tools":[{"type":"function","function":{"name":"f","parameters":{}}}]"#;
    let declared = r#""tools":[{"functionDeclarations":[{"name":"f","parametersJsonSchema":{"type":"object"}}]}],"generationConfig":{}"#;
    check_beside("gemini-3.8-flash", tool, declared).await;
    for (choice, mode) in [("auto", "AUTO"), ("none", "NONE"), ("required", "ANY")] {
        let config = format!(r#"{declared},"toolConfig":{{"functionCallingConfig":{{"mode":"{mode}"}}}}"#);
        check_beside("gemini-3.8-flash", &format!(r#"{tool},"tool_choice":"{choice}""#), &config).await;
    }
    check_beside("gemini-3.8-flash", r#""tool_choice":"auto","tools":[]"#, r#""generationConfig":{}"#).await;
}

#[tokio::test]
async fn members_that_gemini_cannot_express_are_named() {
    let beside = async |members: &str| {
        let failure = refused(&format!(r#"{{"messages":[{{"role":"user","content":"a"}}],{members}}}"#)).await;
        let Failure::Unsupported { param: Some(param), .. } = failure else { panic!("{failure}") };
        param
    };
    assert_eq!(beside(r#""stop":["1","2","3","4","5","6"]"#).await, "stop");
    assert_eq!(beside(r#""tools":[{"type":"function","function":{"name":"2nd"}}]"#).await, "tools");
    assert_eq!(beside(r#""n":2"#).await, "n");
    let file = r#"{"messages":[{"role":"user","content":[{"type":"file","file":{"file_data":"data:application/zip;base64,AAAA"}}]}]}"#;
    assert!(matches!(refused(file).await, Failure::Unsupported { .. }));
    let lone = r#"{"messages":[{"role":"user","content":"a"},{"role":"tool","tool_call_id":"x","content":"b"}]}"#;
    let Failure::Refused { status: 400, refusal } = refused(lone).await else { panic!() };
    assert_eq!(refusal.param.as_deref(), Some("messages"));
    let system = r#"{"messages":[{"role":"system","content":"a"}]}"#;
    assert!(matches!(refused(system).await, Failure::Refused { status: 400, .. }));
}

#[tokio::test]
async fn older_models_get_media_beside_the_result_of_a_tool() {
    let body = r#"{"messages":[{"role":"user","content":"a"},
        {"role":"assistant","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]},
        {"role":"tool","tool_call_id":"1","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgoAAA"}}]}]}"#;
    let contents = &sent("gemini-2.5-flash", body).await["contents"];
    let expected = r#"[{"role":"user","parts":[{"text":"a"}]},
        {"role":"model","parts":[{"functionCall":{"id":"1","name":"f","args":{}}}]},
        {"role":"user","parts":[{"functionResponse":{"id":"1","name":"f","response":{"output":""}}}]},
        {"role":"user","parts":[{"inlineData":{"mimeType":"image/png","data":"iVBORw0KGgoAAA"}}]}]"#;
    assert_eq!(*contents, json(expected), "{contents:#}");
}

/// An assistant's message with calls, and the results of them.
fn step(ids: &[&str], details: &str) -> String {
    let call = |id: &&str| format!(r#"{{"id":"{id}","type":"function","function":{{"name":"f","arguments":"{{}}"}}}}"#);
    let result = |id: &&str| format!(r#",{{"role":"tool","tool_call_id":"{id}","content":"r"}}"#);
    let (calls, results): (Vec<_>, String) = (ids.iter().map(call).collect(), ids.iter().map(result).collect());
    format!(r#"{{"role":"assistant","tool_calls":[{}]{details}}}{results}"#, calls.join(","))
}

/// The signatures of the calls in the contents: `-` for one without.
fn signatures(sent: &Value) -> String {
    let contents = sent["contents"].as_array().unwrap().iter();
    let parts = contents.flat_map(|content| content["parts"].as_array().unwrap());
    let calls = parts.filter(|part| part["functionCall"].is_object());
    calls.map(|part| part["thoughtSignature"].as_str().unwrap_or("-")).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn signatures_go_back_to_the_parts_that_they_came_from() {
    let detail = |id: &str, data: &str| {
        let entry = format!(
            r#"{{"type":"reasoning.encrypted","data":"{data}","id":{id},"format":"google-gemini-v1","index":0}}"#
        );
        Object::parse(entry.as_bytes()).unwrap()
    };
    let details = |list: &[Object]| {
        let details: ReasoningDetails = serde_json::from_value(serde_json::to_value(list).unwrap()).unwrap();
        let marked = details.marked(&Origin::of("it", "gemini-3.8-flash"));
        format!(r#","reasoning_details":{}"#, serde_json::to_string(&marked).unwrap())
    };
    let ask = r#"{"role":"user","content":"a"}"#;
    let parallel = step(&["1", "2"], &details(&[detail("\"1\"", "s1")]));
    let second = step(&["3"], &details(&[detail("\"3\"", "s3")]));
    let body = |messages: &[&str]| format!(r#"{{"messages":[{}]}}"#, messages.join(","));
    let got = sent("gemini-3.8-flash", &body(&[ask, &parallel, &second])).await;
    assert_eq!(signatures(&got), "s1 - s3");

    let foreign = step(&["4", "5"], "");
    let got = sent("gemini-3.8-flash", &body(&[ask, &parallel, &foreign])).await;
    assert_eq!(signatures(&got), "s1 - skip_thought_signature_validator -");
    let later = r#"{"role":"user","content":"b"}"#;
    assert_eq!(signatures(&sent("gemini-3.8-flash", &body(&[ask, &foreign, later])).await), "- -");
    assert_eq!(signatures(&sent("gemini-2.5-flash", &body(&[ask, &foreign])).await), "- -");

    let text = format!(r#"{{"role":"assistant","content":"t"{}}}"#, details(&[detail("null", "s5")]));
    let got = sent("gemini-3.8-flash", &body(&[ask, &text, later])).await;
    assert_eq!(got["contents"][1], json(r#"{"role":"model","parts":[{"text":"t","thoughtSignature":"s5"}]}"#));
}

#[tokio::test]
async fn an_answer_can_be_sent_back() {
    let server = Server::start(Answer::json(200, REPLY)).await;
    let provider = provider(&toml(&server));
    let ask = r#"{"role":"user","content":"a"}"#;
    let reply = provider.send(&chat("gemini-3.8-flash", &format!(r#"{{"messages":[{ask}]}}"#), false)).await.unwrap();
    let message = json(&crate::play::whole(reply).body)["choices"][0]["message"].to_string();
    let results = r#"{"role":"tool","tool_call_id":"n8xk2p9q","content":"1"},{"role":"tool","tool_call_id":"m3vd7c1a","content":"2"}"#;
    let body = format!(r#"{{"messages":[{ask},{message},{results}]}}"#);
    provider.send(&chat("gemini-3.8-flash", &body, false)).await.unwrap();
    let expected = json(REPLY)["candidates"][0]["content"]["parts"].as_array().unwrap()[2..5].to_vec();
    let got = server.got().json()["contents"][1]["parts"].as_array().unwrap().clone();
    assert_eq!(got, expected);
}
