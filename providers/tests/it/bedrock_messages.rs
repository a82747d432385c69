//! Anthropic's Messages API for Claude models of Amazon Bedrock: everything passes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use shared::model::provider::{Endpoint, Failure, Provider as _, ProviderRequest};
use shared::model::tokens::Usage;

use crate::aws::{Aws, Recorded, Sent};
use crate::play::{call, drain, failure, lines, whole};

const MODEL: &str = "eu.anthropic.claude-opus-5-v1:0";
const REPLY: &str = include_str!("../fixtures/anthropic/reply.json");
const STREAM: &str = include_str!("../fixtures/anthropic/stream.sse");

fn message(body: &Value, stream: bool) -> ProviderRequest {
    ProviderRequest { model: MODEL.to_owned(), ..call(Endpoint::Messages, &body.to_string(), stream) }
}

fn least() -> Value {
    json!({"model": "chat", "max_tokens": 9, "messages": [{"role": "user", "content": "a"}]})
}

/// The data of the events of Anthropic's stream.
fn events() -> impl Iterator<Item = &'static str> {
    STREAM.lines().filter_map(|line| line.strip_prefix("data: "))
}

/// A frame of `InvokeModelWithResponseStream` as a line for [`Recorded::frames`].
fn frame(event: &str) -> String {
    json!({"event": "chunk", "payload": {"bytes": STANDARD.encode(event)}}).to_string()
}

#[tokio::test]
async fn a_body_passes_but_for_the_members_that_bedrock_has_elsewhere() {
    let aws = Aws::new(Recorded::json(200, REPLY));
    let signed = json!({"type": "thinking", "thinking": "", "signature": "c2ln"});
    let own = json!({"type": "thinking", "thinking": "a", "signature": "weir:1:"});
    let text = json!({"type": "text", "text": "b", "cache_control": {"type": "ephemeral", "ttl": "1h"}});
    let body = |model: Value, content: Value| {
        let mut body = json!({
            "max_tokens": 9, "thinking": {"type": "adaptive"}, "later": {"a": 1.0},
            "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": content}],
        });
        for (name, value) in model.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    };
    let client = body(json!({"model": "chat", "stream": false}), json!([signed, own, text]));
    let betas = "claude-code-20250219,context-1m-2025-08-07";
    let headers = vec![("anthropic-version", "2023-06-01".to_owned()), ("anthropic-beta", betas.to_owned())];
    let reply = aws.bedrock().send(&ProviderRequest { headers, ..message(&client, false) }).await.unwrap();
    assert_eq!(whole(reply).body, REPLY);
    let versions = json!({"anthropic_version": "bedrock-2023-05-31", "anthropic_beta": ["context-1m-2025-08-07"]});
    let path = format!("/model/{}/invoke", MODEL.replace(':', "%3A"));
    assert_eq!(aws.sent(), [Sent { path, body: body(versions, json!([signed, text])) }]);
}

#[tokio::test]
async fn a_stream_passes_and_is_counted() {
    let aws = Aws::new(Recorded::frames(&events().map(frame).collect::<Vec<_>>().join("\n")));
    let reply = aws.bedrock().send(&message(&least(), true)).await.unwrap();
    assert_eq!(lines(reply).await.trim_end(), events().collect::<Vec<_>>().join("\n"));
    let path = format!("/model/{}/invoke-with-response-stream", MODEL.replace(':', "%3A"));
    assert_eq!(aws.sent()[0].path, path);
    let reply = aws.bedrock().send(&message(&least(), true)).await.unwrap();
    let usage = drain(reply).await.into_iter().filter_map(|event| event.unwrap().usage).next_back();
    assert_eq!(usage, Some(Usage { input: 30, cached_input: 5, output: 42, ..Usage::default() }));
}

#[tokio::test]
async fn a_stream_that_does_not_end_well_is_a_failure() {
    let begun: Vec<_> = events().take(4).map(frame).collect();
    let exception = |name: &str| json!({"exception": name, "payload": {"message": "m"}}).to_string();
    for (last, expected) in [
        (None, "the provider's answer is not understood: the stream ended before the answer did"),
        (
            Some(json!({"event": "chunk", "payload": {}}).to_string()),
            "the provider's answer is not understood: a frame of the stream has no event",
        ),
        (Some(exception("throttlingException")), "the provider throttles"),
        (Some(exception("modelTimeoutException")), "the provider answered 408"),
        (Some(exception("modelStreamErrorException")), "the provider answered 500"),
        (
            Some(frame(r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#)),
            "the provider answered 529",
        ),
    ] {
        let frames = begun.iter().cloned().chain(last).collect::<Vec<_>>().join("\n");
        let reply = Aws::new(Recorded::frames(&frames)).bedrock().send(&message(&least(), true)).await.unwrap();
        let last = drain(reply).await.pop().unwrap().unwrap_err();
        assert_eq!(last.to_string(), expected);
    }
}

#[tokio::test]
async fn a_refusal_keeps_the_words_of_the_model() {
    let mut refused = Recorded::error(400, "ValidationException");
    refused.body = br#"{"message":"prompt is too long: 210000 tokens > 200000 maximum"}"#.to_vec();
    let Failure::Refused { status: 400, refusal } =
        failure(Aws::new(refused).bedrock().send(&message(&least(), false)).await)
    else {
        panic!("it is a refusal");
    };
    assert_eq!(refusal.message, "prompt is too long: 210000 tokens > 200000 maximum");
    assert_eq!(refusal.code.as_deref(), Some("context_length_exceeded"));
}

#[tokio::test]
async fn other_models_are_called_through_converse() {
    let aws = Aws::new(Recorded::json(200, include_str!("../fixtures/bedrock/reply.json")));
    let nova = ProviderRequest { model: "amazon.nova-2-lite-v1:0".to_owned(), ..message(&least(), false) };
    assert!(matches!(failure(aws.bedrock().send(&nova).await), Failure::Unsupported { .. }));
}
