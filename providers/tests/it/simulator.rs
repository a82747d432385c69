//! The simulator's contract: deterministic, plain about what it is, and within limits.

use serde_json::{Value, json};
use shared::model::provider::{Endpoint, Failure, Reply};

use crate::play::{call, drain, failure, json as parse, lines, provider, whole};

const PLAIN: &str = "[[provider]]\nname = \"it\"\nkind = \"simulator\"\n";

async fn send(endpoint: Endpoint, body: &Value, stream: bool) -> Reply {
    provider(PLAIN).send(&call(endpoint, &body.to_string(), stream)).await.unwrap()
}

async fn chat(body: Value) -> Value {
    parse(whole(send(Endpoint::ChatCompletions, &body, false).await).body)
}

fn hello() -> Value {
    json!({"messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello there"}]})
}

#[tokio::test]
async fn names_itself_and_repeats_its_answers() {
    let answer = chat(hello()).await;
    let message = &answer["choices"][0]["message"];
    assert_eq!(message["content"], "This is weir's simulator, not a model. You said: Hello there");
    assert_eq!(answer["usage"]["prompt_tokens"], 4);
    assert_eq!(answer["created"], 1_700_000_000);
    assert_eq!(answer, chat(hello()).await);
}

#[tokio::test]
async fn stops_at_the_callers_limit() {
    let mut body = hello();
    body["max_completion_tokens"] = json!(3);
    body["n"] = json!(2);
    let answer = chat(body).await;
    for choice in answer["choices"].as_array().unwrap() {
        assert_eq!(choice["finish_reason"], "length");
        assert_eq!(choice["message"]["content"], "This is weir's");
    }
    assert_eq!((answer["choices"].as_array().unwrap().len(), &answer["usage"]["completion_tokens"]), (2, &json!(6)));
}

#[tokio::test]
async fn a_prompt_beyond_the_context_is_refused() {
    let long = json!({"messages": [{"role": "user", "content": "a ".repeat(128_001)}]});
    let refused = failure(provider(PLAIN).send(&call(Endpoint::ChatCompletions, &long.to_string(), false)).await);
    assert!(
        matches!(&refused, Failure::Refused { refusal, .. } if refusal.code.as_deref() == Some("context_length_exceeded"))
    );
}

#[tokio::test]
async fn a_stream_says_the_same_as_the_whole() {
    let answer = chat(hello()).await;
    let lines = lines(send(Endpoint::ChatCompletions, &hello(), true).await).await;
    let chunks: Vec<Value> = lines.lines().map(parse).collect();
    let text: String = chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(answer["choices"][0]["message"]["content"], text);
    let last = chunks.last().unwrap();
    assert_eq!((&last["choices"], &last["usage"]), (&json!([]), &answer["usage"]));
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
}

#[tokio::test]
async fn a_tool_that_must_be_called_is_called() {
    let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    let mut body = hello();
    body["tools"] = json!([{"type": "function", "function": {"name": "weather", "parameters": parameters}}]);
    body["tool_choice"] = json!("required");
    let choice = chat(body.clone()).await["choices"][0].clone();
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(
        choice["message"]["tool_calls"][0]["function"],
        json!({"name": "weather", "arguments": "{\"city\":\"simulated\"}"})
    );
    let events = lines(send(Endpoint::ChatCompletions, &body, true).await).await;
    assert!(events.contains("\"name\":\"weather\"") && events.contains("\"finish_reason\":\"tool_calls\""));
    body["tool_choice"] = json!({"type": "function", "function": {"name": "other"}});
    let refused = provider(PLAIN).send(&call(Endpoint::ChatCompletions, &body.to_string(), false)).await;
    assert!(matches!(failure(refused), Failure::Refused { status: 400, .. }));
}

#[tokio::test]
async fn a_schema_is_satisfied() {
    let mut body = hello();
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer", "minimum": 2}}, "required": ["n"]});
    body["response_format"] = json!({"type": "json_schema", "json_schema": {"name": "a", "schema": schema}});
    assert_eq!(chat(body.clone()).await["choices"][0]["message"]["content"], "{\"n\":2}");
    body["response_format"] = json!({"type": "json_object"});
    let content = chat(body).await["choices"][0]["message"]["content"].clone();
    assert!(parse(content.as_str().unwrap()).is_object());
}

#[tokio::test]
async fn an_answer_has_at_most_16_384_tokens() {
    let schema = json!({
        "type": "array", "minItems": 1_000, "items": {"$ref": "#/$defs/long"}, "$defs": {"long": {"const": "a".repeat(25_000)}},
    });
    let parameters =
        json!({"type": "object", "properties": {"a": schema}, "required": ["a"], "$defs": schema["$defs"]});
    let mut shaped = hello();
    shaped["response_format"] = json!({"type": "json_schema", "json_schema": {"name": "a", "schema": schema}});
    let mut called = hello();
    called["tools"] = json!([{"type": "function", "function": {"name": "f", "parameters": parameters}}]);
    called["tool_choice"] = json!("required");
    let mut said = json!({"messages": [{"role": "user", "content": "a ".repeat(2_000)}]});
    for body in [&mut shaped, &mut called, &mut said] {
        for n in [1, 128] {
            body["n"] = json!(n);
            let answer = chat(body.clone()).await;
            let tokens = answer["usage"]["completion_tokens"].as_u64().unwrap();
            assert!(tokens <= 16_384 && answer.to_string().len() < 400_000, "{n}: {tokens} tokens");
            assert!(lines(send(Endpoint::ChatCompletions, body, true).await).await.len() < 6_000_000);
        }
    }
    let texts = json!({"prompt": vec!["a ".repeat(60); 2_000], "max_tokens": 100});
    let answer = parse(whole(send(Endpoint::Completions, &texts, false).await).body);
    assert_eq!(answer["usage"]["completion_tokens"], 16_384);
}

#[tokio::test]
async fn a_call_that_asks_for_too_much_is_refused() {
    for (endpoint, body, param) in [
        (Endpoint::ChatCompletions, json!({"messages": [{"role": "user"}], "stop": ["a", "b", "c", "d", "e"]}), "stop"),
        (Endpoint::Embeddings, json!({"input": vec!["a"; 2_048], "dimensions": 4_096}), "input"),
        (Endpoint::Embeddings, json!({"input": "a b ".repeat(9_000), "dimensions": 4_096}), "input"),
    ] {
        let refused = failure(provider(PLAIN).send(&call(endpoint, &body.to_string(), false)).await);
        assert!(matches!(&refused, Failure::Refused { refusal, .. } if refusal.param.as_deref() == Some(param)));
    }
}

#[tokio::test]
async fn embeddings_come_in_both_encodings() {
    let floats = whole(send(Endpoint::Embeddings, &json!({"input": ["a b", "c"], "dimensions": 4}), false).await);
    let body = parse(&floats.body);
    assert_eq!((body["data"].as_array().unwrap().len(), &body["usage"]["prompt_tokens"]), (2, &json!(3)));
    let first: Vec<f32> = serde_json::from_value(body["data"][0]["embedding"].clone()).unwrap();
    let coded = json!({"input": "a b", "dimensions": 4, "encoding_format": "base64"});
    let coded = parse(whole(send(Endpoint::Embeddings, &coded, false).await).body);
    use base64::Engine as _;
    let bytes =
        base64::engine::general_purpose::STANDARD.decode(coded["data"][0]["embedding"].as_str().unwrap()).unwrap();
    let decoded: Vec<f32> = bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
    assert_eq!(decoded, first);
    for input in [json!([1, 2, 3]), json!([[1], [2, 3]])] {
        assert_eq!(
            parse(whole(send(Endpoint::Embeddings, &json!({"input": input}), false).await).body)["usage"]["prompt_tokens"],
            3
        );
    }
}

#[tokio::test]
async fn moderation_flags_nothing() {
    let body = parse(whole(send(Endpoint::Moderations, &json!({"input": ["a", "b"]}), false).await).body);
    assert_eq!(body["results"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&body["results"][0]["flagged"], &body["results"][0]["categories"]["self-harm/intent"]),
        (&json!(false), &json!(false))
    );
}

#[tokio::test]
async fn legacy_completions_work_whole_and_streamed() {
    let body = json!({"prompt": ["one", "two"], "max_tokens": 100});
    let whole = parse(whole(send(Endpoint::Completions, &body, false).await).body);
    let texts: Vec<_> =
        whole["choices"].as_array().unwrap().iter().map(|choice| choice["text"].as_str().unwrap()).collect();
    assert_eq!(texts[1], " This is weir's simulator, not a model. The prompt was: two");
    let lines = lines(send(Endpoint::Completions, &body, true).await).await;
    let chunks = lines.lines().map(parse).filter(|chunk| chunk["choices"][0]["index"] == 1);
    let streamed: String = chunks.map(|chunk| chunk["choices"][0]["text"].as_str().unwrap().to_owned()).collect();
    assert_eq!(streamed, texts[1]);
}

#[tokio::test(start_paused = true)]
async fn takes_as_long_and_fails_as_often_as_configured() {
    let slow = format!("{PLAIN}simulator = {{ latency_ms = 500, tokens_per_second = 10 }}\n");
    let began = tokio::time::Instant::now();
    let reply = provider(&slow).send(&call(Endpoint::ChatCompletions, &hello().to_string(), true)).await.unwrap();
    assert_eq!(began.elapsed().as_millis(), 500);
    let events = drain(reply).await.len();
    assert_eq!(began.elapsed().as_millis(), 500 + 100 * (events as u128 - 1));

    let broken = provider(&format!("{PLAIN}simulator = {{ failure_rate = 1.0 }}\n"));
    let failure = failure(broken.send(&call(Endpoint::ChatCompletions, &hello().to_string(), false)).await);
    assert!(matches!(failure, Failure::Unavailable { status: 503, .. }), "{failure}");
}
