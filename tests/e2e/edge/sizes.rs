//! Bodies above the limit, by every way in which they arrive.

use kit::{ADMIN_KEY, TestApp, send};
use serde_json::{Value, json};
use shared::edge::config::HttpConfig;
use shared::model::project::{Limits, Policy};

use super::connection::Connection;
use super::{check_error, functions};
use crate::{CHAT, PATH};

/// The most that is accepted, in bytes.
const MOST: usize = 6 * 1024 * 1024;

/// A chat request of this length; JSON takes spaces at its end.
fn chat_of(length: usize) -> Vec<u8> {
    let mut body = CHAT.as_bytes().to_vec();
    body.resize(length, b' ');
    body
}

#[tokio::test]
async fn every_function_refuses_a_body_above_6_mb_whatever_the_route_and_the_key() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let large = bytes::Bytes::from(chat_of(MOST + 1));
    for (name, router) in functions(&app, &HttpConfig::default()) {
        for (method, path) in [("POST", PATH), ("POST", "/v1/nope"), ("GET", "/v1/models"), ("PUT", "/v1/models")] {
            for token in ["", &key, ADMIN_KEY] {
                let reply = send(&router, method, path, token, &[], large.clone()).await;
                check_error(method, &reply, 413, "request_too_large", &format!("{path} of `{name}`"));
            }
        }
    }
    assert_eq!(app.first.call_count(), 0);
    let reply = send(&app.router(), "POST", PATH, &key, &[], chat_of(MOST)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

/// Lambda itself refuses larger events; functions that are called another way get them.
#[tokio::test]
async fn an_event_of_lambda_with_a_body_above_6_mb_is_refused_as_text_and_as_base64() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let text = String::from_utf8(chat_of(MOST + 1)).unwrap();
    // "    " in base64: four characters for each three bytes.
    let base64 = "ICAg".repeat(MOST / 3 + 1);
    for (body, is_base64) in [(text, false), (base64, true)] {
        let event = json!({
            "resource": PATH, "path": PATH, "httpMethod": "POST", "headers": {"authorization": format!("Bearer {key}")},
            "multiValueHeaders": {"authorization": [format!("Bearer {key}")]},
            "requestContext": {"stage": "prod", "httpMethod": "POST", "path": PATH, "resourcePath": PATH, "identity": {}},
            "body": body, "isBase64Encoded": is_base64,
        });
        let answer =
            local::invoke_on(&app.instance(), "chat", &event.to_string(), &HttpConfig::default()).await.unwrap();
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        assert_eq!((&answer["statusCode"], &body["error"]["code"]), (&json!(413), &json!("request_too_large")));
    }
}

/// A server that answers before it has read the body breaks the connection of a client that still sends.
#[tokio::test]
async fn a_client_of_the_local_server_reads_its_refusal_after_it_has_sent_its_whole_body() {
    let (server, _stop) = super::connection::serve(HttpConfig::default()).await;
    let body = chat_of(3 * MOST);
    for path in [PATH, "/v1/nope"] {
        let mut sized = Connection::open(&server).await;
        let length = format!("content-length: {}", body.len());
        sized.send_head("POST", path, &server.key, &[&length]).await;
        sized.send(&body).await;
        let reply = sized.reply().await;
        check_error("POST", &reply, 413, "request_too_large", path);

        let mut chunked = Connection::open(&server).await;
        chunked.send_head("POST", path, &server.key, &["transfer-encoding: chunked"]).await;
        for chunk in body.chunks(100_000) {
            chunked.send(format!("{:x}\r\n", chunk.len()).as_bytes()).await;
            chunked.send(chunk).await;
            chunked.send(b"\r\n").await;
        }
        chunked.send(b"0\r\n\r\n").await;
        let reply = chunked.reply().await;
        // A body of unknown length is read for a route only.
        let (status, code) = if path == PATH { (413, "request_too_large") } else { (404, "unknown_url") };
        check_error("POST", &reply, status, code, path);
        // The connection still works.
        chunked.send_head("GET", "/healthz", "", &[]).await;
        assert_eq!(chunked.reply().await.text(), "ok\n");
    }
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_reads_the_413_and_sends_nothing() {
    let (server, _stop) = super::connection::serve(HttpConfig::default()).await;
    let mut waiting = Connection::open(&server).await;
    let length = format!("content-length: {}", MOST + 1);
    waiting.send_head("POST", PATH, &server.key, &[&length, "expect: 100-continue"]).await;
    let reply = waiting.reply().await;
    check_error("POST", &reply, 413, "request_too_large", PATH);
}
