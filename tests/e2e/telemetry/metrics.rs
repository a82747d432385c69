//! The metrics of everything that happens, line by line.

use kit::{Hook, HookReply, Script, send};
use serde_json::json;
use shared::data::Queue;
use shared::model::project::{Limits, Policy};
use shared::model::provider::Failure;

use super::Observed;
use crate::jobs::RESPONSES;
use crate::{CHAT, PATH, STREAM, budget};

const REQUESTS: &str = "Requests 1 Count [] [outcome] [function,outcome] [function,model,outcome]";
const LATENCY: &str = "Latency _ Milliseconds [function] [function,model]";
/// Of what is no call of a model.
const PLAIN_REQUESTS: &str = "Requests 1 Count [] [outcome] [function,outcome]";
const PLAIN_LATENCY: &str = "Latency _ Milliseconds [function]";
/// 10 tokens at 1 micro-dollar and 5 at 2.
const BOOKED: &str = "InputTokens 10 Count [function,model] | OutputTokens 5 Count [function,model] | \
                      CostUsd 0.00002 None [] [function,model]";

fn background() -> String {
    json!({"model": "priced", "input": "Hello", "max_output_tokens": 100, "background": true}).to_string()
}

#[tokio::test]
async fn nothing_is_written_without_a_namespace() {
    let observed = Observed::new(Limits::default(), Policy::default(), Default::default()).await;
    observed.post(PATH, &[], CHAT).await;
    assert_eq!(observed.lines(), [""; 0]);
}

#[tokio::test]
async fn a_call_is_one_line() {
    let observed = Observed::counted(Limits::default(), Policy::default()).await;
    observed.post(PATH, &[], CHAT).await;
    let added = "AddedLatency _ Milliseconds [] [function]";
    assert_eq!(observed.lines(), [line("chat priced ok", &[REQUESTS, LATENCY, BOOKED, added])]);
}

#[tokio::test]
async fn a_stream_tells_when_its_first_chunk_left() {
    let observed = Observed::counted(Limits::default(), Policy::default()).await;
    observed.post(PATH, &[], STREAM).await;
    let (first, added) =
        ("TimeToFirstChunk _ Milliseconds [function,model]", "AddedLatency _ Milliseconds [] [function]");
    assert_eq!(observed.lines(), [line("chat priced ok", &[REQUESTS, LATENCY, first, BOOKED, added])]);
}

#[tokio::test]
async fn a_stream_that_broke_is_an_error_although_its_status_was_200() {
    let observed = Observed::counted(Limits::default(), Policy::default()).await;
    observed.app.first.then(Script::broken("One two three", 2));
    assert_eq!(observed.post(PATH, &[], STREAM).await.status, 200);
    let lines = observed.lines();
    // What it used is not known: all of its input, and a token for every byte that came.
    let cost = lines[0].split_once("CostUsd").map(|(_, rest)| rest.split(' ').nth(1).unwrap().to_owned());
    assert!(cost.is_some_and(|cost| cost.parse::<f64>().unwrap() > 0.0), "{lines:?}");
    assert!(lines[0].starts_with("chat priced error |") && lines[0].contains(REQUESTS), "{lines:?}");
}

#[tokio::test]
async fn a_call_that_failed_counts_for_its_model() {
    let observed = Observed::counted(Limits::default(), Policy::default()).await;
    let refuse = || Failure::Unauthorized { message: String::new() };
    observed.app.first.then(Script::Fail(refuse));
    assert_eq!(observed.post(PATH, &[], CHAT).await.status, 502);
    observed.post(PATH, &[], &CHAT.replace("priced", "no-such-model")).await;
    let expected = [
        line("chat priced error", &[REQUESTS, LATENCY]),
        line("chat - client_error", &[PLAIN_REQUESTS, PLAIN_LATENCY]),
    ];
    assert_eq!(observed.lines(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_failed_and_may_be_billed_is_booked() {
    let observed = Observed::counted(budget(1.0), Policy::default()).await;
    observed.app.first.then(Script::Fail(|| Failure::Malformed("html".into())));
    assert_eq!(observed.post(PATH, &[], CHAT).await.status, 502);
    let booked = "InputTokens 114 Count [function,model] | OutputTokens 100 Count [function,model] | \
                  CostUsd 0.000314 None [] [function,model]";
    assert_eq!(observed.lines(), [line("chat priced error", &[REQUESTS, LATENCY, booked])]);
}

#[tokio::test]
async fn a_refusal_for_money_is_counted_as_one_and_a_rate_limit_is_not() {
    let observed = Observed::counted(budget(0.000_001), Policy::default()).await;
    assert_eq!(observed.post(PATH, &[], CHAT).await.status, 429);
    let refusal = "BudgetRefusals 1 Count [] [function]";
    assert_eq!(observed.lines(), [line("chat priced limited", &[REQUESTS, LATENCY, refusal])]);

    let limits = Limits { requests_per_minute: Some(1), ..Limits::default() };
    let observed = Observed::counted(limits, Policy::default()).await;
    observed.post(PATH, &[], CHAT).await;
    assert_eq!(observed.post(PATH, &[], CHAT).await.status, 429);
    assert_eq!(observed.lines()[1], line("chat priced limited", &[REQUESTS, LATENCY]));
}

#[tokio::test]
async fn a_key_that_is_not_taken_is_counted_and_a_request_without_one_is_not() {
    let observed = Observed::counted(Limits::default(), Policy::default()).await;
    let revoked = kit::new_key(&observed.project_id);
    for key in ["wrong", revoked.secret().expose(), ""] {
        assert_eq!(send(&observed.router, "GET", "/v1/models", key, &[], "").await.status, 401);
    }
    let refused = line("models - client_error", &[PLAIN_REQUESTS, PLAIN_LATENCY, "RefusedKeys 1 Count [] [function]"]);
    let without = line("models - client_error", &[PLAIN_REQUESTS, PLAIN_LATENCY]);
    assert_eq!(observed.lines(), [refused.clone(), refused, without]);
}

#[tokio::test]
async fn the_cache_counts_hits_and_misses_where_a_project_has_one() {
    let observed =
        Observed::counted(Limits::default(), Policy { cache_ttl_seconds: Some(60), ..Policy::default() }).await;
    observed.post(PATH, &[], CHAT).await;
    observed.post(PATH, &[], CHAT).await;
    let lines = observed.lines();
    let added = "AddedLatency _ Milliseconds [] [function]";
    let cache = |what: &str| format!("{what} 1 Count [] [function,model]");
    assert_eq!(lines[0], line("chat priced ok", &[REQUESTS, LATENCY, BOOKED, added, &cache("CacheMisses")]));
    assert_eq!(lines[1], line("chat priced ok", &[REQUESTS, LATENCY, added, &cache("CacheHits")]), "and costs nothing");
}

#[tokio::test]
async fn what_is_no_call_of_a_model_has_no_model() {
    let observed = Observed::counted(Limits::default(), Policy::default()).await;
    send(&observed.router, "GET", "/v1/models", &observed.key, &[], "").await;
    send(&observed.router, "GET", "/v1/nowhere", &observed.key, &[], "").await;
    let expected = [
        line("models - ok", &[PLAIN_REQUESTS, PLAIN_LATENCY]),
        line("- - client_error", &["Requests 1 Count [] [outcome]"]),
    ];
    assert_eq!(observed.lines(), expected);
}

#[tokio::test]
async fn a_job_tells_its_start_its_end_its_cost_and_its_message() {
    let observed = Observed::counted(Limits::default(), Policy::default()).await;
    let hook = Hook::start(&observed.app.clock).await;
    let body = json!({"name": "a", "url": hook.url(), "event_types": ["response.completed"]}).to_string();
    observed.post("/v1/webhook_endpoints", &[], &body).await;
    observed.post(RESPONSES, &[], &background()).await;
    observed.lines();
    observed.work(Queue::Respond).await;
    let jobs = "Jobs 1 Count [] [outcome] [function,outcome]";
    let message = |function: &str| {
        line(
            &format!("{function} - done"),
            &["Messages 1 Count [function,outcome]", "QueueAge _ Milliseconds [function]"],
        )
    };
    let expected = [
        "respond - - | JobStart _ Milliseconds [] [function]".to_owned(),
        format!("respond - completed | {jobs}"),
        line("respond priced -", &[BOOKED]),
        message("respond"),
    ];
    assert_eq!(observed.lines(), expected);

    hook.then(HookReply::status(500));
    observed.work(Queue::Deliver).await;
    assert_eq!(observed.lines(), [format!("deliver - retried | {jobs}"), message("deliver")]);
}

#[tokio::test]
async fn a_cancelled_job_and_one_that_nobody_could_pay_for_have_ended() {
    let observed = Observed::counted(Limits::default(), Policy::default()).await;
    let made = observed.post(RESPONSES, &[], &background()).await;
    let id = made.json()["id"].as_str().unwrap().to_owned();
    observed.lines();
    observed.post(&format!("{RESPONSES}/{id}/cancel"), &[], "").await;
    assert_eq!(observed.lines()[0], "responses - cancelled | Jobs 1 Count [] [outcome] [function,outcome]");
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_opens_is_counted_for_its_provider() {
    let observed = Observed::counted(Limits::default(), Policy::default()).await;
    observed.app.first.always(Script::Fail(|| Failure::Unreachable("refused".into())));
    for _ in 0..4 {
        assert_eq!(observed.post(PATH, &[], CHAT).await.status, 503);
    }
    let opened = "chat - - | BreakerOpenings 1 Count [] [function] [provider]";
    let lines = observed.lines();
    assert_eq!(lines.iter().filter(|line| *line == opened).count(), 1, "{lines:?}");
}

#[tokio::test]
async fn a_message_that_cannot_be_read_is_told_without_its_body() {
    let observed = Observed::counted(Limits::default(), Policy::default()).await;
    let event = json!({"Records": [{"messageId": "m1", "body": "pineapple-secret"}]});
    let event = serde_json::from_value(event).unwrap();
    observed.telemetry.observe_and_flush(respond::job(event, observed.instance.response_worker(), None)).await;
    assert_eq!(observed.lines(), ["respond - unreadable | Messages 1 Count [function,outcome]"]);
}

#[tokio::test]
async fn a_sweep_tells_what_it_settled() {
    let observed = Observed::counted(Limits::default(), Policy::default()).await;
    observed.telemetry.for_function("sweep").observe_and_flush(observed.instance.sweeper().sweep()).await.unwrap();
    assert_eq!(observed.lines(), ["sweep - - | Swept 0 Count [function]"]);
}

/// A line, whose metrics are in the order of their names.
fn line(of: &str, metrics: &[&str]) -> String {
    let mut metrics: Vec<&str> = metrics.iter().flat_map(|metrics| metrics.split(" | ")).collect();
    metrics.sort_unstable();
    format!("{of} | {}", metrics.join(" | "))
}
