//! Gemini's answers and errors. The recorded ones have the shapes of Google's documents and of its SDK's types.

use std::time::Duration;

use shared::model::catalog::Catalog;
use shared::model::provider::{Endpoint, Failure, ProviderRequest, Reply, Whole};
use shared::model::tokens::Usage;

use crate::play::{Answer, Server, call, drain, failure, json, lines, provider, same_lines, whole};

const ASK: &str = r#"{"messages":[{"role":"user","content":"Hi"}]}"#;
const ONE_CALL: &str = r#"{"messages":[{"role":"user","content":"Hi"}],"parallel_tool_calls":false}"#;
const REPLY: &str = include_str!("../fixtures/gemini/reply.json");
const STREAM: &str = include_str!("../fixtures/gemini/stream.sse");

pub(crate) fn toml(server: &Server) -> String {
    format!(
        "[[provider]]\nname = \"it\"\nkind = \"gemini\"\nbase_url = \"{}\"\napi_key_env = \"KEY\"\n\
         media_urls = [\"https://\", \"data:\"]\n",
        server.base_url
    )
}

pub(crate) fn chat(model: &str, body: &str, stream: bool) -> ProviderRequest {
    ProviderRequest { model: model.to_owned(), ..call(Endpoint::ChatCompletions, body, stream) }
}

async fn send(body: &str, stream: bool, answer: Answer) -> Result<Reply, Failure> {
    let server = Server::start(answer).await;
    provider(&toml(&server)).send(&chat("gemini-3.5-flash", body, stream)).await
}

/// Reads a whole answer with this body.
async fn read(body: &str) -> Result<Whole, Failure> {
    let answer = Answer { pieces: vec![body.to_owned().into()], ..Answer::json(200, "") };
    send(ASK, false, answer).await.map(whole)
}

#[tokio::test]
async fn a_whole_reply_becomes_a_chat_completion() {
    let whole = read(REPLY).await.unwrap();
    assert_eq!(json(&whole.body), json(include_str!("../fixtures/gemini/reply-client.json")));
    // A client reads the arguments with all digits.
    assert!(String::from_utf8_lossy(&whole.body).contains("12345678901234567890"));
    let usage = Usage { input: 3_217, cached_input: 3_000, output: 150, reasoning: 108, ..Usage::default() };
    assert_eq!(whole.usage, Some(usage));
}

#[tokio::test]
async fn thoughts_are_charged_as_output_and_cached_input_at_its_price() {
    let usage = read(REPLY).await.unwrap().usage.unwrap();
    let models = "[[provider]]\nname = \"g\"\nkind = \"gemini\"\n[[model]]\nname = \"m\"\nkind = \"chat\"\n\
        price = { input = 1.5, cached_input = 0.15, output = 9.0 }\ncontext_tokens = 1114112\nmax_output_tokens = 65536\n\
        targets = [{ provider = \"g\", model = \"gemini-3.5-flash\" }]\n";
    let catalog = Catalog::parse(models).unwrap();
    // 217 * 1.5 + 3,000 * 0.15 + 150 * 9 = 2,125.5 micro-dollars.
    assert_eq!(catalog.model("m").unwrap().charge(usage).cost.0, 2_126);
}

#[tokio::test]
async fn a_stream_becomes_chunks() {
    let chunks = lines(send(ASK, true, Answer::sse(STREAM)).await.unwrap()).await;
    let made = chunks.split(r#""id":"#).find_map(|rest| rest.strip_prefix("\"call_")?.split('"').next()).unwrap();
    assert_eq!(made.len(), 24, "{made}");
    let expected = include_str!("../fixtures/gemini/stream-client.jsonl").replace("MADE", &format!("call_{made}"));
    same_lines(&chunks, &expected);
}

#[tokio::test]
async fn the_usage_of_a_stream_is_reported_once_at_the_end() {
    let reply = send(ASK, true, Answer::sse(STREAM)).await.unwrap();
    let usages: Vec<_> = drain(reply).await.into_iter().filter_map(|event| event.unwrap().usage).collect();
    assert_eq!(usages, [Usage { input: 30, cached_input: 5, output: 32, reasoning: 12, ..Usage::default() }]);
}

#[tokio::test]
async fn a_client_that_asked_for_one_call_gets_the_first_with_its_signature() {
    let reply = whole(send(ONE_CALL, false, Answer::json(200, REPLY)).await.unwrap());
    let message = &json(&reply.body)["choices"][0]["message"];
    let ids: Vec<_> = message["tool_calls"].as_array().unwrap().iter().map(|call| &call["id"]).collect();
    assert_eq!(ids, ["n8xk2p9q"]);
    assert_eq!(message["reasoning_details"][0]["id"], "n8xk2p9q");
    let chunks = lines(send(ONE_CALL, true, Answer::sse(STREAM)).await.unwrap()).await;
    assert!(chunks.contains("weather") && !chunks.contains("second"), "{chunks}");
    assert!(chunks.contains(r#""finish_reason":"tool_calls""#), "{chunks}");
}

fn ended(reason: &str, part: &str) -> String {
    format!(r#"{{"candidates":[{{"content":{{"parts":[{part}]}},"finishReason":"{reason}"}}],"responseId":"a"}}"#)
}

#[tokio::test]
async fn finish_reasons_have_their_names() {
    let (text, call) = (r#"{"text":"a"}"#, r#"{"functionCall":{"name":"f"}}"#);
    for (reason, part, expected) in [
        ("STOP", text, "stop"),
        ("STOP", call, "tool_calls"),
        ("MAX_TOKENS", text, "length"),
        ("MAX_TOKENS", call, "length"),
        ("CONTINUATION", text, "length"),
        ("SAFETY", "", "content_filter"),
        ("RECITATION", text, "content_filter"),
        ("SPII", text, "content_filter"),
        ("OTHER", text, "content_filter"),
        ("IMAGE_SAFETY", text, "content_filter"),
        ("A_LATER_ONE", text, "content_filter"),
    ] {
        let whole = read(&ended(reason, part)).await.unwrap();
        assert_eq!(json(&whole.body)["choices"][0]["finish_reason"], expected, "{reason}");
        let chunks = lines(send(ASK, true, Answer::sse(&format!("data: {}\n\n", ended(reason, part)))).await.unwrap());
        assert!(chunks.await.contains(&format!(r#""finish_reason":"{expected}""#)), "{reason}");
    }
}

#[tokio::test]
async fn an_answer_that_the_model_did_not_end_well_is_a_failure() {
    for reason in
        ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MISSING_THOUGHT_SIGNATURE", "TOO_MANY_TOOL_CALLS"]
    {
        let failure = read(&ended(reason, "")).await.unwrap_err();
        assert_eq!(
            failure.to_string(),
            format!("the provider's answer is not understood: the model ended with {reason}")
        );
        let stream = Answer::sse(&format!("data: {}\n\n", ended(reason, r#"{"text":"a"}"#)));
        let end = drain(send(ASK, true, stream).await.unwrap()).await.pop().unwrap();
        assert!(matches!(end, Err(Failure::Malformed(_))), "{reason}");
    }
    for body in ["{}", r#"{"candidates":[]}"#, r#"{"choices":[]}"#, "[]", "7", r#"{"candidates":[{"content":{}}]}"#] {
        assert!(matches!(read(body).await, Err(Failure::Malformed(_))), "{body}");
    }
}

#[tokio::test]
async fn a_refused_prompt_is_an_empty_answer_whose_input_counts() {
    let blocked = r#"{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},"usageMetadata":{"promptTokenCount":9,"totalTokenCount":9},"modelVersion":"gemini-3.5-flash","responseId":"b"}"#;
    let usage = Usage { input: 9, ..Usage::default() };
    let whole = read(blocked).await.unwrap();
    let choice = &json(&whole.body)["choices"][0];
    assert_eq!((&choice["finish_reason"], &choice["message"]["content"]), (&json("\"content_filter\""), &json("null")));
    assert_eq!(whole.usage, Some(usage));
    let events = drain(send(ASK, true, Answer::sse(&format!("data: {blocked}\n\n"))).await.unwrap()).await;
    let last = events.into_iter().map(Result::unwrap).next_back().unwrap();
    assert_eq!(last.usage, Some(usage));
}

#[tokio::test]
async fn a_stream_without_an_end_is_a_failure() {
    let end_of = async |stream: &str| {
        let reply = send(ASK, true, Answer::sse(stream)).await.unwrap();
        drain(reply).await.pop().unwrap().unwrap_err()
    };
    let begun: String = STREAM.split_inclusive("\n\n").take(3).collect();
    assert!(matches!(end_of(&begun).await, Failure::Malformed(_)));
    assert!(matches!(end_of(": nothing\n\n").await, Failure::Malformed(_)));
    let overloaded = r#"{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}"#;
    for error in [overloaded.to_owned(), format!("[{overloaded}]")] {
        let failure = end_of(&format!("{begun}data: {error}\n\n")).await;
        assert!(matches!(failure, Failure::Unavailable { status: 503, .. }), "{failure}");
    }
}

/// A 429 as Google was seen to send it.
const MINUTE: &str = r#"[{"error":{"code":429,"message":"You exceeded your current quota.","status":"RESOURCE_EXHAUSTED","details":[
    {"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaMetric":"generativelanguage.googleapis.com/generate_content_free_tier_requests","quotaId":"GenerateRequestsPerMinutePerProjectPerModel-FreeTier","quotaDimensions":{"location":"global","model":"gemini-2.5-flash"},"quotaValue":"10"}]},
    {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"45.837906927s"}]}}]"#;

#[tokio::test]
async fn errors_tell_when_to_come_back_and_whose_fault_it_is() {
    let error = |status, body: &str| Answer { pieces: vec![body.to_owned().into()], ..Answer::json(status, "") };
    let failed = async |answer| failure(send(ASK, false, answer).await);
    assert_eq!(failed(error(429, MINUTE)).await.retry_after(), Some(Duration::from_nanos(45_837_906_927)));
    let day = MINUTE.replace("PerMinute", "PerDay");
    assert_eq!(failed(error(429, &day)).await.retry_after(), Some(Duration::from_secs(3_600)));
    assert_eq!(failed(error(200, MINUTE)).await.retry_after(), Some(Duration::from_nanos(45_837_906_927)));
    let in_stream = failure_in_stream(&day.replace('\n', "")).await;
    assert_eq!(in_stream.retry_after(), Some(Duration::from_secs(3_600)));

    let long = r#"{"error":{"code":400,"message":"The input token count (1196265) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}"#;
    let Failure::Refused { status: 400, refusal } = failed(error(400, long)).await else { panic!() };
    assert_eq!(
        (refusal.code.as_deref(), refusal.kind.as_deref()),
        (Some("context_length_exceeded"), Some("invalid_request_error"))
    );
    assert!(refusal.message.starts_with("The input token count"));
    let key = r#"[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com"}]}}]"#;
    let denied =
        r#"{"error":{"code":403,"message":"Your API key was reported as leaked.","status":"PERMISSION_DENIED"}}"#;
    for (status, body) in [(400, key), (403, denied), (401, "")] {
        let failure = failed(error(status, body)).await;
        assert!(
            matches!(failure, Failure::Unauthorized { .. }) && !failure.to_string().contains("leaked"),
            "{failure}"
        );
    }
    let missing = r#"{"error":{"code":404,"message":"models/x is not found","status":"NOT_FOUND"}}"#;
    assert!(matches!(failed(error(404, missing)).await, Failure::Refused { status: 404, .. }));
    assert!(matches!(failed(error(500, "")).await, Failure::Unavailable { status: 500, .. }));
}

async fn failure_in_stream(error: &str) -> Failure {
    let reply = send(ASK, true, Answer::sse(&format!("data: {error}\n\n"))).await.unwrap();
    drain(reply).await.pop().unwrap().unwrap_err()
}

#[tokio::test]
async fn other_operations_are_unsupported() {
    let server = Server::start(Answer::json(200, REPLY)).await;
    for endpoint in [Endpoint::Completions, Endpoint::Moderations] {
        let failure = failure(provider(&toml(&server)).send(&call(endpoint, "{}", false)).await);
        assert!(matches!(failure, Failure::Unsupported { param: None, .. }), "{failure}");
    }
}

#[tokio::test]
async fn a_client_of_anthropics_api_gets_a_message() {
    let server = Server::start(Answer::json(200, REPLY)).await;
    let body = r#"{"max_tokens":64,"messages":[{"role":"user","content":"Hi"}],"thinking":{"type":"enabled","budget_tokens":2048}}"#;
    let call = ProviderRequest { model: "gemini-3.5-flash".to_owned(), ..call(Endpoint::Messages, body, false) };
    let message = json(&whole(provider(&toml(&server)).send(&call).await.unwrap()).body);
    let kinds: Vec<_> = message["content"].as_array().unwrap().iter().map(|block| &block["type"]).collect();
    assert_eq!(kinds, ["thinking", "text", "tool_use", "tool_use"]);
    assert_eq!((&message["stop_reason"], &message["usage"]["output_tokens"]), (&json("\"tool_use\""), &json("150")));
    assert_eq!(server.got().json()["generationConfig"]["maxOutputTokens"], 64);
}
