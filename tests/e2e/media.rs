//! Images and sound: billed by the piece or by tokens, bounded before the call, and never made twice under one key.

use std::sync::Arc;

use bytes::Bytes;
use kit::{ADMIN_KEY, Reply, START_MS, Script, TestApp, send};
use serde_json::{Value, json};
use shared::model::catalog::Catalog;
use shared::model::content_type::ContentType;
use shared::model::project::{Limits, Policy};
use shared::model::provider::{Event, Failure, Whole};
use shared::model::tokens::Usage;

use crate::budget;

const IMAGES: &str = "/v1/images/generations";
const SPEECH: &str = "/v1/audio/speech";

const CATALOG: &str = r#"
[[provider]]
name = "first"
kind = "openai"
base_url = "https://provider.example/v1"

[[model]]
name = "painter"
kind = "image"
price = { per_image = { default = 0.04, "1024x1024" = 0.04, "1024x1024/hd" = 0.08, "1792x1024/hd" = 0.12 } }
targets = [{ provider = "first", model = "painter-1" }]

[[model]]
name = "token-painter"
kind = "image"
price = { input = 5.0, output = 40.0 }
context_tokens = 32000
max_output_tokens = 6000
targets = [{ provider = "first", model = "painter-2" }]

[[model]]
name = "speaker"
kind = "speech"
price = { per_million_characters = 15.0 }
targets = [{ provider = "first", model = "speaker-1" }]

[[model]]
name = "token-speaker"
kind = "speech"
price = { input = 0.6, output = 12.0 }
context_tokens = 2000
max_output_tokens = 5000
targets = [{ provider = "first", model = "speaker-2" }]

[[model]]
name = "unpriced-painter"
kind = "image"
targets = [{ provider = "first", model = "painter-3" }]
"#;

async fn app() -> TestApp {
    TestApp::builder().models(Arc::new(Catalog::parse(CATALOG).unwrap())).build().await
}

/// An answer with so many images, and the usage that a model billed by tokens reports.
fn images(count: u64, usage: Option<Usage>) -> Script {
    let data: Vec<Value> = (0..count).map(|_| json!({"b64_json": "aGk="})).collect();
    let body = json!({"created": 1, "data": data}).to_string().into();
    Script::Whole(Whole { body, usage, pieces: Some(count), ..Whole::default() })
}

/// Bytes that are no text.
const SOUND: &[u8] = b"ID3\x04\xff\xfb\x90\x00\x00";

fn sound(characters: u64) -> Script {
    let (body, content_type) = (Bytes::from_static(SOUND), ContentType::Mp3);
    Script::Whole(Whole { body, content_type, usage: None, pieces: Some(characters) })
}

fn speech(model: &str, text: &str) -> String {
    json!({"model": model, "input": text, "voice": "alloy"}).to_string()
}

async fn post(app: &TestApp, path: &str, key: &str, body: impl Into<String>) -> Reply {
    send(&app.router(), "POST", path, key, &[], body.into()).await
}

#[tokio::test]
async fn images_cost_what_their_size_and_quality_cost_and_only_those_that_came() {
    let app = app().await;
    for (members, made, cost) in [
        ("", 1, 40_000),
        (r#","n":3"#, 3, 120_000),
        (r#","n":3"#, 2, 80_000),
        (r#","size":"1024x1024","quality":"hd""#, 1, 80_000),
        (r#","size":"1792x1024","quality":"auto""#, 1, 120_000),
        (r#","size":"another""#, 1, 120_000),
        (r#","n":2"#, 9, 80_000),
    ] {
        let (project, key) = app.project(budget(1.0), Policy::default()).await;
        app.first.then(images(made, None));
        let reply = post(&app, IMAGES, &key, format!(r#"{{"model":"painter","prompt":"A cat"{members}}}"#)).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, "application/json"), "{}", reply.text());
        assert_eq!(app.books(&project).await, (cost, 0), "{members}");
    }
}

#[tokio::test]
async fn a_call_that_could_cost_more_than_is_left_is_refused_before_the_provider_is_called() {
    let app = app().await;
    let (project, key) = app.project(budget(0.1), Policy::default()).await;
    let three = r#"{"model":"painter","prompt":"A cat","n":3}"#;
    let refused = post(&app, IMAGES, &key, three).await;
    assert_eq!((refused.status, &*refused.code()), (429, "budget_exceeded"), "{}", refused.text());
    let long = speech("speaker", &"a".repeat(7_000));
    assert_eq!(post(&app, SPEECH, &key, long).await.code(), "budget_exceeded");
    // 6,000 tokens of each image cost $0.24.
    let by_tokens = post(&app, IMAGES, &key, r#"{"model":"token-painter","prompt":"A cat"}"#).await;
    assert_eq!(by_tokens.code(), "budget_exceeded", "{}", by_tokens.text());
    assert_eq!((app.first.call_count(), app.books(&project).await), (0, (0, 0)));
    app.first.then(images(2, None));
    assert_eq!(post(&app, IMAGES, &key, three.replace('3', "2")).await.status, 200);
}

#[tokio::test]
async fn a_quote_is_the_highest_price_of_what_the_call_asks_for() {
    let app = app().await;
    let (_, key) = app.project(budget(1.0), Policy::default()).await;
    for (body, endpoint, cost) in [
        (r#"{"model":"painter","prompt":"A cat","n":2,"quality":"hd"}"#.to_owned(), IMAGES, 0.24),
        (speech("speaker", "Grüße"), SPEECH, 0.000_075),
    ] {
        let quote = post(&app, "/v1/quote", &key, body).await.json();
        assert_eq!((&quote["endpoint"], &quote["max_cost_usd"]), (&json!(endpoint), &json!(cost)), "{quote}");
    }
}

#[tokio::test]
async fn images_that_are_billed_by_tokens_are_charged_by_the_report_or_in_full() {
    let app = app().await;
    let body = r#"{"model":"token-painter","prompt":"A cat","n":2}"#;
    let reported = Usage { input: 10, output: 1_000, ..Usage::default() };
    let in_full = (body.len() as u64 + 32) * 5 + 2 * 6_000 * 40;
    for (usage, cost) in [(Some(reported), 10 * 5 + 1_000 * 40), (None, in_full)] {
        let (project, key) = app.project(budget(1.0), Policy::default()).await;
        app.first.then(images(2, usage));
        assert_eq!(post(&app, IMAGES, &key, body).await.status, 200);
        assert_eq!(app.books(&project).await, (cost, 0));
    }
}

#[tokio::test]
async fn sound_passes_through_byte_for_byte_and_a_repeated_key_gets_the_same() {
    let app = app().await;
    let (project, key) = app.project(budget(1.0), Policy::default()).await;
    app.first.then(sound(5));
    let text = speech("speaker", "Grüße");
    let idempotent = [("idempotency-key", "k-1")];
    let first = send(&app.router(), "POST", SPEECH, &key, &idempotent, text.clone()).await;
    assert_eq!((first.status, first.header("content-type")), (200, "audio/mpeg"), "{}", first.text());
    assert_eq!((&first.body[..], first.header("x-weir-cost-usd")), (SOUND, "0.000075"));
    let again = send(&app.router(), "POST", SPEECH, &key, &idempotent, text).await;
    assert_eq!((&again.body[..], again.header("content-type")), (SOUND, "audio/mpeg"));
    assert_eq!(again.header("idempotent-replayed"), "true");
    let other = send(&app.router(), "POST", SPEECH, &key, &idempotent, speech("speaker", "Other")).await;
    assert_eq!(other.status, 422, "{}", other.text());
    assert_eq!((app.first.call_count(), app.books(&project).await), (1, (75, 0)));
}

#[tokio::test]
async fn large_images_are_kept_whole_for_a_repeated_key() {
    let app = app().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    // Random enough that compression does not make it small.
    let image: String = (0..400_000_u64).map(|n| char::from(b'A' + (n * n % 1_009 % 26) as u8)).collect();
    let body: Bytes = json!({"created": 1, "data": [{"b64_json": image}]}).to_string().into();
    app.first.then(Script::Whole(Whole { body: body.clone(), pieces: Some(1), ..Whole::default() }));
    let idempotent = [("idempotency-key", "k-1")];
    for _ in 0..2 {
        let sent = r#"{"model":"painter","prompt":"A cat"}"#;
        let reply = send(&app.router(), "POST", IMAGES, &key, &idempotent, sent).await;
        assert!(reply.body == body, "{}", reply.status);
    }
    assert_eq!(app.first.call_count(), 1);
}

#[tokio::test]
async fn sound_is_cached_with_its_content_type() {
    let app = app().await;
    let (_, key) = app.project(Limits::default(), Policy { cache_ttl_seconds: Some(60), ..Policy::default() }).await;
    app.first.then(sound(5));
    for cache in ["miss", "hit"] {
        let reply = post(&app, SPEECH, &key, speech("speaker", "Hello")).await;
        assert_eq!((reply.header("x-weir-cache"), reply.header("content-type")), (cache, "audio/mpeg"));
        assert_eq!(&reply.body[..], SOUND);
    }
}

#[tokio::test]
async fn a_stream_of_sound_ends_with_its_usage_and_is_charged_by_it() {
    let app = app().await;
    let (project, key) = app.project(budget(1.0), Policy::default()).await;
    let usage = Usage { input: 14, output: 101, ..Usage::default() };
    let delta = r#"{"type":"speech.audio.delta","audio":"aGk="}"#;
    let done = r#"{"type":"speech.audio.done","usage":{"input_tokens":14,"output_tokens":101,"total_tokens":115}}"#;
    let event = |data: &'static str, usage| Event { data: Bytes::from_static(data.as_bytes()), usage };
    app.first.then(Script::Events(vec![event(delta, None), event(done, Some(usage))]));
    let body = speech("token-speaker", "Hello").replace('}', r#","stream_format":"sse"}"#);
    let reply = post(&app, SPEECH, &key, body).await;
    assert_eq!(reply.text(), format!("data: {delta}\n\ndata: {done}\n\n"));
    // 14 tokens at 0.6 and 101 at 12 micro-dollars, rounded up.
    assert_eq!(app.books(&project).await, (1_221, 0));
}

#[tokio::test]
async fn a_budget_pays_for_nothing_whose_price_is_not_known() {
    let app = app().await;
    let (_, limited) = app.project(budget(1.0), Policy::default()).await;
    let (_, free) = app.project(Limits::default(), Policy::default()).await;
    app.first.always(images(1, None));
    for (body, code) in [
        (r#"{"model":"unpriced-painter","prompt":"A cat"}"#, "model_not_priced"),
        (r#"{"model":"painter","prompt":"A cat","partial_images":2}"#, "not_accountable"),
        (r#"{"model":"painter","prompt":"A cat","steps":500}"#, "not_accountable"),
    ] {
        let refused = post(&app, IMAGES, &limited, body).await;
        assert_eq!((refused.status, &*refused.code()), (400, code), "{}", refused.text());
        assert_eq!(post(&app, IMAGES, &free, body).await.status, 200, "{body}");
    }
}

#[tokio::test]
async fn what_cannot_be_made_is_refused_by_name() {
    let app = app().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    for (path, body, param) in [
        (IMAGES, r#"{"model":"painter","prompt":"A cat","stream":true}"#, "stream"),
        (IMAGES, r#"{"model":"painter","prompt":"A cat","n":11}"#, "n"),
        (IMAGES, r#"{"model":"speaker","prompt":"A cat"}"#, "model"),
        (SPEECH, r#"{"model":"painter","input":"Hi","voice":"alloy"}"#, "model"),
        (SPEECH, r#"{"model":"speaker","voice":"alloy"}"#, "input"),
        ("/v1/chat/completions", r#"{"model":"painter","messages":[{"role":"user","content":"Hi"}]}"#, "model"),
    ] {
        let refused = post(&app, path, &key, body).await;
        assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!(param)), "{}", refused.text());
    }
    assert_eq!(app.first.call_count(), 0);
}

#[tokio::test]
async fn a_call_that_fails_costs_nothing_unless_the_provider_may_bill_it() {
    let app = app().await;
    let body = r#"{"model":"painter","prompt":"A cat","n":2}"#;
    let fail: [(fn() -> Failure, u64); 2] =
        [(|| Failure::Unauthorized { message: String::new() }, 0), (|| Failure::Interrupted("cut".into()), 80_000)];
    for (failure, cost) in fail {
        let (project, key) = app.project(budget(1.0), Policy::default()).await;
        app.first.then(Script::Fail(failure));
        let status = post(&app, IMAGES, &key, body).await.status;
        assert!(status >= 500, "{status}");
        assert_eq!(app.books(&project).await, (cost, 0));
    }
}

#[tokio::test]
async fn images_and_characters_are_reported() {
    let app = app().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    app.first.then(images(2, None));
    post(&app, IMAGES, &key, r#"{"model":"painter","prompt":"A cat","n":2}"#).await;
    app.first.then(sound(5));
    post(&app, SPEECH, &key, speech("speaker", "Hello")).await;
    for (operation, member, count) in [("images", "images", 2), ("audio_speeches", "characters", 5)] {
        let path = format!("/v1/organization/usage/{operation}?start_time={}", START_MS / 1_000);
        let report = send(&app.router(), "GET", &path, ADMIN_KEY, &[], "").await.json();
        let sum = &report["data"][0]["results"][0];
        assert_eq!(sum["object"], format!("organization.usage.{operation}.result"));
        assert_eq!((&sum[member], &sum["num_model_requests"]), (&json!(count), &json!(1)), "{report}");
    }
}
