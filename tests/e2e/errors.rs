//! Every error is an answer: each route, each way to be wrong, the whole envelope.

use kit::{ADMIN_KEY, Reply, TestApp, new_key, send};
use shared::model::project::{Limits, Policy};

use crate::{CHAT, PATH};

const POSTS: [&str; 4] = [PATH, "/v1/completions", "/v1/embeddings", "/v1/moderations"];
const GETS: [&str; 2] = ["/v1/models", "/v1/models/priced"];

/// The envelope has its four keys and no others.
#[track_caller]
fn check(reply: &Reply, status: u16, code: &str) {
    assert_eq!(reply.status, status, "{}", reply.text());
    let json = reply.json();
    let mut keys: Vec<_> = json["error"].as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["code", "message", "param", "type"]);
    assert_eq!(json["error"]["code"].as_str().unwrap_or("null"), code, "{json}");
    assert!(reply.header("x-request-id").starts_with("req_"));
}

#[tokio::test]
async fn without_a_valid_key_nothing_is_read() {
    let app = TestApp::new().await;
    let router = app.router();
    let stranger = new_key("proj_nobody");
    let keys = ["", "wrong", ADMIN_KEY, stranger.secret().expose()];
    for key in keys {
        for path in POSTS {
            check(&send(&router, "POST", path, key, &[], "not json").await, 401, "invalid_api_key");
        }
        for path in GETS {
            check(&send(&router, "GET", path, key, &[], "").await, 401, "invalid_api_key");
        }
    }
    assert_eq!(app.first.call_count(), 0);
}

#[tokio::test]
async fn a_key_that_names_another_project_than_its_own_is_no_key() {
    let app = TestApp::new().await;
    let (project, _) = app.project(Limits::default(), Policy::default()).await;
    let mut forged = new_key("proj_other");
    // The stored key says `proj_other`, whose profile does not exist.
    app.provision_key(&forged).await;
    check(&send(&app.router(), "GET", "/v1/models", forged.secret().expose(), &[], "").await, 401, "invalid_api_key");
    forged = new_key(&project.id);
    check(&send(&app.router(), "GET", "/v1/models", forged.secret().expose(), &[], "").await, 401, "invalid_api_key");
}

#[tokio::test]
async fn malformed_bodies_are_400_with_the_field() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    for path in POSTS {
        for body in ["", "{", "[]", "\"x\"", "{\"model\":}"] {
            check(&send(&router, "POST", path, &key, &[], body).await, 400, "null");
        }
        let missing = send(&router, "POST", path, &key, &[], "{}").await;
        check(&missing, 400, "missing_required_parameter");
        let wrong = send(&router, "POST", path, &key, &[], r#"{"model":5,"messages":5,"input":5,"prompt":5}"#).await;
        check(&wrong, 400, "invalid_type");
        assert_eq!(wrong.json()["error"]["param"], "model");
    }
    for key_header in ["", &"k".repeat(256)] {
        let reply = send(&router, "POST", PATH, &key, &[("idempotency-key", key_header)], CHAT).await;
        check(&reply, 400, "invalid_value");
        assert_eq!(reply.json()["error"]["param"], "Idempotency-Key");
    }
    assert_eq!(app.first.call_count(), 0);
}

#[tokio::test]
async fn chat_completions_are_not_stored() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    let body =
        |store: &str| format!(r#"{{"model":"priced","messages":[{{"role":"user","content":"a"}}],"store":{store}}}"#);
    let refused = send(&router, "POST", PATH, &key, &[], body("true")).await;
    check(&refused, 400, "unsupported_parameter");
    assert_eq!(refused.json()["error"]["param"], "store");
    for store in ["false", "null"] {
        assert_eq!(send(&router, "POST", PATH, &key, &[], body(store)).await.status, 200, "{store}");
    }
}

#[tokio::test]
async fn models_that_are_unknown_or_of_another_kind() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    let unknown = send(&router, "POST", PATH, &key, &[], CHAT.replace("priced", "nope")).await;
    check(&unknown, 404, "model_not_found");
    assert_eq!(unknown.json()["error"]["param"], "model");
    check(&send(&router, "GET", "/v1/models/nope", &key, &[], "").await, 404, "model_not_found");
    check(
        &send(&router, "POST", PATH, &key, &[], CHAT.replace("priced", "embedding")).await,
        400,
        "model_not_supported",
    );
    let slash = send(&router, "GET", "/v1/models/vendor%2Fpriced", &key, &[], "").await;
    assert_eq!((slash.status, slash.json()["id"].as_str()), (200, Some("vendor/priced")));
}

#[tokio::test]
async fn routes_methods_and_sizes() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    check(&send(&router, "GET", "/v1/nope", &key, &[], "").await, 404, "unknown_url");
    for path in POSTS {
        let reply = send(&router, "GET", path, &key, &[], "").await;
        check(&reply, 405, "method_not_allowed");
        assert_eq!(reply.header("allow"), "POST");
    }
    for path in POSTS {
        check(&send(&router, "POST", path, &key, &[], vec![b' '; 6 * 1024 * 1024 + 1]).await, 413, "request_too_large");
    }
    check(&send(&router, "GET", "/v1/models/%FF", &key, &[], "").await, 400, "null");
    assert_eq!(send(&router, "GET", "/healthz", "", &[], "").await.status, 200);
}

#[tokio::test]
async fn each_request_has_an_id_of_its_own_whatever_its_caller_sends() {
    let app = TestApp::new().await;
    let router = app.router();
    for sent in ["mine-1", "mine-1", "a b"] {
        let reply = send(&router, "GET", "/healthz", "", &[("x-request-id", sent)], "").await;
        assert!(reply.header("x-request-id").starts_with("req_"));
    }
}

#[tokio::test]
async fn a_throttling_store_is_called_again_and_a_store_that_is_down_is_a_503_without_its_words() {
    let app = TestApp::new().await;
    let (project, key) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    assert_eq!(send(&router, "POST", PATH, &key, &[], CHAT).await.status, 200);
    let mut throttle = 2;
    app.faults.set(move |operation| {
        if operation == "UpdateItem" && throttle > 0 {
            throttle -= 1;
            return kit::Fault::Throttle;
        }
        kit::Fault::None
    });
    assert_eq!(send(&router, "POST", PATH, &key, &[], CHAT).await.status, 200);
    app.faults.set(|_| kit::Fault::Lose);
    let reply = send(&router, "POST", PATH, &key, &[], CHAT).await;
    check(&reply, 503, "store_unavailable");
    assert!(!reply.header("retry-after").is_empty());
    assert!(!reply.text().contains("connection"), "{}", reply.text());
    app.faults.clear();
    assert_eq!(app.books(&project).await.1, 0);
}
