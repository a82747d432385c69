//! Pages in browsers: preflights, and the headers with which scripts may read an answer.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::get;
use kit::{ADMIN_KEY, Reply, Script, TestApp, router_with, routes_of, send};
use shared::edge::config::{HttpConfig, TelemetryConfig};
use shared::edge::telemetry::observe;
use shared::edge::{Telemetry, stack};
use shared::model::project::{Limits, Policy};
use shared::model::provider::Failure;

use super::connection::{Connection, serve};
use super::{METHODS, check_error, functions};
use crate::{CHAT, PATH, STREAM};

const PAGE: &str = "https://app.example.com";
const OTHER_PAGE: &str = "http://localhost:5173";
const STRANGER: &str = "https://app.example.com.evil.example";

/// Request headers that OpenAI's and Anthropic's SDKs send from browsers, and weir's own.
const SENT: &str = "anthropic-beta,anthropic-dangerous-direct-browser-access,anthropic-version,authorization,\
                    cache-control,content-type,idempotency-key,if-none-match,openai-organization,openai-project,\
                    traceparent,x-api-key,x-request-id,x-stainless-arch,x-stainless-lang,x-stainless-retry-count,\
                    x-stainless-runtime,x-stainless-timeout";

fn allowing(origins: &str) -> HttpConfig {
    HttpConfig { allowed_origins: origins.parse().unwrap(), ..HttpConfig::default() }
}

fn pages() -> HttpConfig {
    allowing(&format!("{PAGE}, {OTHER_PAGE}"))
}

async fn preflight(router: &Router, path: &str, origin: &str, method: &str) -> Reply {
    let asked =
        [("origin", origin), ("access-control-request-method", method), ("access-control-request-headers", SENT)];
    send(router, "OPTIONS", path, "", &asked, "").await
}

/// The headers that say what a page may do.
fn permissions(reply: &Reply) -> Vec<(&str, &str)> {
    let names = ["origin", "methods", "headers"].map(|name| format!("access-control-allow-{name}"));
    let given = reply.headers.iter().filter(|(name, _)| names.contains(&name.to_string()));
    let mut given: Vec<_> = given.map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    given.sort_unstable();
    given
}

#[tokio::test]
async fn every_path_of_every_function_answers_the_preflight_of_a_page_that_may_without_a_key_and_without_the_store() {
    let app = TestApp::new().await;
    let written = Arc::new(Mutex::new(Vec::new()));
    let metrics = TelemetryConfig { metrics_namespace: Some("weir-test".to_owned()), ..TelemetryConfig::default() };
    let telemetry = Telemetry::start_with("", &metrics, &app.clock, written.clone());
    for (name, router) in functions(&app, &pages()) {
        let plain = local::router(name, &app.instance()).unwrap();
        let mut paths: BTreeSet<String> = routes_of(&plain).await.into_iter().map(|(_, path)| path).collect();
        paths.extend(["/", "/healthz", "/v1/nope"].map(str::to_owned));
        let router = observe(router, telemetry.clone());
        let _ = app.log.take();
        for path in paths.iter().map(|path| path.replace(['{', '}', '*'], "")) {
            for (origin, method) in [(PAGE, "POST"), (OTHER_PAGE, "GET"), (PAGE, "DELETE"), (PAGE, "PUT")] {
                let reply = preflight(&router, &path, origin, method).await;
                assert_eq!((reply.status, reply.text()), (204, ""), "{path} of `{name}`");
                let expected = [
                    ("access-control-allow-headers", SENT),
                    ("access-control-allow-methods", method),
                    ("access-control-allow-origin", origin),
                ];
                assert_eq!(permissions(&reply), expected, "{path} of `{name}`");
                let kept = (reply.header("access-control-max-age"), reply.header("vary"));
                assert_eq!(kept, ("7200", "authorization, x-api-key, origin"), "{path} of `{name}`");
            }
            let reply = preflight(&router, &path, STRANGER, "POST").await;
            assert_eq!((reply.status, reply.header("access-control-allow-origin")), (204, ""), "{path} of `{name}`");
        }
        assert_eq!(app.log.take(), [""; 0], "`{name}` asked the store");
    }
    // A log line and the metrics of a request are written together.
    assert!(written.lock().unwrap().is_empty(), "a preflight counts as a request");
}

/// Every kind of answer: by each layer, from handlers, streams and panics.
async fn answers(app: &TestApp, router: &Router, key: &str, origin: &str) -> Vec<(&'static str, u16, Reply)> {
    let page = [("origin", origin)];
    let again = [("origin", origin), ("idempotency-key", "one")];
    let read = async |path, key| send(router, "GET", path, key, &page, "").await;
    let post = async |body: &str| send(router, "POST", PATH, key, &page, body.to_owned()).await;
    let mut replies = vec![
        ("a list", 200, read("/v1/models", key).await),
        ("no key", 401, read("/v1/models", "").await),
        ("no route", 404, read("/v1/nope", key).await),
        ("the root", 404, read("/", key).await),
        ("no model", 404, read("/v1/models/nope", key).await),
        ("a wrong method", 405, send(router, "DELETE", PATH, key, &page, "").await),
        ("OPTIONS that is no preflight", 405, send(router, "OPTIONS", PATH, key, &page, "").await),
        ("a wrong body", 400, post("{").await),
        ("a large body", 413, send(router, "POST", PATH, key, &page, vec![b' '; 6 * 1024 * 1024 + 1]).await),
        ("health", 200, read("/healthz", "").await),
        ("a key", 200, send(router, "POST", PATH, key, &again, CHAT).await),
        ("a replay", 200, send(router, "POST", PATH, key, &again, CHAT).await),
        ("another request with the key", 422, send(router, "POST", PATH, key, &again, STREAM).await),
        ("a stream", 200, post(STREAM).await),
        ("the admin API", 200, read("/v1/organization/projects", ADMIN_KEY).await),
    ];
    let tag = replies[0].2.header("etag").to_owned();
    let held = [("origin", origin), ("if-none-match", &tag)];
    replies.push(("an unchanged list", 304, send(router, "GET", "/v1/models", key, &held, "").await));
    app.first.then(Script::Panic);
    replies.push(("a panic", 500, post(CHAT).await));
    app.first.always(Script::Fail(|| Failure::Throttled { message: "Busy.".to_owned(), retry_after: None }));
    replies.push(("a busy provider", 429, post(CHAT).await));
    replies
}

/// The headers that browsers show to every script, and those that are for the browser itself.
const SHOWN: [&str; 6] = ["cache-control", "content-length", "content-type", "vary", "expires", "last-modified"];

#[tokio::test]
async fn every_answer_can_be_read_by_a_page_that_may_with_all_its_headers() {
    let app = TestApp::new().await;
    let limits = Limits { requests_per_minute: Some(1_000), tokens_per_minute: Some(1_000_000), ..Limits::default() };
    let (_, key) = app.project(limits, Policy::default()).await;
    let router = router_with(&app.instance(), &pages());
    let mut hidden = BTreeSet::new();
    let mut exposed = BTreeSet::new();
    for (what, status, reply) in answers(&app, &router, &key, PAGE).await {
        assert_eq!(reply.status, status, "{what}: {}", reply.text());
        assert_eq!(reply.header("access-control-allow-origin"), PAGE, "{what}");
        assert_eq!(reply.header("vary"), "authorization, x-api-key, origin", "{what}");
        let names = reply.header("access-control-expose-headers").split(',').map(str::to_owned);
        let shown: BTreeSet<String> = names.chain(SHOWN.map(str::to_owned)).collect();
        let sent = reply.headers.keys().map(|name| name.as_str().to_owned());
        let sent: BTreeSet<String> = sent.filter(|name| !name.starts_with("access-control-")).collect();
        hidden.extend(sent.difference(&shown).cloned());
        exposed.extend(sent.difference(&SHOWN.map(str::to_owned).into()).cloned());
    }
    assert!(hidden.is_empty(), "scripts cannot read {hidden:?}");
    for name in ["x-request-id", "retry-after", "retry-after-ms", "x-should-retry", "idempotent-replayed", "etag"] {
        assert!(exposed.contains(name), "no answer has {name}: {exposed:?}");
    }
    assert!(exposed.contains("x-ratelimit-remaining-tokens") && exposed.contains("server-timing"), "{exposed:?}");
}

/// A call that panics is an error of its handler; this is a handler that panics itself.
#[tokio::test]
async fn a_page_can_read_the_answer_of_a_handler_that_panics() {
    let router = Router::new().route("/v1/panic", get(async || -> &'static str { panic!("as asked") }));
    let reply = send(&stack(router, &pages()), "GET", "/v1/panic", "", &[("origin", PAGE)], "").await;
    assert_eq!((reply.status, &*reply.code()), (500, "internal_error"), "{}", reply.text());
    assert_eq!((reply.header("access-control-allow-origin"), reply.header("cache-control")), (PAGE, "no-store"));
    assert!(reply.header("x-request-id").starts_with("req_"));
}

#[tokio::test]
async fn no_answer_can_be_read_by_another_page() {
    for (http, origin) in [(pages(), STRANGER), (pages(), "null"), (HttpConfig::default(), PAGE)] {
        let app = TestApp::new().await;
        let (_, key) = app.project(Limits::default(), Policy::default()).await;
        let router = router_with(&app.instance(), &http);
        for (what, status, reply) in answers(&app, &router, &key, origin).await {
            assert_eq!((reply.status, reply.header("access-control-allow-origin")), (status, ""), "{what}");
        }
    }
}

#[tokio::test]
async fn a_star_allows_every_page() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let router = router_with(&app.instance(), &allowing("*"));
    for (what, status, reply) in answers(&app, &router, &key, STRANGER).await {
        let found = (reply.status, reply.header("access-control-allow-origin"), reply.header("vary"));
        assert_eq!(found, (status, "*", "authorization, x-api-key, origin"), "{what}");
    }
    let reply = send(&router, "GET", "/v1/models", &key, &[], "").await;
    let permission = reply.headers.keys().find(|name| name.as_str().starts_with("access-control-"));
    assert_eq!(
        (reply.status, permission, reply.header("vary")),
        (200, None, "authorization, x-api-key, origin"),
        "from no page"
    );
    let reply = preflight(&router, PATH, STRANGER, "POST").await;
    assert_eq!((reply.status, reply.header("access-control-allow-headers")), (204, SENT));
    assert_eq!(reply.header("access-control-allow-credentials"), "", "no cookie is a key");
}

#[tokio::test]
async fn without_origins_no_function_answers_preflights() {
    let app = TestApp::new().await;
    for (name, router) in functions(&app, &HttpConfig::default()) {
        let served = routes_of(&local::router(name, &app.instance()).unwrap()).await;
        let (method, path) = served.iter().find(|(_, path)| !path.contains('{')).unwrap();
        let reply = preflight(&router, path, PAGE, method).await;
        check_error("OPTIONS", &reply, 405, "method_not_allowed", name);
        assert!(reply.header("allow").split(',').any(|allowed| allowed == method), "{name} allows {method} {path}");
        assert!(permissions(&reply).is_empty(), "{name}");
    }
}

/// Wrong methods stay wrong where pages are allowed.
#[tokio::test]
async fn only_a_preflight_is_answered_with_204() {
    let app = TestApp::new().await;
    let router = router_with(&app.instance(), &allowing("*"));
    for method in METHODS {
        for headers in [&[][..], &[("origin", PAGE)], &[("access-control-request-method", "POST")]] {
            let reply = send(&router, method, "/v1/nope", "", headers, "").await;
            check_error(method, &reply, 404, "unknown_url", "/v1/nope");
            let reply = send(&router, method, PATH, "", headers, "").await;
            let status = if method == "POST" { 401 } else { 405 };
            let origin = if headers == [("origin", PAGE)] { "*" } else { "" };
            assert_eq!((reply.status, reply.header("access-control-allow-origin")), (status, origin), "{method}");
            assert!(status == 401 || reply.header("allow") == "POST", "{method}");
        }
    }
}

#[tokio::test]
async fn a_page_can_call_the_local_server_over_http() {
    let (server, _stop) = serve(allowing("*")).await;
    let origin = format!("origin: {PAGE}");
    let mut connection = Connection::open(&server).await;
    let asks = ["access-control-request-method: POST", "access-control-request-headers: authorization,content-type"];
    connection.send_head("OPTIONS", PATH, "", &[&origin, asks[0], asks[1]]).await;
    let reply = connection.reply().await;
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (204, "*"));
    assert_eq!(reply.header("access-control-allow-headers"), "authorization,content-type");
    assert!(!reply.headers.contains_key("content-length") && !reply.headers.contains_key("transfer-encoding"));

    let body = STREAM.replace("priced", "simulator");
    let headers = [&origin, "content-type: application/json", &format!("content-length: {}", body.len())];
    connection.send_head("POST", PATH, &server.key, &headers).await;
    connection.send(body.as_bytes()).await;
    let reply = connection.reply().await;
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, "*"), "{}", reply.text());
    assert!(reply.text().ends_with("data: [DONE]\n\n") && reply.headers.contains_key("transfer-encoding"));

    connection.send_head("PUT", "/", "", &[&origin, "content-length: 0"]).await;
    let reply = connection.reply().await;
    check_error("PUT", &reply, 404, "unknown_url", "/");
    assert_eq!(reply.header("access-control-allow-origin"), "*");
}
