//! Providers that fail a worker: again later, at most four times, never for nothing.

use std::time::Duration;

use kit::{ADMIN_KEY, Script, send};
use serde_json::{Value, json};
use shared::data::Queue;
use shared::model::clock::Timestamp;
use shared::model::project::Limits;
use shared::model::provider::{Failure, ProviderRefusal};

use super::project::{COST, Jobs, background, names};

fn unavailable() -> Failure {
    Failure::Unavailable { status: 500, message: "down".into(), retry_after: None }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_fails_before_its_answer_is_asked_again_later_for_the_same_hold() {
    let jobs = Jobs::new().await;
    jobs.app.first.always(Script::Fail(unavailable));
    let id = jobs.accept().await;
    let held = jobs.books().await.1;
    jobs.work().await;
    assert_eq!(jobs.get(&id).await.json()["status"], "queued");
    assert_eq!(jobs.books().await, (0, held), "nothing was used, all is held");
    assert_eq!(jobs.work().await, 0, "its message waits");
    jobs.app.first.always(Script::answer("Hello there.", 10, 5));
    jobs.app.clock.advance_ms(5_000);
    jobs.work().await;
    jobs.ended(&id, "completed").await;
    assert_eq!(jobs.books().await, (COST, 0));
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_never_answers_fails_the_response_after_four_runs_for_free() {
    let jobs = Jobs::new().await;
    jobs.app.first.always(Script::Fail(unavailable));
    let id = jobs.accept().await;
    jobs.settle().await;
    let failed = jobs.ended(&id, "failed").await;
    assert_eq!(failed["error"]["code"], "server_error");
    let message = "The provider `first` gave no answer after 3 attempts: the provider answered 500.";
    assert_eq!(failed["error"]["message"], message);
    assert_eq!(jobs.books().await, (0, 0));
    let runs = names(&jobs.stream(&id, None).await).iter().filter(|name| *name == "response.in_progress").count();
    assert_eq!(runs, 1, "a run that came to nothing is not told, but for the last");
}

#[tokio::test]
async fn a_request_that_the_provider_refuses_fails_at_once() {
    let jobs = Jobs::new().await;
    fn refused() -> Failure {
        let refusal = ProviderRefusal { message: "That prompt is not allowed.".into(), ..ProviderRefusal::default() };
        Failure::Refused { status: 400, refusal }
    }
    jobs.app.first.always(Script::Fail(refused));
    let id = jobs.accept().await;
    jobs.work().await;
    let failed = jobs.ended(&id, "failed").await;
    assert_eq!(failed["error"]["code"], "invalid_prompt");
    assert_eq!(failed["error"]["message"], "That prompt is not allowed.");
    assert_eq!((jobs.app.first.call_count(), jobs.books().await), (1, (0, 0)));
}

/// Codex shortens its conversation when it reads the code.
#[tokio::test]
async fn a_prompt_that_is_too_long_fails_with_its_own_code() {
    let jobs = Jobs::new().await;
    fn refused() -> Failure {
        let code = Some("context_length_exceeded".to_owned());
        Failure::Refused { status: 400, refusal: ProviderRefusal { code, ..ProviderRefusal::default() } }
    }
    jobs.app.first.always(Script::Fail(refused));
    let id = jobs.accept().await;
    jobs.work().await;
    assert_eq!(jobs.ended(&id, "failed").await["error"]["code"], "context_length_exceeded");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_is_run_again_and_both_runs_are_paid() {
    let jobs = Jobs::new().await;
    jobs.app.first.then(Script::broken("one two three", 2));
    let id = jobs.accept().await;
    jobs.work().await;
    let (spent, held) = jobs.books().await;
    assert!(spent > 0 && held == 0, "the first run is paid: {spent} {held}");
    jobs.settle().await;
    let response = jobs.ended(&id, "completed").await;
    assert_eq!(response["output"][0]["content"][0]["text"], "Hello there.");
    assert_eq!(jobs.books().await, (spent + COST, 0));
}

#[tokio::test(start_paused = true)]
async fn a_run_ends_before_its_function_does_and_one_that_had_all_its_time_is_not_run_again() {
    let jobs = Jobs::new().await;
    jobs.app.first.then(Script::Paced { text: "word ".repeat(100), gap: Duration::from_secs(1) });
    let id = jobs.accept().await;
    let ends = Timestamp(jobs.app.clock.now().0 + 10_000);
    let begun = tokio::time::Instant::now();
    let instance = jobs.app.instance();
    jobs.app.work_once(Queue::Respond, |event| respond::job(event, instance.response_worker(), Some(ends))).await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    jobs.settle().await;
    jobs.ended(&id, "failed").await;
    assert_eq!(jobs.app.first.call_count(), 1, "it would take as long again, and be paid again");
}

/// Changes the project, as an administrator does.
async fn change(jobs: &Jobs, body: Value) {
    let path = format!("/v1/organization/projects/{}", jobs.project.id);
    let changed = send(&jobs.app.router(), "POST", &path, ADMIN_KEY, &[], body.to_string()).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
}

/// The limit of output tokens that the provider was told last.
fn told(jobs: &Jobs) -> Option<u64> {
    jobs.app.first.calls().pop().unwrap().body.get("max_completion_tokens")
}

#[tokio::test(start_paused = true)]
async fn every_run_is_told_the_limit_that_its_hold_is_for() {
    let jobs = Jobs::new().await;
    jobs.app.first.then(Script::broken("one two three", 2));
    for _ in 0..3 {
        jobs.app.first.then(Script::Fail(unavailable));
    }
    let mut body = background();
    body["max_output_tokens"] = Value::Null;
    let id = jobs.post(&body, &[]).await.json()["id"].as_str().unwrap().to_owned();
    // The second run takes a hold of its own, under a policy that is new; the provider gives nothing. The third is made
    // under the same hold, whatever the policy says by then.
    for (default, limit) in [(None, 4_096), (Some(50), 50), (Some(60), 50)] {
        change(&jobs, json!({"policy": {"default_max_output_tokens": default}})).await;
        jobs.work().await;
        assert_eq!(told(&jobs), Some(limit), "{default:?}");
        jobs.app.clock.advance_ms(31_000);
    }
    jobs.settle().await;
    jobs.ended(&id, "completed").await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_no_budget_can_pay_for_is_not_made_once_there_is_one() {
    let jobs = Jobs::with(Limits::default()).await;
    jobs.app.first.then(Script::broken("one two three", 2));
    let mut body = background();
    body["model"] = json!("unpriced");
    let id = jobs.post(&body, &[]).await.json()["id"].as_str().unwrap().to_owned();
    jobs.work().await;
    change(&jobs, json!({"limits": {"budget_usd_per_month": 1}})).await;
    jobs.settle().await;
    let failed = jobs.ended(&id, "failed").await;
    assert!(failed["error"]["message"].as_str().unwrap().contains("has no price"), "{failed}");
    assert_eq!(jobs.app.first.call_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_the_budget_does_not_allow_any_more_fails_the_response() {
    let jobs = Jobs::with(crate::budget(0.0006)).await;
    jobs.app.first.then(Script::broken("one two three four five six", 5));
    let id = jobs.accept().await;
    jobs.settle().await;
    let failed = jobs.ended(&id, "failed").await;
    assert!(failed["error"]["message"].as_str().unwrap().contains("budget"), "{failed}");
    assert_eq!(jobs.app.first.call_count(), 1, "no provider is called without a hold");
    assert!(jobs.books().await.0 <= 600);
}
