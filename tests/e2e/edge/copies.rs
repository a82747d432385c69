//! Copies of answers: what a client may keep, and how it asks whether its copy still holds.

use std::sync::Arc;

use kit::{Reply, TestApp, send};
use serde_json::json;
use shared::data::Queue;
use shared::edge::config::HttpConfig;
use shared::model::catalog::Catalog;
use shared::model::project::{Limits, Policy};

use super::connection::{Connection, serve};
use crate::responses::{self, ask, ask_with, make};
use crate::{CHAT, PATH, STREAM};

/// `cache-control` and `etag`.
fn kept(reply: &Reply) -> (&str, bool) {
    (reply.header("cache-control"), reply.headers.contains_key("etag"))
}

#[track_caller]
fn check_unchanged(reply: &Reply, like: &Reply) {
    assert_eq!((reply.status, reply.text()), (304, ""));
    for name in ["etag", "cache-control", "vary"] {
        assert_eq!(reply.header(name), like.header(name), "{name}");
    }
    assert!(!reply.header("etag").is_empty() && !reply.headers.contains_key("content-length"));
}

#[tokio::test]
async fn models_are_kept_for_a_minute_and_then_checked_by_their_tag() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let (one, other) = (app.router(), app.router());
    for path in ["/v1/models", "/v1/models/priced", "/v1/models/vendor%2Fpriced"] {
        let first = send(&one, "GET", path, &key, &[], "").await;
        assert_eq!((first.status, kept(&first)), (200, ("private, max-age=60", true)), "{path}");
        assert_eq!(first.header("vary"), "authorization, x-api-key");
        let tag = first.header("etag");
        assert!(tag.starts_with('"') && tag.ends_with('"'), "a strong tag: {tag}");
        for held in [tag.to_owned(), format!("W/{tag}"), format!("\"x\", {tag}")] {
            for method in ["GET", "HEAD"] {
                check_unchanged(&send(&other, method, path, &key, &[("if-none-match", &held)], "").await, &first);
            }
        }
        let changed = send(&other, "GET", path, &key, &[("if-none-match", "\"x\"")], "").await;
        assert_eq!((changed.status, &changed.body, changed.header("etag")), (200, &first.body, tag));
    }
}

#[tokio::test]
async fn a_model_more_is_another_tag() {
    let models = |names: &[&str]| {
        let model = |name: &&str| {
            format!(
                "[[model]]\nname = \"{name}\"\nkind = \"chat\"\ntargets = [{{ provider = \"first\", model = \"m\" }}]\n"
            )
        };
        let provider = "[[provider]]\nname = \"first\"\nkind = \"simulator\"\n".to_owned();
        Arc::new(Catalog::parse(&(provider + &names.iter().map(model).collect::<String>())).unwrap())
    };
    let mut tags = Vec::new();
    for names in [&["a"][..], &["a", "b"]] {
        let app = TestApp::builder().models(models(names)).build().await;
        let (_, key) = app.project(Limits::default(), Policy::default()).await;
        let held: Vec<(&str, &str)> = tags.iter().map(|tag: &String| ("if-none-match", tag.as_str())).collect();
        let reply = send(&app.router(), "GET", "/v1/models", &key, &held, "").await;
        assert_eq!(reply.status, 200);
        tags.push(reply.header("etag").to_owned());
    }
    assert_ne!(tags[0], tags[1]);
}

#[tokio::test]
async fn a_response_has_a_tag_when_it_has_ended() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let instance = app.instance();
    let router = kit::router_of(&instance);
    let get = async |id: &str, held: &str| {
        send(&router, "GET", &format!("{}/{id}", responses::PATH), &key, &[("if-none-match", held)], "").await
    };
    let made = make(&router, &key, ask()).await;
    let queued = make(&router, &key, ask_with(json!({"background": true}))).await;
    let running = get(&queued, "*").await;
    assert_eq!((running.status, kept(&running)), (200, ("no-store", false)), "{}", running.text());
    app.work_once(Queue::Respond, |event| respond::job(event, instance.response_worker(), None)).await;
    for id in [&made, &queued] {
        let ended = get(id, "\"x\"").await;
        assert_eq!((ended.status, kept(&ended)), (200, ("private, no-cache", true)), "{}", ended.text());
        assert_eq!(ended.json()["status"], "completed");
        check_unchanged(&get(id, ended.header("etag")).await, &ended);
    }
    let stream = send(&router, "GET", &format!("{}/{queued}?stream=true", responses::PATH), &key, &[], "").await;
    assert_eq!((stream.status, kept(&stream)), (200, ("no-cache", false)));
    let tag = get(&made, "").await.header("etag").to_owned();
    let deleted = send(&router, "DELETE", &format!("{}/{made}", responses::PATH), &key, &[], "").await;
    assert_eq!((deleted.status, kept(&deleted)), (200, ("no-store", false)));
    let gone = get(&made, &tag).await;
    assert_eq!((gone.status, kept(&gone)), (404, ("no-store", false)));
}

#[tokio::test]
async fn a_tag_is_compared_only_after_the_key_was_checked() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let (_, other) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    let response = format!("{}/{}", responses::PATH, make(&router, &key, ask()).await);
    for (path, foreign) in [("/v1/models", 304), ("/v1/models/priced", 304), (&response, 404)] {
        let tag = send(&router, "GET", path, &key, &[], "").await.header("etag").to_owned();
        for held in [tag.as_str(), "*"] {
            let held = [("if-none-match", held)];
            assert_eq!(send(&router, "GET", path, &key, &held, "").await.status, 304, "{path}");
            assert_eq!(send(&router, "GET", path, &other, &held, "").await.status, foreign, "{path}");
            for token in ["", "nonsense", kit::ADMIN_KEY] {
                assert_eq!(send(&router, "GET", path, token, &held, "").await.status, 401, "{path}");
            }
        }
    }
}

#[tokio::test]
async fn calls_are_not_kept_and_streams_are_sent_as_openai_sends_them() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    for (body, expected, idempotency_key) in [(CHAT, "no-store", "one"), (STREAM, "no-cache", "two")] {
        let key_header = [("idempotency-key", idempotency_key)];
        for (headers, replayed) in [(&[][..], ""), (&key_header, ""), (&key_header, "true")] {
            let reply = send(&router, "POST", PATH, &key, headers, body).await;
            assert_eq!((reply.status, kept(&reply)), (200, (expected, false)), "{body}");
            assert_eq!(reply.header("idempotent-replayed"), replayed, "{body}");
        }
    }
    let stream = send(&router, "POST", responses::PATH, &key, &[], ask_with(json!({"stream": true})).to_string()).await;
    assert_eq!((stream.status, kept(&stream)), (200, ("no-cache", false)));
}

#[tokio::test]
async fn a_304_over_http_has_no_body_and_states_no_length() {
    let (server, _stop) = serve(HttpConfig::default()).await;
    let mut connection = Connection::open(&server).await;
    connection.send_head("GET", "/v1/models", &server.key, &[]).await;
    let first = connection.reply().await;
    connection
        .send_head("GET", "/v1/models", &server.key, &[&format!("if-none-match: {}", first.header("etag"))])
        .await;
    let unchanged = connection.reply().await;
    check_unchanged(&unchanged, &first);
    assert!(!unchanged.headers.contains_key("transfer-encoding"));
    // Nothing is left on the connection.
    connection.send_head("GET", "/healthz", "", &[]).await;
    assert_eq!(connection.reply().await.text(), "ok\n");
}
