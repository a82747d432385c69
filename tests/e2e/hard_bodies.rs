//! Bodies that cost more to read than others: their time grows with their bytes and with nothing else.

use std::time::{Duration, Instant};

use axum::Router;
use kit::{HARD_BODIES, HardBody, TestApp, router_of, send};
use shared::model::project::{Limits, Policy};

const SMALL: usize = 8_000;
/// Reading may take this many times longer for this many times the bytes. Where each element looks at all others, it takes
/// 64 times longer.
const LARGER: usize = 8;
const MOST: u32 = 24;

/// The most times that a request is sent. On a machine with other work, most of its time may be that of others.
const ROUNDS: usize = 30;

/// The time of one request.
async fn time_of(router: &Router, key: &str, body: &HardBody, text: &str) -> Duration {
    let begun = Instant::now();
    let reply = send(router, "POST", body.path, key, &[], text.to_owned()).await;
    assert!(reply.status < 500, "{}: {}", body.name, reply.text());
    begun.elapsed()
}

async fn check(path: &str) {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let router = router_of(&app.instance());
    for body in HARD_BODIES.iter().filter(|body| body.path == path) {
        let (text, larger) = (body.of("priced", SMALL), body.of("priced", LARGER * SMALL));
        let (mut small, mut large) = (Duration::MAX, Duration::MAX);
        for round in 0..ROUNDS {
            small = small.min(time_of(&router, &key, body, &text).await);
            large = large.min(time_of(&router, &key, body, &larger).await);
            if round > 1 && large < small * MOST {
                break;
            }
        }
        assert!(large < small * MOST, "{}: {small:?}, then {large:?}", body.name);
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
