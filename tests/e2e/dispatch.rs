//! Providers that are slow and possibly down: retries, fallback, breaker, timeouts.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use kit::{Script, TestApp, send};
use shared::model::project::{Limits, Policy};
use shared::model::provider::{Failure, ProviderRefusal};

use tower::ServiceExt as _;

use crate::{CHAT, PATH, STREAM};

fn down() -> Failure {
    Failure::Unavailable { status: 500, message: "down".into(), retry_after: None }
}

fn throttled() -> Failure {
    Failure::Throttled { message: "slow down".into(), retry_after: Some(Duration::from_secs(300)) }
}

fn refused() -> Failure {
    let refusal = ProviderRefusal {
        message: "too hot".into(),
        kind: Some("invalid_request_error".into()),
        param: Some("temperature".into()),
        code: Some("bad_temperature".into()),
    };
    Failure::Refused { status: 422, refusal }
}

async fn app() -> (TestApp, String) {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    (app, key)
}

#[tokio::test(start_paused = true)]
async fn a_failure_before_the_first_byte_is_tried_again() {
    let (app, key) = app().await;
    app.first.then(Script::Fail(down));
    app.first.then(Script::Fail(|| Failure::Unreachable("refused".into())));
    let reply = send(&app.router(), "POST", PATH, &key, &[], CHAT).await;
    assert_eq!((reply.status, reply.header("x-weir-attempts")), (200, "3"));
}

#[tokio::test(start_paused = true)]
async fn the_next_target_answers_at_once() {
    let (app, key) = app().await;
    let body = CHAT.replace("priced", "two-targets");
    for script in [Script::Fail(down), Script::Fail(throttled), Script::broken("", 0)] {
        app.first.then(script);
    }
    for request in [body.clone(), body.clone(), STREAM.replace("priced", "two-targets")] {
        let reply = send(&app.router(), "POST", PATH, &key, &[], request).await;
        assert_eq!(
            (reply.status, reply.header("x-weir-provider"), reply.header("x-weir-attempts")),
            (200, "second", "2")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_passed_on_and_tried_nowhere_else() {
    let (app, key) = app().await;
    app.first.then(Script::Fail(refused));
    let reply = send(&app.router(), "POST", PATH, &key, &[], CHAT.replace("priced", "two-targets")).await;
    assert_eq!(reply.status, 422);
    let expected = r#"{"error":{"message":"too hot","type":"invalid_request_error","param":"temperature","code":"bad_temperature"}}"#;
    assert_eq!(reply.text(), expected);
    assert_eq!((app.first.call_count(), app.second.call_count()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_target_whose_account_or_model_is_missing_is_passed_over() {
    let failures: [fn() -> Failure; 3] = [
        || Failure::Refused { status: 402, refusal: ProviderRefusal::default() },
        || Failure::Refused { status: 403, refusal: ProviderRefusal::default() },
        || Failure::Refused { status: 404, refusal: ProviderRefusal::default() },
    ];
    for failure in failures {
        let (app, key) = app().await;
        app.first.always(Script::Fail(failure));
        let reply = send(&app.router(), "POST", PATH, &key, &[], CHAT.replace("priced", "two-targets")).await;
        assert_eq!((reply.status, reply.header("x-weir-provider")), (200, "second"), "{:?}", failure());
        let reply = send(&app.router(), "POST", PATH, &key, &[], CHAT).await;
        assert_eq!((Some(reply.status), app.first.call_count()), (failure().kind().parse().ok(), 2), "{:?}", failure());
    }
}

#[tokio::test(start_paused = true)]
async fn each_failure_has_its_status_and_says_when_to_come_back() {
    let (app, key) = app().await;
    let router = app.router();
    type Case = (fn() -> Failure, u16, &'static str, &'static str);
    let cases: [Case; 4] = [
        (throttled, 429, "provider_rate_limited", "120"),
        (|| Failure::Unauthorized { message: "bad key".into() }, 502, "provider_unauthorized", ""),
        (|| Failure::Malformed("html".into()), 502, "provider_error", "1"),
        (
            || Failure::Unavailable { status: 503, message: "busy".into(), retry_after: Some(Duration::from_secs(7)) },
            503,
            "provider_unavailable",
            "7",
        ),
    ];
    for (failure, status, code, retry_after) in cases {
        app.first.always(Script::Fail(failure));
        let reply = send(&router, "POST", PATH, &key, &[], CHAT).await;
        assert_eq!((reply.status, reply.code().as_str(), reply.header("retry-after")), (status, code, retry_after));
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_hangs_is_given_up() {
    let (app, key) = app().await;
    app.first.always(Script::Hang);
    let begun = tokio::time::Instant::now();
    let reply = send(&app.router(), "POST", PATH, &key, &[], CHAT).await;
    assert_eq!((reply.status, reply.code().as_str()), (504, "provider_timeout"));
    assert!(begun.elapsed() <= Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_before_the_function_that_serves_it_is_stopped() {
    let (app, key) = app().await;
    app.first.always(Script::Hang);
    let mut context = lambda_http::Context::default();
    context.deadline = app.clock.now().plus_ms(4_000).0;
    let request = Request::post(PATH).header("authorization", format!("Bearer {key}")).extension(context);
    let begun = tokio::time::Instant::now();
    let answer = app.router().oneshot(request.body(Body::from(CHAT)).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 504);
    // Three of the four seconds are kept back for closing the books.
    assert!(begun.elapsed() <= Duration::from_millis(1_100), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn unknown_fields_reach_the_provider_and_come_back() {
    let (app, key) = app().await;
    let answer =
        r#"{"id":"x","usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2},"never_heard_of":1.10}"#;
    app.first.then(Script::Body(answer.into()));
    let sent = r#"{"model":"vendor/priced","messages":[{"role":"user","content":"Hi"}],"logprobs":true,"seed":12345678901234567890,"never_heard_of":{"a":1.10}}"#;
    let reply = send(&app.router(), "POST", PATH, &key, &[], sent).await;
    assert_eq!(reply.text(), answer);
    assert_eq!(app.first.calls()[0].body.to_bytes(), sent);
}

#[tokio::test]
async fn the_project_s_default_limit_is_held_and_sent() {
    let app = TestApp::new().await;
    let policy = Policy { default_max_output_tokens: Some(7), ..Policy::default() };
    let (_, key) = app.project(Limits::default(), policy).await;
    let router = app.router();
    send(&router, "POST", PATH, &key, &[], CHAT.replace(",\"max_tokens\":100", "")).await;
    send(&router, "POST", PATH, &key, &[], CHAT).await;
    let limits: Vec<Option<u64>> =
        app.first.calls().iter().map(|call| call.body.get("max_completion_tokens")).collect();
    assert_eq!(limits, [Some(7), None]);
}

#[tokio::test]
async fn a_provider_is_told_the_most_that_the_model_can_write() {
    let (app, key) = app().await;
    send(&app.router(), "POST", PATH, &key, &[], CHAT).await;
    assert_eq!(app.first.calls()[0].max_output_tokens, Some(4_096));
}
