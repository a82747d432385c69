//! Amazon Bedrock in both directions.

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_sdk_bedrockruntime::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_bedrockruntime::{Client, Config};
use futures_util::StreamExt as _;
use providers::bedrock::Bedrock;
use shared::model::clock::Clock;
use shared::model::provider::{Endpoint, Failure, Provider as _, ProviderRequest, Reply};
use shared::model::tokens::Usage;

use crate::aws::{Aws, Recorded, Sent};
use crate::play::{call, closing_server, drain, failure, json, lines, same_lines, unused_url, whole};

const CLIENT: &str = include_str!("../fixtures/bedrock/request-client.json");
const REPLY: &str = include_str!("../fixtures/bedrock/reply.json");
const STREAM: &str = include_str!("../fixtures/bedrock/stream.jsonl");

fn chat(body: &str, stream: bool) -> ProviderRequest {
    ProviderRequest {
        model: "eu.anthropic.claude-opus-4-6-v1".to_owned(),
        ..call(Endpoint::ChatCompletions, body, stream)
    }
}

#[tokio::test]
async fn a_request_becomes_a_conversation() {
    let aws = Aws::new(Recorded::json(200, REPLY));
    aws.bedrock().send(&chat(CLIENT, false)).await.unwrap();
    let expected = json(include_str!("../fixtures/bedrock/request-provider.json"));
    let path = "/model/eu.anthropic.claude-opus-4-6-v1/converse".to_owned();
    let sent = aws.sent();
    assert_eq!(sent, [Sent { path, body: expected }], "{:#}", sent[0].body);
}

#[tokio::test]
async fn a_whole_reply_becomes_a_chat_completion() {
    let aws = Aws::new(Recorded::json(200, REPLY));
    let whole = whole(aws.bedrock().send(&chat(CLIENT, false)).await.unwrap());
    assert_eq!(json(&whole.body), json(include_str!("../fixtures/bedrock/reply-client.json")));
    let usage = Usage {
        input: 3_210,
        cached_input: 3_000,
        cache_write: 200,
        cache_write_1h: 50,
        output: 50,
        ..Usage::default()
    };
    assert_eq!(whole.usage, Some(usage));
}

#[tokio::test]
async fn stop_reasons_have_their_finish_reasons() {
    let reasons = [
        ("end_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("stop_sequence", "stop"),
        ("content_filtered", "content_filter"),
        ("guardrail_intervened", "content_filter"),
        ("refusal", "content_filter"),
        ("a_later_one", "stop"),
    ];
    for (reason, expected) in reasons {
        let body = REPLY.replace("\"stopReason\": \"tool_use\"", &format!("\"stopReason\": \"{reason}\""));
        let reply = Aws::new(Recorded::json(200, &body)).bedrock().send(&chat(CLIENT, false)).await.unwrap();
        assert_eq!(json(whole(reply).body)["choices"][0]["finish_reason"], expected);
    }
}

#[tokio::test]
async fn a_stream_becomes_chunks() {
    let aws = Aws::new(Recorded::frames(STREAM));
    let reply = aws.bedrock().send(&chat(CLIENT, true)).await.unwrap();
    same_lines(&lines(reply).await, include_str!("../fixtures/bedrock/stream-client.jsonl"));
    assert!(aws.sent()[0].path.ends_with("/converse-stream"));
}

/// Codex never wants more than one at once.
#[tokio::test]
async fn of_several_calls_a_client_gets_the_first_if_it_wants_one() {
    let client = CLIENT.trim_end().trim_end_matches('}').to_owned() + r#","parallel_tool_calls":false}"#;
    let second = r#", {"toolUse": {"toolUseId": "tooluse_2", "name": "now", "input": {}}}"#;
    let two = REPLY.replace(r#""input": {"city": "Köln"}}}"#, &format!(r#""input": {{"city": "Köln"}}}}}}{second}"#));
    assert!(two.contains("tooluse_2"));
    for (body, expected) in [(CLIENT, vec!["tooluse_1", "tooluse_2"]), (&client, vec!["tooluse_1"])] {
        let aws = Aws::new(Recorded::json(200, &two));
        let answered = json(whole(aws.bedrock().send(&chat(body, false)).await.unwrap()).body);
        let calls = answered["choices"][0]["message"]["tool_calls"].as_array().unwrap();
        assert_eq!(calls.iter().map(|call| &call["id"]).collect::<Vec<_>>(), expected);
        assert!(aws.sent()[0].body["toolConfig"].is_object());
    }
    let chunks = lines(Aws::new(Recorded::frames(STREAM)).bedrock().send(&chat(&client, true)).await.unwrap()).await;
    assert!(chunks.contains("Köln") && !chunks.contains("tooluse_2"), "{chunks}");
    assert_eq!(chunks.matches(r#""tool_calls":["#).count(), 3, "{chunks}");
}

/// Plays `frames` and returns the text of the failure that ends them.
async fn end_of(frames: &str) -> String {
    let reply = Aws::new(Recorded::frames(frames)).bedrock().send(&chat(CLIENT, true)).await.unwrap();
    drain(reply).await.pop().unwrap().unwrap_err().to_string()
}

#[tokio::test]
async fn a_stream_that_does_not_end_well_is_a_failure() {
    let begun: String = STREAM.split_inclusive('\n').take(4).collect();
    assert_eq!(end_of(&begun).await, "the provider's answer is not understood: the stream ended before the answer did");
    let exception = |name| format!("{begun}{{\"exception\":\"{name}\",\"payload\":{{\"message\":\"m\"}}}}\n");
    assert_eq!(end_of(&exception("throttlingException")).await, "the provider throttles");
    assert_eq!(end_of(&exception("modelStreamErrorException")).await, "the provider answered 500");
    assert_eq!(end_of(&exception("serviceUnavailableException")).await, "the provider answered 503");
}

#[tokio::test]
async fn a_frame_or_an_answer_without_end_is_cut_off() {
    let mut endless = Recorded::frames(STREAM);
    endless.body.extend([0x7f, 0xff, 0xff, 0xff].into_iter().chain([0; 1000]));
    let reply = Aws::new(endless).bedrock().send(&chat(CLIENT, true)).await.unwrap();
    let Reply::Stream(mut events) = reply else { panic!("the reply is no stream") };
    let mut failures = Vec::new();
    while let Some(event) = events.next().await {
        failures.extend(event.err().map(|failure| failure.to_string()));
    }
    let reason = "the provider's answer is not understood: a frame of the stream is longer than 17825792 bytes";
    assert_eq!(failures, [reason]);

    let long = " ".repeat(64 * 1024 * 1024) + REPLY;
    let failure = failure(Aws::new(Recorded::json(200, &long)).bedrock().send(&chat(CLIENT, false)).await);
    assert_eq!(
        failure.to_string(),
        "the provider's answer is not understood: the answer is longer than 67108864 bytes"
    );
}

#[tokio::test]
async fn errors_of_the_service_are_failures_and_are_not_retried() {
    let cases = [
        (400, "ValidationException", "the provider refused with 400: the reason"),
        (
            404,
            "ResourceNotFoundException",
            "the provider refused with 404: The provider refused the request with status 404; tell the operator.",
        ),
        (403, "AccessDeniedException", "the provider does not accept its key: it was refused; tell the operator"),
        (403, "ExpiredTokenException", "the provider does not accept its key: it was refused; tell the operator"),
        (429, "ThrottlingException", "the provider throttles"),
        (429, "ModelNotReadyException", "the provider answered 503"),
        (408, "ModelTimeoutException", "the provider answered 408"),
        (424, "ModelErrorException", "the provider answered 500"),
        (500, "InternalServerException", "the provider answered 500"),
        (503, "ServiceUnavailableException", "the provider answered 503"),
    ];
    for (status, code, expected) in cases {
        let aws = Aws::new(Recorded::error(status, code));
        let failure = failure(aws.bedrock().send(&chat(CLIENT, false)).await);
        assert_eq!((failure.to_string().as_str(), aws.sent().len()), (expected, 1), "{code}");
    }
}

#[tokio::test]
async fn a_prompt_that_is_too_long_has_openais_code() {
    let mut recorded = Recorded::json(400, r#"{"message":"Input is too long for requested model."}"#);
    recorded.headers.push(("x-amzn-errortype", "ValidationException"));
    let failure = failure(Aws::new(recorded).bedrock().send(&chat(CLIENT, false)).await);
    let Failure::Refused { status: 400, refusal } = failure else { panic!("{failure}") };
    assert_eq!(refusal.code.as_deref(), Some("context_length_exceeded"));
}

/// A function without a role.
#[derive(Debug)]
struct Nobody;

impl ProvideCredentials for Nobody {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("no role")))
    }
}

/// The failure of a call of Bedrock at this URL, with the SDK's own client.
async fn failure_at(url: &str) -> Failure {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("AKID", "secret", None, None, "test"))
        .endpoint_url(url)
        .build();
    let bedrock = Bedrock::with_client(Client::from_conf(config), Clock::system());
    failure(bedrock.send(&chat(CLIENT, false)).await)
}

#[tokio::test]
async fn no_connection_is_unreachable_and_one_that_breaks_is_interrupted() {
    let failure = failure_at(&unused_url().await).await;
    assert!(matches!(failure, Failure::Unreachable(_)), "{failure}");
    let (url, closes) = closing_server().await;
    let (failure, ()) = tokio::join!(failure_at(&url), closes);
    assert!(matches!(failure, Failure::Interrupted(_)), "{failure}");
}

#[tokio::test]
async fn without_credentials_nothing_is_sent() {
    let aws = Aws::new(Recorded::json(200, REPLY));
    let failure = failure(aws.bedrock_as(Nobody).send(&chat(CLIENT, false)).await);
    assert!(matches!(failure, Failure::Unauthorized { .. }), "{failure}");
    assert_eq!(aws.sent(), []);
}

#[tokio::test]
async fn names_members_that_converse_lacks() {
    let cases = [
        (
            r#""messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://example.com/a.png"}}]}]"#,
            "messages",
        ),
        (
            r#""messages":[{"role":"tool","tool_call_id":"1","content":"a"}],"tools":[{"type":"function","function":{"name":"a"}}],"tool_choice":"none""#,
            "tool_choice",
        ),
    ];
    for (members, expected) in cases {
        let aws = Aws::new(Recorded::json(200, REPLY));
        let failure = failure(aws.bedrock().send(&chat(&format!("{{{members}}}"), false)).await);
        assert!(matches!(&failure, Failure::Unsupported { param: Some(param), .. } if param == expected), "{failure}");
    }
}

fn embedding(model: &str, body: &str) -> ProviderRequest {
    ProviderRequest { model: model.to_owned(), ..call(Endpoint::Embeddings, body, false) }
}

#[tokio::test]
async fn titan_embeds_one_text_per_call() {
    let aws = Aws::new(Recorded::json(200, r#"{"embedding":[0.5,-1.0],"inputTextTokenCount":3}"#));
    let request = embedding("amazon.titan-embed-text-v2:0", r#"{"input":["a","b"],"dimensions":256}"#);
    let whole = whole(aws.bedrock().send(&request).await.unwrap());
    let expected = r#"{"object":"list","model":"amazon.titan-embed-text-v2:0","usage":{"prompt_tokens":6,"total_tokens":6},
        "data":[{"object":"embedding","index":0,"embedding":[0.5,-1.0]},{"object":"embedding","index":1,"embedding":[0.5,-1.0]}]}"#;
    assert_eq!(json(&whole.body), json(expected));
    assert_eq!(whole.usage, Some(Usage { input: 6, ..Usage::default() }));
    let bodies: Vec<_> = aws.sent().into_iter().map(|sent| sent.body).collect();
    assert_eq!(bodies, [json(r#"{"inputText":"a","dimensions":256}"#), json(r#"{"inputText":"b","dimensions":256}"#)]);
}

#[tokio::test]
async fn nova_embeds_one_text_per_call_and_counts_in_a_header() {
    let mut recorded = Recorded::json(200, r#"{"embeddings":[{"embeddingType":"TEXT","embedding":[0.5,-1.0]}]}"#);
    recorded.headers.push(("x-amzn-bedrock-input-token-count", "3"));
    let aws = Aws::new(recorded);
    let request = embedding("amazon.nova-2-multimodal-embeddings-v1:0", r#"{"input":["a","b"],"dimensions":256}"#);
    let body = json(whole(aws.bedrock().send(&request).await.unwrap()).body);
    assert_eq!(body["data"][1]["embedding"], json("[0.5,-1.0]"));
    assert_eq!(body["usage"]["prompt_tokens"], 6);
    let expected = r#"{"taskType":"SINGLE_EMBEDDING","singleEmbeddingParams":{"embeddingPurpose":"GENERIC_INDEX","embeddingDimension":256,"text":{"truncationMode":"NONE","value":"a"}}}"#;
    assert!(aws.sent().iter().any(|sent| sent.body == json(expected)), "{:?}", aws.sent());
    assert_eq!(aws.sent().len(), 2);
}

#[tokio::test]
async fn cohere_embeds_many_texts_and_counts_in_a_header() {
    let mut recorded = Recorded::json(200, r#"{"embeddings":{"float":[[1.0],[2.0]]},"id":"1"}"#);
    recorded.headers.push(("x-amzn-bedrock-input-token-count", "9"));
    let aws = Aws::new(recorded);
    let request = embedding("cohere.embed-v4:0", r#"{"input":["a","b"],"encoding_format":"base64"}"#);
    let whole = whole(aws.bedrock().send(&request).await.unwrap());
    let body = json(&whole.body);
    // 1.0 and 2.0 as little-endian single precision.
    assert_eq!(
        (&body["data"][0]["embedding"], &body["data"][1]["embedding"]),
        (&"AACAPw==".into(), &"AAAAQA==".into())
    );
    assert_eq!(whole.usage, Some(Usage { input: 9, ..Usage::default() }));
    let expected = json(r#"{"texts":["a","b"],"input_type":"search_document","embedding_types":["float"]}"#);
    assert_eq!(aws.sent()[0].body, expected);
}
