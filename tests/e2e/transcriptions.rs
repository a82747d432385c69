//! Sound that is written down: billed by the minute or by tokens, and bounded before the call.

use std::sync::Arc;

use bytes::Bytes;
use kit::{ADMIN_KEY, FORM, FormPart, Reply, START_MS, Script, TestApp, form, send};
use serde_json::json;
use shared::model::catalog::Catalog;
use shared::model::content_type::ContentType;
use shared::model::project::{Limits, Policy};
use shared::model::provider::{Event, Failure, Whole};
use shared::model::tokens::Usage;

use crate::budget;

const TRANSCRIPTIONS: &str = "/v1/audio/transcriptions";
const TRANSLATIONS: &str = "/v1/audio/translations";

const CATALOG: &str = r#"
[[provider]]
name = "first"
kind = "openai"
base_url = "https://provider.example/v1"

[[model]]
name = "listener"
kind = "transcription"
price = { per_minute = 0.006 }
max_seconds = 1500
targets = [{ provider = "first", model = "listener-1" }]

[[model]]
name = "token-listener"
kind = "transcription"
price = { input = 2.5, audio_input = 6.0, output = 10.0 }
context_tokens = 16000
max_output_tokens = 2000
targets = [{ provider = "first", model = "listener-2" }]

[[model]]
name = "unpriced-listener"
kind = "transcription"
targets = [{ provider = "first", model = "listener-3" }]
"#;

async fn app() -> TestApp {
    TestApp::builder().models(Arc::new(Catalog::parse(CATALOG).unwrap())).build().await
}

/// A second of WAV: 16,000 samples of 16 bits, less the head of the file.
fn second_of_wav() -> Vec<u8> {
    let mut file = b"RIFF\x00\x7d\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00".to_vec();
    file.extend_from_slice(&16_000_u32.to_le_bytes());
    file.extend_from_slice(&32_000_u32.to_le_bytes());
    file.extend_from_slice(b"\x02\x00\x10\x00data\xd4\x7c\x00\x00");
    file.resize(32_000, 0);
    file
}

const MP3: &[u8] = b"ID3\x04\xff\xfb\x90";

fn sound<'a>(model: &'a str, file: &'a [u8], more: &[FormPart<'a>]) -> Vec<u8> {
    form(&[&[("model", None, model.as_bytes()), ("file", Some("a.mp3"), file)][..], more].concat())
}

/// A transcript, and the seconds or the tokens that a provider reports.
fn heard(seconds: Option<u64>, usage: Option<Usage>) -> Script {
    Script::Whole(Whole { body: br#"{"text":"Hello."}"#[..].into(), usage, pieces: seconds, ..Whole::default() })
}

async fn post(app: &TestApp, path: &str, key: &str, body: Vec<u8>) -> Reply {
    send(&app.router(), "POST", path, key, &[("content-type", FORM)], body).await
}

#[tokio::test]
async fn a_transcript_costs_the_seconds_that_are_reported_and_else_the_most_that_the_sound_can_have() {
    let app = app().await;
    let wav = second_of_wav();
    for (path, file, seconds, cost) in [
        (TRANSCRIPTIONS, MP3, Some(60), 6_000),
        (TRANSLATIONS, MP3, Some(1), 100),
        (TRANSCRIPTIONS, MP3, None, 150_000),
        // A second of samples cannot be more, whatever the provider says.
        (TRANSCRIPTIONS, &wav[..], None, 100),
        (TRANSCRIPTIONS, &wav, Some(9_000), 100),
        (TRANSCRIPTIONS, MP3, Some(9_000), 150_000),
    ] {
        let (project, key) = app.project(budget(1.0), Policy::default()).await;
        app.first.then(heard(seconds, None));
        let reply = post(&app, path, &key, sound("listener", file, &[])).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, "application/json"), "{}", reply.text());
        assert_eq!(app.books(&project).await, (cost, 0), "{seconds:?}");
    }
    assert_eq!(app.first.calls()[1].endpoint.path(), "/audio/translations");
}

#[tokio::test]
async fn a_sound_that_could_cost_more_than_is_left_is_refused_before_the_provider_is_called() {
    let app = app().await;
    let wav = second_of_wav();
    // A file of any length is held for with `max_seconds`, 0.15 dollars; a second of WAV with 0.0001.
    let (project, key) = app.project(budget(0.149), Policy::default()).await;
    let refused = post(&app, TRANSCRIPTIONS, &key, sound("listener", MP3, &[])).await;
    assert_eq!((refused.status, &*refused.code()), (429, "budget_exceeded"), "{}", refused.text());
    assert_eq!((app.first.call_count(), app.books(&project).await), (0, (0, 0)));
    app.first.then(heard(Some(1), None));
    assert_eq!(post(&app, TRANSCRIPTIONS, &key, sound("listener", &wav, &[])).await.status, 200);
    // The context of a model that is billed by tokens, as sound, and its longest answer.
    let (_, key) = app.project(budget(0.115), Policy::default()).await;
    let refused = post(&app, TRANSCRIPTIONS, &key, sound("token-listener", &wav, &[])).await;
    assert_eq!(refused.code(), "budget_exceeded", "{}", refused.text());
}

#[tokio::test]
async fn tokens_are_charged_by_the_report_or_in_full() {
    let app = app().await;
    let reported = Usage { input: 14, audio_input: 10, output: 100, ..Usage::default() };
    let in_full = 16_000 * 6 + 2_000 * 10;
    // Seconds alone do not pay for tokens.
    for (usage, seconds, cost) in
        [(Some(reported), None, 10 + 10 * 6 + 100 * 10), (None, None, in_full), (None, Some(1), in_full)]
    {
        let (project, key) = app.project(budget(1.0), Policy::default()).await;
        app.first.then(heard(seconds, usage));
        assert_eq!(post(&app, TRANSCRIPTIONS, &key, sound("token-listener", MP3, &[])).await.status, 200);
        assert_eq!(app.books(&project).await, (cost, 0));
    }
}

#[tokio::test]
async fn texts_and_subtitles_keep_their_form_when_they_are_repeated() {
    let app = app().await;
    let (_, key) = app.project(Limits::default(), Policy { cache_ttl_seconds: Some(60), ..Policy::default() }).await;
    for (format, name) in [
        ("text", "text/plain; charset=utf-8"),
        ("srt", "text/plain; charset=utf-8"),
        ("vtt", "text/vtt; charset=utf-8"),
    ] {
        let content_type = ContentType::of_transcript(Some(format));
        let text = format!("{format}: Grüße\n");
        app.first.then(Script::Whole(Whole { body: text.clone().into(), content_type, ..Whole::default() }));
        let body = sound("listener", MP3, &[("response_format", None, format.as_bytes())]);
        let headers = [("content-type", FORM), ("idempotency-key", format)];
        for _ in 0..2 {
            let reply = send(&app.router(), "POST", TRANSCRIPTIONS, &key, &headers, body.clone()).await;
            assert_eq!((reply.text(), reply.header("content-type")), (&*text, name));
        }
        let cached = post(&app, TRANSCRIPTIONS, &key, body).await;
        assert_eq!(
            (cached.text(), cached.header("content-type"), cached.header("x-weir-cache")),
            (&*text, name, "hit")
        );
    }
    assert_eq!(app.first.call_count(), 3);
}

#[tokio::test]
async fn a_streamed_transcript_ends_with_its_usage_and_is_charged_by_it() {
    let app = app().await;
    let (project, key) = app.project(budget(1.0), Policy::default()).await;
    let usage = Usage { input: 14, audio_input: 14, output: 31, ..Usage::default() };
    let delta = r#"{"type":"transcript.text.delta","delta":"Hello."}"#;
    let done = r#"{"type":"transcript.text.done","text":"Hello.","usage":{"type":"tokens","input_tokens":14,"output_tokens":31}}"#;
    let event = |data: &'static str, usage| Event { data: Bytes::from_static(data.as_bytes()), usage };
    app.first.then(Script::Events(vec![event(delta, None), event(done, Some(usage))]));
    let body = sound("token-listener", MP3, &[("stream", None, b"true")]);
    let reply = post(&app, TRANSCRIPTIONS, &key, body).await;
    assert!(reply.header("content-type").starts_with("text/event-stream"), "{}", reply.text());
    assert_eq!(reply.text(), format!("data: {delta}\n\ndata: {done}\n\n"));
    assert_eq!(app.books(&project).await, (14 * 6 + 31 * 10, 0));
    assert!(app.first.calls()[0].stream);
}

#[tokio::test]
async fn a_budget_pays_for_nothing_whose_price_is_not_known() {
    let app = app().await;
    let (_, limited) = app.project(budget(1.0), Policy::default()).await;
    let (_, free) = app.project(Limits::default(), Policy::default()).await;
    app.first.always(heard(Some(1), None));
    let speaker: [FormPart<'_>; 2] =
        [("known_speaker_names[]", None, b"Ann"), ("known_speaker_references[]", None, b"data:,")];
    for (model, more, code) in
        [("unpriced-listener", &[][..], "model_not_priced"), ("listener", &speaker, "not_accountable")]
    {
        let refused = post(&app, TRANSCRIPTIONS, &limited, sound(model, MP3, more)).await;
        assert_eq!((refused.status, &*refused.code()), (400, code), "{}", refused.text());
        assert_eq!(post(&app, TRANSCRIPTIONS, &free, sound(model, MP3, more)).await.status, 200);
    }
}

#[tokio::test]
async fn sound_of_a_model_that_is_billed_by_time_counts_no_tokens_against_a_rate() {
    let app = app().await;
    let limits = Limits { tokens_per_minute: Some(500), ..Limits::default() };
    let (_, key) = app.project(limits, Policy::default()).await;
    app.first.then(heard(Some(1), None));
    let reply = post(&app, TRANSCRIPTIONS, &key, sound("listener", MP3, &[])).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

#[tokio::test]
async fn only_models_of_the_kind_write_sound_down_and_a_quote_needs_none() {
    let app = app().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let chat = r#"{"model":"listener","messages":[{"role":"user","content":"Hi"}]}"#;
    let wrong = send(&app.router(), "POST", "/v1/chat/completions", &key, &[], chat).await;
    assert!(wrong.text().contains("Try /v1/audio/transcriptions."), "{}", wrong.text());
    let quote = send(&app.router(), "POST", "/v1/quote", &key, &[], r#"{"model":"listener","prompt":"Hi"}"#).await;
    assert_eq!((quote.status, &quote.json()["error"]["param"]), (400, &json!("model")), "{}", quote.text());
}

#[tokio::test]
async fn a_call_that_fails_costs_nothing_unless_the_provider_may_bill_it() {
    let app = app().await;
    let fail: [(fn() -> Failure, u64); 2] =
        [(|| Failure::Unauthorized { message: String::new() }, 0), (|| Failure::Interrupted("cut".into()), 150_000)];
    for (failure, cost) in fail {
        let (project, key) = app.project(budget(1.0), Policy::default()).await;
        app.first.then(Script::Fail(failure));
        let status = post(&app, TRANSCRIPTIONS, &key, sound("listener", MP3, &[])).await.status;
        assert!(status >= 500, "{status}");
        assert_eq!(app.books(&project).await, (cost, 0));
    }
}

#[tokio::test]
async fn seconds_are_reported() {
    let app = app().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    app.first.then(heard(Some(43), None));
    post(&app, TRANSCRIPTIONS, &key, sound("listener", MP3, &[])).await;
    let path = format!("/v1/organization/usage/audio_transcriptions?start_time={}", START_MS / 1_000);
    let report = send(&app.router(), "GET", &path, ADMIN_KEY, &[], "").await.json();
    let sum = &report["data"][0]["results"][0];
    assert_eq!(sum["object"], "organization.usage.audio_transcriptions.result");
    assert_eq!((&sum["seconds"], &sum["num_model_requests"]), (&json!(43), &json!(1)), "{report}");
}
