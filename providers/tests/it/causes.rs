//! Connections that fail: the log says why.

use std::time::Duration;

use shared::model::provider::{Endpoint, Failure, ProviderRequest};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use crate::play::{call, failure, provider};

/// The failure of a call to a base URL.
async fn failure_at(base_url: &str) -> Failure {
    let toml = format!("[[provider]]\nname = \"it\"\nkind = \"openai\"\nbase_url = \"{base_url}\"\n");
    let request = call(Endpoint::ChatCompletions, r#"{"model":"chat","messages":[]}"#, false);
    let request = ProviderRequest { connect: Duration::from_millis(500), ..request };
    failure(provider(&toml).send(&request).await)
}

#[track_caller]
fn check(failure: &Failure, expected: &[&str]) {
    let summary = failure.summary();
    assert!(expected.iter().all(|words| summary.contains(words)), "{summary}");
}

#[tokio::test]
async fn each_cause_has_its_words() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let plain = format!("http://user:secret@{address}/v1");
    let answers = async {
        for _ in 0..2 {
            let (mut client, _) = listener.accept().await.unwrap();
            client.read_exact(&mut [0; 10]).await.unwrap(); // Dropped with bytes unread, so the client sees a reset.
        }
        let (_silent, _) = listener.accept().await.unwrap();
        std::future::pending::<()>().await;
    };
    let asked = async {
        check(&failure_at(&plain).await, &["reset"]);
        check(&failure_at(&format!("https://{address}/v1")).await, &["unreachable", "client error (Connect)"]);
        let late = failure_at(&format!("https://{address}/v1")).await;
        assert_eq!(late.summary(), "no connection within 500 ms");
    };
    tokio::select! {
        () = asked => {}
        () = answers => unreachable!(),
    }
    drop(listener);
    let refused = failure_at(&plain).await;
    check(&refused, &["unreachable", "Connection refused"]);
    assert!(!refused.summary().contains("secret"), "{}", refused.summary());
    check(&failure_at("http://no-such-host.invalid/v1").await, &["unreachable", "dns error"]);
}
