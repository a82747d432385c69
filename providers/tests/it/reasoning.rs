//! Reasoning comes back to the model that wrote it, through each client's API, and to no other.

use serde_json::{Value, json};
use shared::model::provider::{Endpoint, ProviderRequest};
use shared::model::reasoning::ReasoningDetails;

use crate::play::{Answer, Server, call, lines, provider, whole};

const CLAUDE: &str = include_str!("../fixtures/anthropic/reply.json");
const CLAUDE_STREAM: &str = include_str!("../fixtures/anthropic/stream.sse");
const ROUTED: &str = include_str!("../fixtures/reasoning/openrouter.json");

fn toml(kind: &str, server: &Server) -> String {
    format!(
        "[[provider]]\nname = \"it\"\nkind = \"{kind}\"\nbase_url = \"{}\"\napi_key_env = \"KEY\"\n",
        server.base_url
    )
}

fn request(endpoint: Endpoint, model: &str, body: &Value, stream: bool) -> ProviderRequest {
    ProviderRequest { model: model.to_owned(), ..call(endpoint, &body.to_string(), stream) }
}

/// A server and the calls of one test. Each call has a provider of its own, as another instance has.
struct Origin {
    kind: &'static str,
    endpoint: Endpoint,
    server: Server,
}

impl Origin {
    async fn start(kind: &'static str, endpoint: Endpoint, answer: Answer) -> Self {
        Self { kind, endpoint, server: Server::start(answer).await }
    }

    async fn whole(&self, model: &str, body: &Value) -> Value {
        let reply = provider(&toml(self.kind, &self.server)).send(&request(self.endpoint, model, body, false)).await;
        serde_json::from_slice(&whole(reply.unwrap()).body).unwrap()
    }

    /// The messages that the server gets for a call of `model` that goes on with an answer of the assistant.
    async fn messages_behind(&self, model: &str, answer: &Value, result: Value) -> Value {
        let messages = json!([{"role": "user", "content": "a"}, answer, result]);
        let mut body = json!({"messages": messages, "max_tokens": 30_000});
        if self.endpoint == Endpoint::ChatCompletions {
            body["reasoning_effort"] = "high".into();
        }
        self.whole(model, &body).await;
        self.server.got().json()["messages"].clone()
    }
}

fn tool_message() -> Value {
    json!({"role": "tool", "tool_call_id": "toolu_01B", "content": "12 degrees"})
}

fn tool_result() -> Value {
    json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_01B", "content": "12 degrees"}]})
}

#[tokio::test]
async fn signed_thoughts_come_back_through_chat() {
    let claude = Origin::start("anthropic", Endpoint::ChatCompletions, Answer::json(200, CLAUDE)).await;
    let answer = claude.whole("claude-sonnet-4-5", &json!({"messages": [{"role": "user", "content": "a"}]})).await;
    let message = &answer["choices"][0]["message"];
    assert_eq!(message["reasoning_content"], "The user wants tomorrow's weather.");
    let marked = message["reasoning_details"][0]["signature"].as_str().unwrap();
    assert!(marked.starts_with("weir:1:") && marked.ends_with(":c2ln"), "{marked}");

    let signed = json!({"type": "thinking", "thinking": "The user wants tomorrow's weather.", "signature": "c2ln"});
    let sent = claude.messages_behind("claude-sonnet-4-5", message, tool_message()).await;
    assert_eq!(sent[1]["content"][0], signed);
    // With its thoughts, the model goes on to think.
    assert_eq!(claude.server.got().json()["thinking"]["type"], "enabled");

    let other = claude.messages_behind("claude-opus-4-5", message, tool_message()).await;
    assert_eq!(other[1]["content"][0], json!({"type": "text", "text": "Let me look."}));
    assert_eq!(claude.server.got().json().get("thinking"), None);
}

#[tokio::test]
async fn signed_thoughts_of_a_stream_come_back_through_chat() {
    let claude = Server::start(Answer::sse(CLAUDE_STREAM)).await;
    let ask = json!({"messages": [{"role": "user", "content": "a"}]});
    let sent = request(Endpoint::ChatCompletions, "claude-sonnet-4-5", &ask, true);
    let chunks = lines(provider(&toml("anthropic", &claude)).send(&sent).await.unwrap()).await;
    let mut details = ReasoningDetails::default();
    for chunk in chunks.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        let piece = chunk["choices"][0]["delta"]["reasoning_details"].clone();
        details.extend(serde_json::from_value(piece).unwrap_or_default());
    }
    let message = json!({"role": "assistant", "content": "b", "reasoning_details": details});
    let claude = Origin::start("anthropic", Endpoint::ChatCompletions, Answer::json(200, CLAUDE)).await;
    let user = json!({"role": "user", "content": "c"});
    let sent = claude.messages_behind("claude-sonnet-4-5", &message, user).await;
    let signed = json!({"type": "thinking", "thinking": "Hm.", "signature": "c2ln"});
    assert_eq!(sent[1]["content"], json!([signed, {"type": "text", "text": "b"}]));
}

#[tokio::test]
async fn thoughts_that_others_signed_do_not_reach_a_provider() {
    let claude = Origin::start("anthropic", Endpoint::ChatCompletions, Answer::json(200, CLAUDE)).await;
    for signature in ["c2ln", "weir:1:", "weir:1:0123456789ab:c2ln", "weir:2:x"] {
        let entry =
            json!({"type": "reasoning.text", "text": "t", "signature": signature, "format": "anthropic-claude-v1"});
        let message = json!({"role": "assistant", "content": "b", "reasoning_details": [entry]});
        let sent = claude.messages_behind("claude-sonnet-4-5", &message, json!({"role": "user", "content": "c"})).await;
        assert_eq!(sent[1]["content"], json!([{"type": "text", "text": "b"}]), "{signature}");
    }
}

#[tokio::test]
async fn details_of_an_openai_shaped_provider_come_back_through_chat() {
    let routed = Origin::start("openai", Endpoint::ChatCompletions, Answer::json(200, ROUTED)).await;
    let answer = routed.whole("m", &json!({"messages": [{"role": "user", "content": "a"}]})).await;
    let message = &answer["choices"][0]["message"];
    let told: Value = serde_json::from_str(ROUTED).unwrap();
    let details = &told["choices"][0]["message"]["reasoning_details"];
    let sent = routed.messages_behind("m", message, tool_message()).await;
    assert_eq!(&sent[1]["reasoning_details"], details);
    let sent = routed.messages_behind("n", message, tool_message()).await;
    assert_eq!(sent[1].get("reasoning_details"), None);
}

#[tokio::test]
async fn details_of_an_openai_shaped_provider_come_back_through_messages() {
    let routed = Origin::start("openai", Endpoint::Messages, Answer::json(200, ROUTED)).await;
    let answer = routed.whole("m", &json!({"max_tokens": 9, "messages": [{"role": "user", "content": "a"}]})).await;
    let blocks = answer["content"].as_array().unwrap();
    assert_eq!(blocks[0]["thinking"], "The weather, then.");
    let turn = json!({"role": "assistant", "content": blocks});
    let told: Value = serde_json::from_str(ROUTED).unwrap();
    let details = &told["choices"][0]["message"]["reasoning_details"];
    let sent = routed.messages_behind("m", &turn, tool_result()).await;
    assert_eq!(&sent[1]["reasoning_details"], details);
    let sent = routed.messages_behind("n", &turn, tool_result()).await;
    assert_eq!(sent[1].get("reasoning_details"), None);
    // The thoughts are a text that other models can read.
    assert_eq!(sent[1]["reasoning_content"], "The weather, then.");
}
