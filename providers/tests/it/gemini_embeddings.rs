//! Embeddings of Gemini.

use shared::model::provider::{Endpoint, Failure, ProviderRequest};
use shared::model::tokens::Usage;

use crate::gemini::toml;
use crate::play::{Answer, Server, call, failure, json, provider, whole};

fn embed(body: &str) -> ProviderRequest {
    ProviderRequest { model: "gemini-embedding-2".to_owned(), ..call(Endpoint::Embeddings, body, false) }
}

const TWO: &str = r#"{"embeddings":[{"values":[0.25,-0.5]},{"values":[1,2]}],"usageMetadata":{"promptTokenCount":6}}"#;

#[tokio::test]
async fn texts_are_embedded_in_one_batch() {
    let server = Server::start(Answer::json(200, TWO)).await;
    let call = embed(r#"{"input":["a","b"],"dimensions":2}"#);
    let whole = whole(provider(&toml(&server)).send(&call).await.unwrap());
    let expected = r#"{"requests":[
        {"model":"models/gemini-embedding-2","content":{"parts":[{"text":"a"}]},"outputDimensionality":2},
        {"model":"models/gemini-embedding-2","content":{"parts":[{"text":"b"}]},"outputDimensionality":2}]}"#;
    assert_eq!(server.got().json(), json(expected));
    assert_eq!(server.got().path, "/v1/models/gemini-embedding-2:batchEmbedContents");
    let expected = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.25,-0.5]},{"object":"embedding","index":1,"embedding":[1.0,2.0]}],"model":"gemini-embedding-2","usage":{"prompt_tokens":6,"total_tokens":6}}"#;
    assert_eq!(json(&whole.body), json(expected));
    assert_eq!(whole.usage, Some(Usage { input: 6, ..Usage::default() }));
}

#[tokio::test]
async fn one_text_is_a_batch_too_and_an_answer_without_a_usage_has_none() {
    let server = Server::start(Answer::json(200, r#"{"embeddings":[{"values":[0.25,-0.5]}]}"#)).await;
    let call = embed(r#"{"input":"a","encoding_format":"base64"}"#);
    let whole = whole(provider(&toml(&server)).send(&call).await.unwrap());
    let expected = r#"{"requests":[{"model":"models/gemini-embedding-2","content":{"parts":[{"text":"a"}]}}]}"#;
    assert_eq!(server.got().json(), json(expected));
    assert_eq!(json(&whole.body)["data"][0]["embedding"], "AACAPgAAAL8=");
    assert_eq!(whole.usage, None);
}

#[tokio::test]
async fn more_than_a_hundred_texts_are_several_batches() {
    let hundred = vec![r#"{"values":[1]}"#; 100].join(",");
    let body = format!(r#"{{"embeddings":[{hundred}],"usageMetadata":{{"promptTokenCount":100}}}}"#);
    let server = Server::start(Answer { pieces: vec![body.into()], ..Answer::json(200, "") }).await;
    let texts = vec![r#""a""#; 200].join(",");
    let call = embed(&format!(r#"{{"input":[{texts}]}}"#));
    let whole = whole(provider(&toml(&server)).send(&call).await.unwrap());
    assert_eq!(server.got().json()["requests"].as_array().unwrap().len(), 100);
    assert_eq!(json(&whole.body)["data"][199]["index"], 199);
    assert_eq!(whole.usage, Some(Usage { input: 200, ..Usage::default() }));
}

#[tokio::test]
async fn wrong_inputs_and_wrong_answers_are_failures() {
    let server = Server::start(Answer::json(200, TWO)).await;
    let send = async |body: &str| failure(provider(&toml(&server)).send(&embed(body)).await);
    assert!(
        matches!(send(r#"{"input":[[1,2]]}"#).await, Failure::Unsupported { param: Some(param), .. } if param == "input")
    );
    assert!(matches!(send("{}").await, Failure::Refused { status: 400, .. }));
    assert!(matches!(send(r#"{"input":"a"}"#).await, Failure::Malformed(_)));
}
