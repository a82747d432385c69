//! OpenAI's API: bodies pass through.

use std::time::Duration;

use bytes::Bytes;
use shared::model::provider::{Endpoint, Failure, ProviderRequest};
use shared::model::tokens::Usage;

use crate::play::{
    Answer, Server, call, closing_server, drain, failure, json, lines, provider, same_lines, unused_url, whole,
};

const CLIENT: &str = include_str!("../fixtures/openai/request-client.json");
const REPLY: &str = include_str!("../fixtures/openai/reply.json");
const STREAM: &str = include_str!("../fixtures/openai/stream.sse");

fn toml(server: &Server) -> String {
    let url = &server.base_url;
    format!(
        "[[provider]]\nname = \"it\"\nkind = \"openai\"\nbase_url = \"{url}\"\napi_key_env = \"KEY\"\nheaders = {{ OpenAI-Project = \"proj_1\" }}\n"
    )
}

fn call_of(stream: bool) -> ProviderRequest {
    call(Endpoint::ChatCompletions, r#"{"model":"chat","messages":[]}"#, stream)
}

#[tokio::test]
async fn a_request_keeps_unknown_members() {
    let server = Server::start(Answer::sse(STREAM)).await;
    let sent = call(Endpoint::ChatCompletions, CLIENT, true);
    provider(&toml(&server)).send(&sent).await.unwrap();
    let got = server.got();
    assert_eq!(got.path, "/v1/chat/completions");
    assert_eq!(got.body, include_str!("../fixtures/openai/request-provider.json").trim_end());
    assert_eq!(got.header("authorization"), Some("Bearer sk-provider"));
    assert_eq!(got.header("openai-project"), Some("proj_1"));
    assert_eq!(got.header("traceparent"), sent.traceparent.as_deref());
}

#[tokio::test]
async fn a_whole_reply_comes_back_byte_for_byte_and_is_counted() {
    let server = Server::start(Answer::json(200, REPLY)).await;
    let sent = call(Endpoint::ChatCompletions, r#"{"model":"chat","messages":[]}"#, false);
    let whole = whole(provider(&toml(&server)).send(&sent).await.unwrap());
    assert_eq!(whole.body, REPLY);
    let expected = Usage { input: 20, cached_input: 4, cache_write: 3, output: 9, reasoning: 5, ..Usage::default() };
    assert_eq!(whole.usage, Some(expected));
    assert_eq!(server.got().json(), json(r#"{"model":"their-model","messages":[]}"#));
}

#[tokio::test]
async fn the_output_limit_is_named_as_the_provider_reads_it() {
    let both = r#"{"model":"their-model","max_tokens":5}"#;
    for (limits, newer, older) in [
        (
            r#""max_completion_tokens":7"#,
            r#"{"model":"their-model","max_completion_tokens":7}"#,
            r#"{"model":"their-model","max_tokens":7}"#,
        ),
        (r#""max_tokens":5"#, both, both),
        (
            r#""max_tokens":null,"max_completion_tokens":7"#,
            r#"{"model":"their-model","max_tokens":null,"max_completion_tokens":7}"#,
            r#"{"model":"their-model","max_tokens":7}"#,
        ),
        (
            r#""max_tokens":5,"max_completion_tokens":7"#,
            r#"{"model":"their-model","max_tokens":5,"max_completion_tokens":7}"#,
            both,
        ),
    ] {
        let server = Server::start(Answer::json(200, REPLY)).await;
        let sent = call(Endpoint::ChatCompletions, &format!(r#"{{"model":"chat",{limits}}}"#), false);
        provider(&toml(&server)).send(&sent).await.unwrap();
        assert_eq!(server.got().body, newer);
        provider(&format!("{}output_limit = \"max_tokens\"\n", toml(&server))).send(&sent).await.unwrap();
        assert_eq!(server.got().body, older);
    }
}

/// Sends `client` to a provider with these settings, and compares the body that it gets.
async fn check_sent(settings: &str, client: &str, stream: bool, expected: &str) {
    let server = Server::start(if stream { Answer::sse(STREAM) } else { Answer::json(200, REPLY) }).await;
    let toml = format!("{}{settings}\n", toml(&server));
    provider(&toml).send(&call(Endpoint::ChatCompletions, client, stream)).await.unwrap();
    assert_eq!(server.got().body, expected, "{settings}");
}

#[tokio::test]
async fn a_provider_gets_the_role_of_developers_that_it_knows() {
    let client = r#"{"model":"chat","messages":[{"role":"developer","content":"a"},{"role":"user","content":"b"}]}"#;
    let sent = |role: &str| client.replace("developer", role).replace("chat", "their-model");
    check_sent("", client, false, &sent("developer")).await;
    check_sent("developer_role = \"system\"", client, false, &sent("system")).await;
    check_sent("preset = \"vllm\"", client, false, &sent("system")).await;
    check_sent("preset = \"vllm\"\ndeveloper_role = \"developer\"", client, false, &sent("developer")).await;
    let later = r#"{"model":"chat","messages":[{"role":"user","content":"b"},{"role":"developer","content":"a"}]}"#;
    check_sent("system_position = \"first\"", later, false, &sent("developer")).await;
    check_sent("preset = \"llama_cpp\"", later, false, &sent("system")).await;
}

#[tokio::test]
async fn a_provider_that_refuses_stream_options_gets_none() {
    let client = r#"{"model":"chat","messages":[],"stream_options":{"include_obfuscation":false}}"#;
    let none = r#"{"model":"their-model","messages":[],"stream":true}"#;
    check_sent("stream_options = false", client, true, none).await;
    check_sent("preset = \"lm_studio\"", r#"{"model":"chat","messages":[]}"#, true, none).await;
}

#[tokio::test]
async fn members_that_a_provider_refuses_are_left_out() {
    let client = r#"{"model":"chat","store":false,"messages":[{"role":"user","name":"jo","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}]}],"prompt_cache_key":"k","seed":1.0}"#;
    let named = r#"{"model":"their-model","messages":[{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}]}],"prompt_cache_key":"k","seed":1.0}"#;
    check_sent("drop = [\"store\", \"messages.name\"]", client, false, named).await;
    let mistral =
        r#"{"model":"their-model","messages":[{"role":"user","content":[{"type":"text","text":"a"}]}],"seed":1.0}"#;
    check_sent("preset = \"mistral\"", client, false, mistral).await;
}

#[tokio::test]
async fn deepseek_is_told_not_to_think_in_its_own_way() {
    let client = r#"{"model":"chat","reasoning_effort":"none","messages":[]}"#;
    let kept = client.replace("chat", "their-model");
    check_sent("", client, false, &kept).await;
    check_sent("preset = \"deepseek\"\nno_thinking = \"effort\"", client, false, &kept).await;
    let disabled = r#"{"model":"their-model","messages":[],"thinking":{"type":"disabled"}}"#;
    check_sent("no_thinking = \"disabled\"", client, false, disabled).await;
    check_sent("preset = \"deepseek\"", client, false, disabled).await;
    let high = client.replace("none", "high");
    check_sent("preset = \"deepseek\"", &high, false, &high.replace("chat", "their-model")).await;
    let own = r#"{"model":"chat","reasoning_effort":"none","thinking":{"type":"enabled"}}"#;
    let expected = r#"{"model":"their-model","thinking":{"type":"enabled"}}"#;
    check_sent("preset = \"deepseek\"", own, false, expected).await;
}

/// Some refuse a turn without the thoughts that they wrote; `OpenAI` writes none.
#[tokio::test]
async fn thoughts_go_back_to_providers_that_write_them() {
    let client = r#"{"model":"chat","messages":[{"role":"assistant","reasoning_content":"t","content":"a"}]}"#;
    let kept = client.replace("chat", "their-model");
    check_sent("preset = \"deepseek\"", client, false, &kept).await;
    check_sent("", client, false, &kept).await;
    let without = r#"{"model":"their-model","messages":[{"role":"assistant","content":"a"}]}"#;
    for preset in ["openai", "azure", "groq"] {
        check_sent(&format!("preset = \"{preset}\""), client, false, without).await;
    }
}

#[tokio::test]
async fn tool_calls_of_a_stream_are_numbered_from_0() {
    let chunk = |index: u64, id: &str| {
        format!(
            r#"{{"choices":[{{"index":0,"delta":{{"tool_calls":[{{"index":{index},"id":"{id}"}}]}},"finish_reason":null}}]}}"#
        )
    };
    let stream =
        |first, second| format!("data: {}\n\ndata: {}\n\ndata: [DONE]\n\n", chunk(first, "a"), chunk(second, "b"));
    let server = Server::start(Answer::sse(&stream(1, 3))).await;
    let reply = provider(&toml(&server)).send(&call(Endpoint::ChatCompletions, CLIENT, true)).await.unwrap();
    assert_eq!(lines(reply).await, format!("{}\n{}\n", chunk(0, "a"), chunk(1, "b")));
}

/// As Ollama streams it.
#[tokio::test]
async fn a_stream_with_tool_calls_ends_with_them() {
    let begin = r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a"}]},"finish_reason":null}]}"#;
    let end = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
    let server = Server::start(Answer::sse(&format!("data: {begin}\n\ndata: {end}\n\ndata: [DONE]\n\n"))).await;
    let reply = provider(&toml(&server)).send(&call_of(true)).await.unwrap();
    assert_eq!(lines(reply).await, format!("{begin}\n{}\n", end.replace("stop", "tool_calls")));
}

#[tokio::test]
async fn an_answer_that_ends_with_an_error_is_a_failure_and_its_usage_counts() {
    let text = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\n";
    let error = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"error\"}]}\n\n";
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3}}\n\n";
    for end in ["data: [DONE]\n\n", ""] {
        let server = Server::start(Answer::sse(&format!("{text}{error}{usage}{end}"))).await;
        let reply = provider(&toml(&server)).send(&call_of(true)).await.unwrap();
        let mut events = drain(reply).await;
        assert!(matches!(events.pop(), Some(Err(Failure::Unavailable { status: 500, .. }))), "{end}");
        let usages: Vec<_> = events.into_iter().filter_map(|event| event.unwrap().usage).collect();
        assert_eq!(usages, [Usage { input: 7, output: 3, ..Usage::default() }]);
    }
    let whole = r#"{"choices":[{"index":0,"message":{"content":"a"},"finish_reason":"error"}]}"#;
    let server = Server::start(Answer::json(200, whole)).await;
    let failed = failure(provider(&toml(&server)).send(&call_of(false)).await);
    assert!(matches!(failed, Failure::Unavailable { status: 500, .. }), "{failed}");
    let billed = r#"{"choices":[{"index":0,"message":{"content":"a"},"finish_reason":"error"}],"usage":{"prompt_tokens":7,"completion_tokens":3}}"#;
    let server = Server::start(Answer::json(200, billed)).await;
    let reply = self::whole(provider(&toml(&server)).send(&call_of(false)).await.unwrap());
    assert_eq!(reply.usage, Some(Usage { input: 7, output: 3, ..Usage::default() }));
}

#[tokio::test]
async fn a_whole_answer_may_begin_with_a_byte_order_mark() {
    let marked = Answer { pieces: vec![format!("\u{feff}{REPLY}").into()], ..Answer::json(200, "") };
    let server = Server::start(marked).await;
    let answered = whole(provider(&toml(&server)).send(&call_of(false)).await.unwrap());
    assert_eq!(answered.body, REPLY);
    let refused = "\u{feff}{\"error\":{\"message\":\"bad\"}}";
    let server = Server::start(Answer::json(400, refused)).await;
    let failed = failure(provider(&toml(&server)).send(&call_of(false)).await);
    assert!(matches!(&failed, Failure::Refused { refusal, .. } if refusal.message == "bad"), "{failed}");
}

#[tokio::test]
async fn a_prompt_that_is_too_long_has_openais_code() {
    let vllm = r#"{"error":{"message":"This model's maximum context length is 8 tokens. However, you requested 9.","type":"BadRequestError","param":null,"code":400}}"#;
    for answer in [Answer::json(400, vllm), Answer::json(200, vllm), Answer::sse(&format!("data: {vllm}\n\n"))] {
        let stream = answer.headers[0].1 == "text/event-stream";
        let server = Server::start(answer).await;
        let sent = provider(&toml(&server)).send(&call(Endpoint::ChatCompletions, CLIENT, stream)).await;
        let failure = match sent {
            Ok(reply) => drain(reply).await.pop().unwrap().unwrap_err(),
            Err(failure) => failure,
        };
        let Failure::Refused { status: 400, refusal } = failure else { panic!("{failure}") };
        assert_eq!(refusal.code.as_deref(), Some("context_length_exceeded"));
    }
}

#[tokio::test]
async fn every_endpoint_has_its_path() {
    for endpoint in [Endpoint::Completions, Endpoint::Embeddings, Endpoint::Moderations] {
        let server =
            Server::start(Answer::json(200, r#"{"object":"list","usage":{"prompt_tokens":8,"total_tokens":8}}"#)).await;
        let whole = whole(provider(&toml(&server)).send(&call(endpoint, r#"{"input":"a"}"#, false)).await.unwrap());
        assert_eq!(server.got().path, format!("/v1{}", endpoint.path()));
        assert_eq!(whole.usage, Some(Usage { input: 8, ..Usage::default() }));
    }
}

#[tokio::test]
async fn a_stream_survives_cuts_in_lines_and_characters() {
    let server = Server::start(Answer::sse(STREAM)).await;
    let reply = provider(&toml(&server)).send(&call(Endpoint::ChatCompletions, CLIENT, true)).await.unwrap();
    same_lines(&lines(reply).await, include_str!("../fixtures/openai/stream-client.jsonl"));
}

#[tokio::test]
async fn usage_is_read_from_the_last_chunk() {
    let server = Server::start(Answer::sse(STREAM)).await;
    let reply = provider(&toml(&server)).send(&call(Endpoint::ChatCompletions, CLIENT, true)).await.unwrap();
    let usages: Vec<_> = drain(reply).await.into_iter().filter_map(|event| event.unwrap().usage).collect();
    assert_eq!(usages, [Usage { input: 7, output: 3, ..Usage::default() }]);
}

#[tokio::test]
async fn a_stream_may_begin_with_a_byte_order_mark() {
    let server = Server::start(Answer::sse(&format!("\u{feff}{STREAM}"))).await;
    let reply = provider(&toml(&server)).send(&call(Endpoint::ChatCompletions, CLIENT, true)).await.unwrap();
    same_lines(&lines(reply).await, include_str!("../fixtures/openai/stream-client.jsonl"));
}

/// Plays `stream` and compares its end: the text of the failure, or the number of chunks.
async fn check_end(stream: &str, breaks: bool, expected: &str) {
    let server = Server::start(Answer { breaks, ..Answer::sse(stream) }).await;
    let reply = provider(&toml(&server)).send(&call(Endpoint::ChatCompletions, CLIENT, true)).await.unwrap();
    let mut events = drain(reply).await;
    let end = match events.pop() {
        Some(Err(failure)) => failure.to_string(),
        other => format!("{} chunks", events.len() + usize::from(other.is_some())),
    };
    assert_eq!(end, expected, "{stream}");
}

#[tokio::test]
async fn a_stream_that_does_not_end_well_is_a_failure() {
    let empty = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":\"\"}]}\n\n";
    let text = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\n";
    let stop = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    let cut = "the provider's answer is not understood: the stream ended before the answer did";
    check_end("", false, cut).await;
    check_end(text, false, cut).await;
    check_end(empty, false, cut).await;
    check_end(text, true, "the connection broke").await;
    check_end(&format!("{text}{stop}"), false, "2 chunks").await;
    check_end(&format!("{text}data: [DONE]\n\n{text}"), false, "1 chunks").await;
    let overloaded = format!("{text}data: {{\"error\":{{\"message\":\"busy\",\"type\":\"server_error\"}}}}\n\n");
    check_end(&overloaded, false, "the provider answered 500").await;
    let numbered = format!("{text}data: {{\"error\":{{\"message\":\"busy\",\"code\":503}}}}\n\n");
    check_end(&numbered, false, "the provider answered 503").await;
    let named = format!("{text}event: error\ndata: {{\"message\":\"slow down\",\"code\":\"rate_limit_exceeded\"}}\n\n");
    check_end(&named, false, "the provider throttles").await;
    check_end(
        "data: <html>\n\n",
        false,
        "the provider's answer is not understood: the answer is not OpenAI's: expected value at line 1 column 1",
    )
    .await;
}

#[tokio::test]
async fn errors_keep_the_words_of_the_provider() {
    let send = async |answer| {
        let server = Server::start(answer).await;
        failure(provider(&toml(&server)).send(&call(Endpoint::ChatCompletions, CLIENT, false)).await)
    };
    let refused = r#"{"error":{"message":"bad","type":"invalid_request_error","param":"messages","code":"x"}}"#;
    let Failure::Refused { status: 400, refusal } = send(Answer::json(400, refused)).await else { panic!() };
    let words = [Some("invalid_request_error"), Some("messages"), Some("x")];
    assert_eq!(refusal.message, "bad");
    assert_eq!([refusal.kind.as_deref(), refusal.param.as_deref(), refusal.code.as_deref()], words);

    let throttled = Answer::json(429, r#"{"error":{"message":"slow"}}"#)
        .header("retry-after-ms", "1500")
        .header("retry-after", "9");
    assert_eq!(send(throttled).await.retry_after(), Some(Duration::from_millis(1_500)));
    let dated = Answer::json(503, "").header("retry-after", "Tue, 14 Nov 2023 22:13:25 GMT");
    assert_eq!(send(dated).await.retry_after(), Some(Duration::from_secs(5)));
    assert!(matches!(send(Answer::json(401, "{}")).await, Failure::Unauthorized { .. }));
    assert!(matches!(
        send(Answer::json(307, "").header("location", "/elsewhere")).await,
        Failure::Unavailable { status: 307, .. }
    ));
    assert!(matches!(send(Answer::json(200, "not json")).await, Failure::Malformed(_)));
    let invalid =
        Answer { pieces: vec![Bytes::from_static(b"{\"choices\":[],\"id\":\"\xff\"}")], ..Answer::json(200, "") };
    assert_eq!(send(invalid).await.to_string(), "the provider's answer is not understood: the answer is not UTF-8");
    assert!(matches!(send(Answer::json(200, r#"{"error":{"message":"no"}}"#)).await, Failure::Unavailable { .. }));
}

#[tokio::test]
async fn nobody_listening_is_unreachable() {
    let toml = format!("[[provider]]\nname = \"it\"\nkind = \"openai\"\nbase_url = \"{}\"\n", unused_url().await);
    let failure = failure(provider(&toml).send(&call(Endpoint::ChatCompletions, CLIENT, false)).await);
    assert!(matches!(failure, Failure::Unreachable(_)), "{failure}");
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_is_interrupted() {
    let (url, closes) = closing_server().await;
    let toml = format!("[[provider]]\nname = \"it\"\nkind = \"openai\"\nbase_url = \"{url}\"\n");
    let provider = provider(&toml);
    let request = call(Endpoint::ChatCompletions, CLIENT, false);
    let (reply, ()) = tokio::join!(provider.send(&request), closes);
    let failure = failure(reply);
    assert!(matches!(failure, Failure::Interrupted(_)), "{failure}");
}

#[tokio::test]
async fn a_missing_key_is_named_to_the_operator_only_and_nothing_is_sent() {
    let toml =
        "[[provider]]\nname = \"it\"\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:1\"\napi_key_env = \"ABSENT\"\n";
    let failure = failure(provider(toml).send(&call(Endpoint::ChatCompletions, CLIENT, false)).await);
    assert_eq!(failure.to_string(), "its key cannot be read");
    assert_eq!(failure.summary(), "not set up: `ABSENT` is not set");
    let broken = toml.replace("ABSENT", "BROKEN");
    let failure = self::failure(provider(&broken).send(&call(Endpoint::ChatCompletions, CLIENT, false)).await);
    assert_eq!(failure.summary(), "not set up: the key has characters that a header cannot carry");
}

#[tokio::test]
async fn a_configured_header_can_carry_the_key() {
    let server = Server::start(Answer::json(200, REPLY)).await;
    let toml = toml(&server).replace("OpenAI-Project = \"proj_1\"", "api-key = \"$KEY\"");
    provider(&toml).send(&call(Endpoint::ChatCompletions, CLIENT, false)).await.unwrap();
    let got = server.got();
    assert_eq!((got.header("api-key"), got.header("authorization")), (Some("sk-provider"), None));
}

#[tokio::test]
async fn a_refused_key_is_looked_up_again_and_the_call_goes_on() {
    let server = Server::start(Answer::json(401, "{}")).await;
    let failure = failure(provider(&toml(&server)).send(&call(Endpoint::ChatCompletions, CLIENT, false)).await);
    assert!(matches!(failure, Failure::Unauthorized { .. }), "{failure}");
    assert_eq!(server.got().header("authorization"), Some("Bearer sk-newer"));
}

#[tokio::test]
async fn a_provider_is_sent_no_urls_that_it_may_not_fetch() {
    let server = Server::start(Answer::json(200, REPLY)).await;
    let chat = |url: &str| {
        let part = format!(r#"{{"type":"image_url","image_url":{{"url":"{url}"}}}}"#);
        let body = format!(r#"{{"model":"chat","messages":[{{"role":"user","content":[{part}]}}]}}"#);
        call(Endpoint::ChatCompletions, &body, false)
    };
    // A server on this machine fetches nothing unless the operator says so.
    let local = provider(&toml(&server));
    assert!(local.send(&chat("data:image/png;base64,AA==")).await.is_ok());
    let refused = failure(local.send(&chat("https://images.example.com/a.png")).await);
    assert!(matches!(&refused, Failure::Unsupported { what, .. } if what.contains("media_urls")), "{refused}");
    let permitted = format!("{}media_urls = [\"https://images.example.com/\"]\n", toml(&server));
    let permitted = provider(&permitted);
    assert!(permitted.send(&chat("https://images.example.com/a.png")).await.is_ok());
    for url in ["https://other.example.com/a.png", "http://images.example.com/a.png", "file:///etc/passwd", "a.png"] {
        assert!(matches!(failure(permitted.send(&chat(url)).await), Failure::Unsupported { .. }), "{url}");
    }
}

#[tokio::test]
async fn embeddings_are_in_the_encoding_that_was_asked_for() {
    let list = |embedding: &str| {
        format!(
            r#"{{"object":"list","data":[{{"object":"embedding","index":0,"embedding":{embedding}}}],"model":"e","usage":{{"prompt_tokens":8,"total_tokens":8}}}}"#
        )
    };
    let (numbers, coded) = (list("[0.25,-0.5]"), list(r#""AACAPgAAAL8=""#));
    for (asked, answered, expected) in [
        (r#""base64""#, &numbers, &coded),
        (r#""base64""#, &coded, &coded),
        (r#""float""#, &numbers, &numbers),
        ("null", &numbers, &numbers),
    ] {
        let server = Server::start(Answer::gzipped(200, "application/json", answered)).await;
        let request = format!(r#"{{"input":"a","encoding_format":{asked}}}"#);
        let whole = whole(provider(&toml(&server)).send(&call(Endpoint::Embeddings, &request, false)).await.unwrap());
        assert_eq!((&*whole.body, whole.usage.unwrap().input), (expected.as_bytes(), 8), "{asked}");
    }
}

#[tokio::test]
async fn a_compressed_answer_is_unpacked_although_it_was_not_asked_for() {
    let request = |stream| call(Endpoint::ChatCompletions, r#"{"model":"chat","messages":[]}"#, stream);
    let server = Server::start(Answer::gzipped(200, "application/json", REPLY)).await;
    let answered = whole(provider(&toml(&server)).send(&request(false)).await.unwrap());
    assert_eq!(answered.body, REPLY);
    assert_eq!(server.got().header("accept-encoding"), Some("identity"));
    let server = Server::start(Answer::gzipped(200, "text/event-stream", STREAM)).await;
    let plain = Server::start(Answer::sse(STREAM)).await;
    let compressed = lines(provider(&toml(&server)).send(&request(true)).await.unwrap()).await;
    assert_eq!(compressed, lines(provider(&toml(&plain)).send(&request(true)).await.unwrap()).await);
    let error = r#"{"error":{"message":"no such model","type":"invalid_request_error","param":"model","code":null}}"#;
    let server = Server::start(Answer::gzipped(400, "application/json", error)).await;
    let failure = failure(provider(&toml(&server)).send(&request(false)).await);
    assert!(matches!(&failure, Failure::Refused { refusal, .. } if refusal.message == "no such model"), "{failure:?}");
}
