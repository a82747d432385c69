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

/// The shortest time of some equal requests.
async fn fastest(router: &Router, key: &str, body: &HardBody, bytes: usize, rounds: usize) -> Duration {
    let text = body.of("priced", bytes);
    let mut fastest = Duration::MAX;
    for _ in 0..rounds {
        let begun = Instant::now();
        let reply = send(router, "POST", body.path, key, &[], text.clone()).await;
        assert!(reply.status < 500, "{}: {}", body.name, reply.text());
        fastest = fastest.min(begun.elapsed());
    }
    fastest
}

async fn check(path: &str) {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let router = router_of(&app.instance());
    for body in HARD_BODIES.iter().filter(|body| body.path == path) {
        let small = fastest(&router, &key, body, SMALL, 3).await;
        let large = fastest(&router, &key, body, LARGER * SMALL, 2).await;
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
}
