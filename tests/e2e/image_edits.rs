//! Edits of images: priced as images are, with the tokens of the images that come with the request.

use std::sync::Arc;

use kit::{ADMIN_KEY, FORM, FormPart, Reply, START_MS, Script, TestApp, form, send};
use serde_json::json;
use shared::model::catalog::Catalog;
use shared::model::project::{Limits, Policy};
use shared::model::provider::{Failure, Whole};
use shared::model::tokens::Usage;

use crate::budget;

const EDITS: &str = "/v1/images/edits";

const CATALOG: &str = r#"
[[provider]]
name = "first"
kind = "openai"
base_url = "https://provider.example/v1"

[[model]]
name = "painter"
kind = "image"
price = { per_image = { default = 0.04, "1024x1024" = 0.04, "1024x1024/hd" = 0.08 } }
targets = [{ provider = "first", model = "painter-1" }]

[[model]]
name = "token-painter"
kind = "image"
price = { input = 5.0, image_input = 10.0, output = 40.0 }
context_tokens = 32000
max_output_tokens = 6000
image_tokens = 1000
targets = [{ provider = "first", model = "painter-2" }]

[[model]]
name = "large-painter"
kind = "image"
price = { input = 5.0, image_input = 10.0, output = 40.0 }
context_tokens = 32000
max_output_tokens = 6000
targets = [{ provider = "first", model = "painter-3" }]

[[model]]
name = "speaker"
kind = "speech"
targets = [{ provider = "first", model = "speaker-1" }]
"#;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\x00\xff";

async fn app() -> TestApp {
    TestApp::builder().models(Arc::new(Catalog::parse(CATALOG).unwrap())).build().await
}

fn images(count: usize, usage: Option<Usage>) -> Script {
    let body = json!({"created": 1, "data": vec![json!({"b64_json": "aGk="}); count]}).to_string().into();
    Script::Whole(Whole { body, usage, pieces: Some(count as u64), ..Whole::default() })
}

/// A form for two images, with a mask.
fn edit<'a>(model: &'a str, more: &[FormPart<'a>]) -> Vec<u8> {
    let two = [("image[]", Some("a.png"), PNG), ("image[]", Some("b.png"), PNG), ("mask", Some("m.png"), PNG)];
    form(&[&[("model", None, model.as_bytes()), ("prompt", None, b"A cat")][..], &two, more].concat())
}

async fn post(app: &TestApp, key: &str, body: Vec<u8>) -> Reply {
    send(&app.router(), "POST", EDITS, key, &[("content-type", FORM)], body).await
}

#[tokio::test]
async fn an_edit_costs_what_an_image_of_its_size_and_quality_costs() {
    let app = app().await;
    let hd: [FormPart<'_>; 2] = [("size", None, b"1024x1024"), ("quality", None, b"hd")];
    let three: [FormPart<'_>; 1] = [("n", None, b"3")];
    for (more, made, cost) in [(&[][..], 1, 40_000), (&hd, 1, 80_000), (&three, 3, 120_000), (&three, 2, 80_000)] {
        let (project, key) = app.project(budget(0.2), Policy::default()).await;
        app.first.then(images(made, None));
        let reply = post(&app, &key, edit("painter", more)).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, "application/json"), "{}", reply.text());
        assert_eq!(app.books(&project).await, (cost, 0));
        let cost: f64 = reply.header("x-weir-cost-usd").parse().unwrap();
        assert!((cost * 1e6 - app.books(&project).await.0 as f64).abs() < 0.5);
    }
    let call = &app.first.calls()[0];
    let files: Vec<_> =
        call.uploads.iter().map(|upload| (upload.field.as_str(), upload.name.as_str(), &upload.bytes[..])).collect();
    assert_eq!(files, [("image", "a.png", PNG), ("image", "b.png", PNG), ("mask", "m.png", PNG)]);
    assert_eq!(call.body.to_bytes(), r#"{"model":"painter","prompt":"A cat"}"#);
}

#[tokio::test]
async fn the_tokens_of_the_images_are_reserved_and_charged_by_the_report() {
    let app = app().await;
    let reported = Usage { input: 700, image_input: 600, output: 1_000, ..Usage::default() };
    // The texts as JSON and what a template may add, at most as images; three images; one that is made.
    let text = r#"{"model":"token-painter","prompt":"A cat"}"#.len() as u64 + 32;
    let in_full = (text + 3 * 1_000) * 10 + 6_000 * 40;
    for (usage, cost) in [(Some(reported), 100 * 5 + 600 * 10 + 1_000 * 40), (None, in_full)] {
        let (project, key) = app.project(budget(1.0), Policy::default()).await;
        app.first.then(images(1, usage));
        assert_eq!(post(&app, &key, edit("token-painter", &[])).await.status, 200);
        assert_eq!(app.books(&project).await, (cost, 0));
    }
    // What is reserved must fit: 0.27 dollars do, and a micro-dollar less does not.
    let dollars = |micro: u64| micro as f64 / 1e6;
    for (limit, status) in [(in_full, 200), (in_full - 1, 429)] {
        let (_, key) = app.project(budget(dollars(limit)), Policy::default()).await;
        app.first.then(images(1, Some(reported)));
        let reply = post(&app, &key, edit("token-painter", &[])).await;
        assert_eq!(reply.status, status, "{}", reply.text());
    }
    // Without `image_tokens` the whole context is reserved for: 0.32 dollars, and 0.24 for the image.
    let (_, key) = app.project(budget(0.559), Policy::default()).await;
    assert_eq!(post(&app, &key, edit("large-painter", &[])).await.code(), "budget_exceeded");
}

#[tokio::test]
async fn what_cannot_be_edited_is_refused_by_name() {
    let app = app().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let (_, limited) = app.project(budget(1.0), Policy::default()).await;
    let part = |name: &'static str, text: &'static str| [(name, None, text.as_bytes())];
    for (key, model, more, param) in [
        (&key, "painter", &part("stream", "true")[..], "stream"),
        (&key, "painter", &part("n", "11"), "n"),
        (&key, "painter", &part("n", "two"), "n"),
        (&key, "painter", &part("style", "vivid"), "style"),
        (&key, "painter", &[("mask", Some("n.png"), PNG)], "mask"),
        (&key, "speaker", &[], "model"),
        (&key, "nobody", &[], "model"),
        (&limited, "painter", &part("partial_images", "2"), "partial_images"),
    ] {
        let refused = post(&app, key, edit(model, more)).await;
        let status = if model == "nobody" { 404 } else { 400 };
        assert_eq!((refused.status, &refused.json()["error"]["param"]), (status, &json!(param)), "{}", refused.text());
    }
    assert_eq!(app.first.call_count(), 0);
}

#[tokio::test]
async fn an_edit_that_fails_costs_nothing_unless_the_provider_may_bill_it() {
    let app = app().await;
    let fail: [(fn() -> Failure, u64); 2] =
        [(|| Failure::Unauthorized { message: String::new() }, 0), (|| Failure::Interrupted("cut".into()), 40_000)];
    for (failure, cost) in fail {
        let (project, key) = app.project(budget(1.0), Policy::default()).await;
        app.first.then(Script::Fail(failure));
        let status = post(&app, &key, edit("painter", &[])).await.status;
        assert!(status >= 500, "{status}");
        assert_eq!(app.books(&project).await, (cost, 0));
    }
}

#[tokio::test]
async fn edits_are_counted_as_images() {
    let app = app().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    app.first.then(images(2, None));
    post(&app, &key, edit("painter", &[("n", None, b"2")])).await;
    let path = format!("/v1/organization/usage/images?start_time={}", START_MS / 1_000);
    let report = send(&app.router(), "GET", &path, ADMIN_KEY, &[], "").await.json();
    let sum = &report["data"][0]["results"][0];
    assert_eq!((&sum["images"], &sum["num_model_requests"]), (&json!(2), &json!(1)), "{report}");
}
