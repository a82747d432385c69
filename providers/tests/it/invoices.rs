//! A reply of each provider, and the micro-dollars that the provider bills for it.
//!
//! The prices and the counts are those of the providers' lists and documents. Each call is held at its worst case first, as the
//! application does, so a charge that was cut would show.

use shared::dialects::openai_chat::{Body, accountable, bound};
use shared::model::catalog::Catalog;
use shared::model::money::MicroUsd;
use shared::model::project::Policy;
use shared::model::provider::{Endpoint, Provider as _, ProviderRequest, Reply};
use shared::model::tokens::{Charge, Usage};

use crate::aws::{Aws, Recorded};
use crate::play::{Answer, Server, call, drain, provider};

/// A call and its bill.
struct Invoice {
    name: &'static str,
    kind: &'static str,
    price: &'static str,
    /// Members of the request beside its prompt.
    asks: &'static str,
    /// The bytes of the prompt. A token has at least one.
    prompt: usize,
    reply: &'static str,
    micro_usd: u64,
}

const SOL: &str = "input = 2.0, cached_input = 0.2, cache_write = 2.5, cache_write_12h = 5.0, output = 10.0, \
    longer = [{ above = 272000, input = 4.0, cached_input = 0.4, cache_write = 5.0, cache_write_12h = 10.0, output = 15.0 }], \
    tiers = { flex = { input = 1.0, cached_input = 0.1, output = 5.0 }, priority = { input = 4.0, cached_input = 0.4, output = 20.0 } }";
const OPUS: &str = "input = 4.0, cached_input = 0.2, cache_write = 5.0, cache_write_1h = 8.0, output = 20.0, \
    inference_geo = { us = 1.1 }, speed = { fast = 2.0 }";
const HAIKU: &str = "input = 0.1, cached_input = 0.01, output = 0.5, longer = [{ above = 100000, input = 0.5, cached_input = 0.05, output = 2.5 }]";
const AUDIO: &str = "input = 2.5, audio_input = 32.0, output = 10.0, audio_output = 64.0";

#[rustfmt::skip]
const INVOICES: &[Invoice] = &[
    // 600 x 2 + 400 x 0.2 + 10 x 10
    Invoice { name: "OpenAI, served by the cache", kind: "openai", price: SOL, asks: "", prompt: 2_000, micro_usd: 1_380, reply:
        r#"{"choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":10,"total_tokens":1010,"prompt_tokens_details":{"cached_tokens":400,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":4,"audio_tokens":0}}}"# },
    // 200 x 2 + 300 x 2.5 + 500 x 5 + 10 x 10
    Invoice { name: "OpenAI, stored for half an hour and for twelve", kind: "openai", price: SOL, asks: r#","prompt_cache_options":{"ttl":"12h"}"#, prompt: 2_000, micro_usd: 3_750, reply:
        r#"{"choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":10,"total_tokens":1010,"prompt_tokens_details":{"cached_tokens":0,"cache_write_tokens":800,"cache_write_tokens_details":{"ttl_30m_tokens":300,"ttl_12h_tokens":500}}}}"# },
    // 200000 x 4 + 100000 x 0.4 + 1000 x 15
    Invoice { name: "OpenAI, a long prompt", kind: "openai", price: SOL, asks: "", prompt: 400_000, micro_usd: 855_000, reply:
        r#"{"choices":[],"usage":{"prompt_tokens":300000,"completion_tokens":1000,"total_tokens":301000,"prompt_tokens_details":{"cached_tokens":100000}}}"# },
    // 272000 x 2 + 1000 x 10
    Invoice { name: "OpenAI, a prompt of just the length", kind: "openai", price: SOL, asks: "", prompt: 400_000, micro_usd: 554_000, reply:
        r#"{"choices":[],"usage":{"prompt_tokens":272000,"completion_tokens":1000,"total_tokens":273000}}"# },
    // 1000 x 1 + 10 x 5
    Invoice { name: "OpenAI, flex", kind: "openai", price: SOL, asks: r#","service_tier":"flex""#, prompt: 2_000, micro_usd: 1_050, reply:
        r#"{"choices":[],"service_tier":"flex","usage":{"prompt_tokens":1000,"completion_tokens":10,"total_tokens":1010}}"# },
    // 1000 x 4 + 10 x 20
    Invoice { name: "OpenAI, fast is priority", kind: "openai", price: SOL, asks: r#","service_tier":"fast""#, prompt: 2_000, micro_usd: 4_200, reply:
        r#"{"choices":[],"service_tier":"priority","usage":{"prompt_tokens":1000,"completion_tokens":10,"total_tokens":1010}}"# },
    // 1000 x 2 + 10 x 10
    Invoice { name: "OpenAI, priority that became the default", kind: "openai", price: SOL, asks: r#","service_tier":"priority""#, prompt: 2_000, micro_usd: 2_100, reply:
        r#"{"choices":[],"service_tier":"default","usage":{"prompt_tokens":1000,"completion_tokens":10,"total_tokens":1010}}"# },
    // 1000 x 2 + 10 x 10
    Invoice { name: "OpenAI, a stream that became the default", kind: "openai", price: SOL, asks: r#","stream":true,"service_tier":"priority""#, prompt: 2_000, micro_usd: 2_100, reply:
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}],\"service_tier\":\"default\"}\n\ndata: {\"choices\":[],\"service_tier\":\"default\",\"usage\":{\"prompt_tokens\":1000,\"completion_tokens\":10,\"total_tokens\":1010}}\n\ndata: [DONE]\n\n" },
    // 20 x 2.5 + 80 x 32 + 50 x 10 + 150 x 64
    Invoice { name: "OpenAI, sound in and out", kind: "openai", price: AUDIO, asks: r#","modalities":["text","audio"],"audio":{"voice":"a","format":"wav"}"#, prompt: 0, micro_usd: 12_710, reply:
        r#"{"choices":[],"usage":{"prompt_tokens":100,"completion_tokens":200,"total_tokens":300,"prompt_tokens_details":{"cached_tokens":0,"text_tokens":20,"audio_tokens":80},"completion_tokens_details":{"reasoning_tokens":0,"text_tokens":50,"audio_tokens":150}}}"# },
    // 7 x 1.25 + 25 x 0.2 + (1 + 310) x 2.5, rounded up
    Invoice { name: "xAI, thoughts beside the answer", kind: "openai", price: "input = 1.25, cached_input = 0.2, image_input = 1.25, output = 2.5", asks: "", prompt: 200, micro_usd: 792, reply:
        r#"{"choices":[],"usage":{"prompt_tokens":32,"completion_tokens":1,"total_tokens":343,"prompt_tokens_details":{"text_tokens":32,"audio_tokens":0,"image_tokens":0,"cached_tokens":25},"completion_tokens_details":{"reasoning_tokens":310,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}"# },
    // 36 x 0.28 + 64 x 0.028 + 10 x 0.42, rounded up
    Invoice { name: "DeepSeek, its own name for the cache", kind: "openai", price: "input = 0.28, cached_input = 0.028, output = 0.42", asks: "", prompt: 200, micro_usd: 17, reply:
        r#"{"choices":[],"usage":{"prompt_tokens":100,"completion_tokens":10,"total_tokens":110,"prompt_cache_hit_tokens":64,"prompt_cache_miss_tokens":36}}"# },
    // 10 x 4 + 3000 x 0.2 + 150 x 5 + 50 x 8 + 50 x 20
    Invoice { name: "Anthropic, stored for minutes and for an hour", kind: "anthropic", price: OPUS, asks: HOUR, prompt: 5_000, micro_usd: 2_790, reply:
        r#"{"type":"message","id":"a","model":"m","content":[],"stop_reason":"end_turn","usage":{"input_tokens":10,"cache_creation_input_tokens":200,"cache_creation":{"ephemeral_5m_input_tokens":150,"ephemeral_1h_input_tokens":50},"cache_read_input_tokens":3000,"output_tokens":50,"output_tokens_details":{"thinking_tokens":8},"service_tier":"standard","speed":"standard","inference_geo":"global"}}"# },
    // (1000 x 4 + 100 x 20) x 1.1 x 2
    Invoice { name: "Anthropic, fast in the US", kind: "anthropic", price: OPUS, asks: r#","speed":"fast","inference_geo":"us""#, prompt: 2_000, micro_usd: 13_200, reply:
        r#"{"type":"message","id":"a","model":"m","content":[],"stop_reason":"end_turn","usage":{"input_tokens":1000,"output_tokens":100,"service_tier":"standard","speed":"fast","inference_geo":"us"}}"# },
    // (1000 x 4 + 100 x 20) x 1.1: the account's own place, and fast mode was not available
    Invoice { name: "Anthropic, where and how the answer says", kind: "anthropic", price: OPUS, asks: r#","speed":"fast""#, prompt: 2_000, micro_usd: 6_600, reply:
        r#"{"type":"message","id":"a","model":"m","content":[],"stop_reason":"end_turn","usage":{"input_tokens":1000,"output_tokens":100,"service_tier":"standard","speed":"standard","inference_geo":"us"}}"# },
    // (80000 + 90000) x 0.1 + (2000 + 300) x 0.5: no prompt is long, although both together are
    Invoice { name: "Anthropic, a compaction and the message after it", kind: "anthropic", price: HAIKU, asks: "", prompt: 200_000, micro_usd: 18_150, reply:
        r#"{"type":"message","id":"a","model":"m","content":[],"stop_reason":"end_turn","usage":{"input_tokens":80000,"output_tokens":300,"iterations":[{"type":"compaction","input_tokens":90000,"output_tokens":2000},{"type":"message","input_tokens":80000,"output_tokens":300}]}}"# },
    // 120000 x 0.5 + 300 x 2.5
    Invoice { name: "Anthropic, a long prompt", kind: "anthropic", price: HAIKU, asks: "", prompt: 200_000, micro_usd: 60_750, reply:
        r#"{"type":"message","id":"a","model":"m","content":[],"stop_reason":"end_turn","usage":{"input_tokens":120000,"output_tokens":300}}"# },
    // 26 x 4 + 5 x 0.2 + 6 x 5 + 4 x 8 + 42 x 20, doubled: the start of a stream has the times, its end the counts
    Invoice { name: "Anthropic, a stream", kind: "anthropic", price: OPUS, asks: r#","stream":true,"speed":"fast","inference_geo":"global","cache_control":{"type":"ephemeral","ttl":"1h"}"#, prompt: 200, micro_usd: 2_014, reply:
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":25,\"cache_creation_input_tokens\":10,\"cache_creation\":{\"ephemeral_5m_input_tokens\":6,\"ephemeral_1h_input_tokens\":4},\"cache_read_input_tokens\":5,\"output_tokens\":1,\"speed\":\"fast\",\"inference_geo\":\"global\"}}}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"input_tokens\":26,\"cache_creation_input_tokens\":10,\"cache_read_input_tokens\":5,\"output_tokens\":42}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n" },
    // 10 x 4 + 3000 x 0.2 + 150 x 5 + 50 x 8 + 50 x 20
    Invoice { name: "Bedrock, stored for minutes and for an hour", kind: "bedrock", price: OPUS, asks: HOUR, prompt: 5_000, micro_usd: 2_790, reply:
        r#"{"output":{"message":{"role":"assistant","content":[{"text":"a"}]}},"stopReason":"end_turn","metrics":{"latencyMs":1},"usage":{"inputTokens":10,"outputTokens":50,"totalTokens":60,"cacheReadInputTokens":3000,"cacheWriteInputTokens":200,"cacheDetails":[{"ttl":"5m","inputTokens":150},{"ttl":"1h","inputTokens":50}]}}"# },
    // 100 x 2 + 300 x 2.5 + 500 x 5 + 10 x 10
    Invoice { name: "Bedrock, a model of OpenAI", kind: "bedrock", price: SOL, asks: r#","prompt_cache_options":{"ttl":"12h"}"#, prompt: 5_000, micro_usd: 3_550, reply:
        r#"{"output":{"message":{"role":"assistant","content":[{"text":"a"}]}},"stopReason":"end_turn","metrics":{"latencyMs":1},"usage":{"inputTokens":100,"outputTokens":10,"totalTokens":110,"cacheWriteInputTokens":800,"cacheDetails":[{"ttl":"30m","inputTokens":300},{"ttl":"12h","inputTokens":500}]}}"# },
    // (120 - 20 + 10) x 1.25 + 20 x 0.125 + (30 + 50) x 10: thoughts are output, and results of Google's own tools are input
    Invoice { name: "Gemini, thoughts and a cache", kind: "gemini", price: "input = 1.25, cached_input = 0.125, output = 10.0", asks: "", prompt: 2_000, micro_usd: 940, reply:
        r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"a"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":120,"cachedContentTokenCount":20,"toolUsePromptTokenCount":10,"candidatesTokenCount":30,"thoughtsTokenCount":50,"totalTokenCount":210}}"# },
];

const HOUR: &str = r#","tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}},"cache_control":{"type":"ephemeral","ttl":"1h"}}]"#;

/// The usage that the provider's reply reports last.
async fn usage_of(invoice: &Invoice, sent: &ProviderRequest, answer: &str) -> Usage {
    let reply = if invoice.kind == "bedrock" {
        Aws::new(Recorded::json(200, answer)).bedrock().send(sent).await
    } else {
        let answer = if sent.stream { Answer::sse(invoice.reply) } else { Answer::json(200, invoice.reply) };
        let server = Server::start(answer).await;
        let url = server.base_url.trim_end_matches("/v1");
        let base = if invoice.kind == "openai" { &server.base_url } else { url };
        provider(&format!("[[provider]]\nname = \"it\"\nkind = \"{}\"\nbase_url = \"{base}\"\n", invoice.kind))
            .send(sent)
            .await
    };
    match reply.unwrap() {
        Reply::Whole(whole) => whole.usage.unwrap(),
        stream @ Reply::Stream(_) => {
            drain(stream).await.into_iter().filter_map(|event| event.unwrap().usage).next_back().unwrap()
        }
    }
}

#[tokio::test]
async fn each_charge_is_the_providers_bill_and_no_more_than_was_held() {
    for invoice in INVOICES {
        let Invoice { name, kind, price, asks, prompt, reply, micro_usd } = invoice;
        let catalog = Catalog::parse(&format!(
            "[[provider]]\nname = \"it\"\nkind = \"{kind}\"\n{}[[model]]\nname = \"m\"\nkind = \"chat\"\nprice = {{ {price} }}\n\
             context_tokens = 1000000\nmax_output_tokens = 100000\ntargets = [{{ provider = \"it\", model = \"their-model\" }}]",
            if *kind == "openai" { "base_url = \"http://a.example\"\n" } else { "" },
        ))
        .unwrap();
        let sound = r#"[{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}]"#;
        let content = if *prompt == 0 { sound.to_owned() } else { format!("\"{}\"", "a".repeat(*prompt)) };
        let endpoint =
            if *kind == "anthropic" && *asks != HOUR { Endpoint::Messages } else { Endpoint::ChatCompletions };
        let json =
            format!(r#"{{"model":"m","max_tokens":5000,"messages":[{{"role":"user","content":{content}}}]{asks}}}"#);
        let body = Body::parse(endpoint, json.as_bytes()).unwrap();
        let model = accountable::priced(catalog.model("m").unwrap(), &body);
        accountable::check(&body, &model).unwrap_or_else(|refused| panic!("{name}: {refused:?}"));
        let bound = bound::bound(&body, &model, &Policy::default());
        let usage = usage_of(invoice, &call(endpoint, &json, body.stream), reply).await;
        let Charge { cost, excess, .. } = Charge::reported(model.price.as_deref(), usage, &bound);
        assert_eq!((cost, excess), (MicroUsd(*micro_usd), MicroUsd(0)), "{name}: {usage:?}");
        assert!(cost <= model.worst_case(&bound), "{name}");
    }
}
