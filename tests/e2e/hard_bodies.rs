//! Bodies that cost more to read than others: their time grows with their bytes and with nothing else.

use std::time::{Duration, Instant};

use axum::Router;
use bytes::Bytes;
use kit::{FORM, FormPart, HARD_BODIES, TestApp, form, router_of, send};
use shared::model::project::{Limits, Policy};

const SMALL: usize = 8_000;
/// Reading may take this many times longer for this many times the bytes. Where each element looks at all others, it takes
/// 64 times longer.
const LARGER: usize = 8;
const MOST: u32 = 24;

/// The most times that a request is sent. On a machine with other work, most of its time may be that of others.
const ROUNDS: usize = 30;

/// A request: its path, its content type and its body.
type Request = (&'static str, &'static str, Bytes);

/// Makes a form of about so many bytes.
type MakeForm = fn(usize) -> Vec<u8>;

/// The time of one request.
async fn time_of(router: &Router, key: &str, name: &str, (path, content_type, body): &Request) -> Duration {
    let begun = Instant::now();
    let reply = send(router, "POST", path, key, &[("content-type", content_type)], body.clone()).await;
    assert!(reply.status < 500, "{name}: {}", reply.text());
    begun.elapsed()
}

/// Compares the times of a request and of a larger one of its kind.
async fn compare(router: &Router, key: &str, name: &str, make: impl Fn(usize) -> Request) {
    let (request, larger) = (make(SMALL), make(LARGER * SMALL));
    let (mut small, mut large) = (Duration::MAX, Duration::MAX);
    for round in 0..ROUNDS {
        small = small.min(time_of(router, key, name, &request).await);
        large = large.min(time_of(router, key, name, &larger).await);
        if round > 1 && large < small * MOST {
            break;
        }
    }
    assert!(large < small * MOST, "{name}: {small:?}, then {large:?}");
}

async fn check(path: &str) {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let router = router_of(&app.instance());
    for body in HARD_BODIES.iter().filter(|body| body.path == path) {
        compare(&router, &key, body.name, |bytes| (body.path, "application/json", body.of("priced", bytes).into()))
            .await;
    }
}

#[tokio::test]
async fn the_time_of_a_chat_body_grows_with_its_bytes() {
    check("/v1/chat/completions").await;
}

#[tokio::test]
async fn the_time_of_a_body_of_a_response_grows_with_its_bytes() {
    check("/v1/responses").await;
}

#[tokio::test]
async fn the_time_of_counting_grows_with_the_bytes() {
    check("/v1/responses/input_tokens").await;
}

#[tokio::test]
async fn the_time_of_other_bodies_grows_with_their_bytes() {
    check("/v1/embeddings").await;
    check("/v1/moderations").await;
    check("/v1/images/generations").await;
    check("/v1/audio/speech").await;
}

const MODEL: FormPart<'static> = ("model", None, b"transcription");

fn with_sound(sound: &[u8]) -> Vec<u8> {
    form(&[MODEL, ("file", Some("a.wav"), sound)])
}

const FORMS: [(&str, MakeForm); 5] = [
    ("zeros", |bytes| with_sound(&vec![0; bytes])),
    ("almost boundaries", |bytes| with_sound(&b"\r\n--kit-boundar\r\n-"[..].repeat(bytes / 19))),
    ("chunks of WAV", |bytes| with_sound(&[&b"RIFF\0\0\0\0WAVE"[..], &b"LIST\0\0\0\0".repeat(bytes / 8)].concat())),
    ("a list", |bytes| {
        let words = vec![("keywords[]", None, &b"a"[..]); (bytes / 320).min(250)];
        form(&[&[MODEL, ("file", Some("a.wav"), b"a")][..], &words].concat())
    }),
    ("a head without an end", |bytes| [&b"--kit-boundary\r\n"[..], &b"a: b\r\n".repeat(bytes / 6)].concat()),
];

#[tokio::test]
async fn the_time_of_a_form_grows_with_its_bytes() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let router = router_of(&app.instance());
    for (name, make) in FORMS {
        compare(&router, &key, name, |bytes| ("/v1/audio/transcriptions", FORM, make(bytes).into())).await;
    }
}
