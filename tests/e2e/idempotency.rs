//! Never twice: one key, one provider success, every replay the same bytes.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use kit::{Fault, Script, TestApp, send};
use shared::data::{ClaimOutcome, ClaimRequest, RecordKey, StoredAnswer};
use shared::model::catalog::Catalog;
use shared::model::id::Fingerprint;
use shared::model::project::{Limits, Policy};
use shared::model::provider::Failure;

use crate::{CHAT, CHAT_COST, PATH, STREAM, budget};

const KEY: &[(&str, &str)] = &[("idempotency-key", "one")];

fn unavailable() -> Failure {
    Failure::Unavailable { status: 500, message: "down".into(), retry_after: None }
}

#[tokio::test]
async fn twenty_concurrent_callers_with_one_key_are_one_call_and_twenty_equal_answers() {
    for body in [CHAT, STREAM] {
        let app = TestApp::new().await;
        app.first.always(Script::slow(Duration::from_millis(300), "Hello there, all of you.", 10, 5));
        let (project, key) = app.project(budget(1.0), Policy::default()).await;
        let routers = [app.router(), app.router()];
        let replies = join_all((0..20).map(|n| send(&routers[n % 2], "POST", PATH, &key, KEY, body))).await;
        assert_eq!(app.first.call_count(), 1);
        assert!(replies.iter().all(|reply| reply.status == 200 && reply.body == replies[0].body));
        assert_eq!(replies.iter().filter(|reply| reply.header("idempotent-replayed") == "true").count(), 19);
        assert_eq!(app.books(&project).await, (CHAT_COST, 0));
    }
}

#[tokio::test]
async fn a_replay_is_byte_for_byte_from_any_instance_and_costs_nothing() {
    let app = TestApp::new().await;
    let (project, key) = app.project(budget(1.0), Policy::default()).await;
    for (body, name) in [(CHAT, "json"), (STREAM, "stream")] {
        let headers = [("idempotency-key", name)];
        let first = send(&app.router(), "POST", PATH, &key, &headers, body).await;
        let quoted = format!("\"{name}\"");
        let again = send(&app.router(), "POST", PATH, &key, &[("idempotency-key", quoted.as_str())], body).await;
        assert_eq!((again.status, &again.body), (200, &first.body));
        assert_eq!(again.header("content-type"), first.header("content-type"));
        assert_eq!((again.header("idempotent-replayed"), again.header("x-weir-cost-usd")), ("true", "0.000000"));
    }
    assert_eq!(app.first.call_count(), 2);
    assert_eq!(app.books(&project).await, (2 * CHAT_COST, 0));
}

#[tokio::test]
async fn the_same_key_with_another_body_is_refused_for_good() {
    let app = TestApp::new().await;
    let (project, key) = app.project(budget(1.0), Policy::default()).await;
    let router = app.router();
    send(&router, "POST", PATH, &key, KEY, CHAT).await;
    let spaced = CHAT.replace(':', " : ");
    assert_eq!(send(&router, "POST", PATH, &key, KEY, spaced).await.status, 200, "spacing is no difference");
    let other = send(&router, "POST", PATH, &key, KEY, CHAT.replace("Hello", "Goodbye")).await;
    assert_eq!((other.status, other.code().as_str()), (422, "idempotency_key_reused"));
    assert_eq!(other.header("x-should-retry"), "false");
    assert_eq!(app.books(&project).await, (CHAT_COST, 0));
}

#[tokio::test]
async fn keys_of_two_projects_and_of_two_paths_are_different_keys() {
    let app = TestApp::new().await;
    let (_, one) = app.project(Limits::default(), Policy::default()).await;
    let (_, other) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    for key in [&one, &other] {
        assert_eq!(send(&router, "POST", PATH, key, KEY, CHAT).await.header("idempotent-replayed"), "");
    }
    let legacy = r#"{"model":"priced","prompt":"Hello"}"#;
    assert_eq!(send(&router, "POST", "/v1/completions", &one, KEY, legacy).await.status, 200);
    assert_eq!(app.first.call_count(), 3);
}

#[tokio::test]
async fn a_failure_is_not_kept_but_given_to_those_who_waited() {
    let app = TestApp::new().await;
    let (project, key) = app.project(budget(1.0), Policy::default()).await;
    let router = app.router();
    for _ in 0..3 {
        app.first.then(Script::Fail(unavailable));
    }
    let replies = join_all((0..5).map(|_| send(&router, "POST", PATH, &key, KEY, CHAT))).await;
    assert!(replies.iter().all(|reply| reply.status == 503 && reply.code() == "provider_unavailable"), "{replies:?}");
    assert_eq!(app.first.call_count(), 3, "one run with its retries");
    let later = send(&router, "POST", PATH, &key, KEY, CHAT).await;
    assert_eq!((later.status, later.header("idempotent-replayed")), (200, ""));
    assert_eq!(app.books(&project).await, (CHAT_COST, 0));
}

#[tokio::test]
async fn an_answer_is_kept_for_24_hours() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    send(&router, "POST", PATH, &key, KEY, CHAT).await;
    app.clock.advance_ms(86_399_000);
    assert_eq!(send(&router, "POST", PATH, &key, KEY, CHAT).await.header("idempotent-replayed"), "true");
    app.clock.advance_ms(2_000);
    assert_eq!(send(&router, "POST", PATH, &key, KEY, CHAT).await.header("idempotent-replayed"), "");
    assert_eq!(app.first.call_count(), 2);
}

#[tokio::test]
async fn a_run_that_died_is_taken_over_when_its_lease_has_ended() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    app.first.then(Script::Hang);
    let dead = app.router();
    // The instance seems dead: its client leaves and its lease ends. The task renews the lease by the time of tokio, which
    // does not move with the clock of the app.
    let hung = tokio::time::timeout(Duration::from_millis(100), send(&dead, "POST", PATH, &key, KEY, CHAT)).await;
    assert!(hung.is_err());
    app.clock.advance_ms(31_000);
    let taken = send(&app.router(), "POST", PATH, &key, KEY, CHAT).await;
    assert_eq!((taken.status, app.first.call_count()), (200, 2));
}

/// The run dies between the last event of its stream and the write that ends its record.
#[tokio::test]
async fn who_follows_a_stream_whose_run_dies_at_its_end_reads_one_end() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    app.first.then(Script::Break { text: "one two".into(), after_chunks: 2, gap: Duration::from_millis(1_100) });
    let (dead, living) = (app.router(), app.router());
    let run = send(&dead, "POST", PATH, &key, KEY, STREAM);
    let follow = async {
        while app.first.call_count() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        send(&living, "POST", PATH, &key, KEY, STREAM).await
    };
    let death = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        app.faults.set(|operation| if operation == "UpdateItem" { Fault::Hang } else { Fault::None });
        app.faults.hang().await;
        app.faults.clear();
        // The follower reads what the dead run has stored, and then that its lease has ended.
        tokio::time::sleep(Duration::from_millis(1_000)).await;
        app.clock.advance_ms(31_000);
    };
    let followed = tokio::select! {
        _ = run => panic!("the run ended"),
        (followed, ()) = async { tokio::join!(follow, death) } => followed,
    };
    let text = followed.text();
    assert!(text.contains("one"), "{text}");
    assert_eq!((text.matches("\"error\"").count(), text.contains("[DONE]")), (1, false), "{text}");
}

#[tokio::test]
async fn a_large_answer_is_replayed_from_the_bucket() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let text = "lorem ipsum ".repeat(40_000);
    app.first.always(Script::answer(&text, 10, 5));
    for (body, name) in [(CHAT, "json"), (STREAM, "stream")] {
        let headers = [("idempotency-key", name)];
        let first = send(&app.router(), "POST", PATH, &key, &headers, body).await;
        assert!(first.body.len() > 400_000);
        let again = send(&app.router(), "POST", PATH, &key, &headers, body).await;
        assert_eq!((again.header("idempotent-replayed"), again.body == first.body), ("true", true));
    }
}

#[tokio::test]
async fn those_who_waited_for_a_refusal_are_told_like_the_first_whether_to_try_again() {
    let app = TestApp::new().await;
    let spent = Limits { budget: Some(shared::model::money::MicroUsd(1)), ..Limits::default() };
    let (_, key) = app.project(spent, Policy::default()).await;
    let router = app.router();
    let replies = join_all((0..4).map(|_| send(&router, "POST", PATH, &key, KEY, CHAT))).await;
    for reply in replies {
        assert_eq!((reply.status, reply.header("x-should-retry")), (429, "false"), "{}", reply.text());
    }
}

#[tokio::test]
async fn a_key_used_again_after_a_day_does_not_meet_the_parts_of_its_first_stream() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    app.first.then(Script::Paced { text: "one two three four five six".into(), gap: Duration::from_millis(300) });
    let first = send(&app.router(), "POST", PATH, &key, KEY, STREAM).await;
    let expected = send(&app.router(), "POST", PATH, &key, KEY, STREAM).await;
    assert_eq!(first.body, expected.body, "parts and tail make the whole");
    // DynamoDB deletes the record a day before its parts.
    app.delete_idempotency_records().await;
    app.clock.advance_ms(86_401_000);
    let second = send(&app.router(), "POST", PATH, &key, KEY, STREAM).await;
    let replay = send(&app.router(), "POST", PATH, &key, KEY, STREAM).await;
    assert_eq!((second.header("idempotent-replayed"), replay.header("idempotent-replayed")), ("", "true"));
    assert_eq!(replay.body, second.body);
}

#[tokio::test]
async fn retries_of_an_sdk_attach_to_the_request_they_repeat_where_the_project_wants_it() {
    let app = TestApp::new().await;
    let wants = Policy { dedupe_retries: true, ..Policy::default() };
    let (_, key) = app.project(Limits::default(), wants).await;
    let router = app.router();
    let retry = [("x-stainless-retry-count", "1")];
    send(&router, "POST", PATH, &key, &[("x-stainless-retry-count", "0")], CHAT).await;
    assert_eq!(send(&router, "POST", PATH, &key, &retry, CHAT).await.header("idempotent-replayed"), "true");
    let again = send(&router, "POST", PATH, &key, &[], CHAT).await;
    assert_eq!(again.header("idempotent-replayed"), "", "the same request on purpose is a new one");
    app.clock.advance_ms(1_499_000);
    assert_eq!(send(&router, "POST", PATH, &key, &retry, CHAT).await.header("idempotent-replayed"), "true");
    app.clock.advance_ms(2_000);
    assert_eq!(send(&router, "POST", PATH, &key, &retry, CHAT).await.header("idempotent-replayed"), "");
    assert_eq!(app.first.call_count(), 3);

    let (_, plain) = app.project(Limits::default(), Policy::default()).await;
    for _ in 0..2 {
        assert_eq!(send(&router, "POST", PATH, &plain, &retry, CHAT).await.header("idempotent-replayed"), "");
    }
}

#[tokio::test]
async fn a_replay_is_given_even_when_the_budget_is_spent() {
    let app = TestApp::new().await;
    let limits = Limits { requests_per_minute: Some(1), ..Limits::default() };
    let (_, key) = app.project(limits, Policy::default()).await;
    let router = app.router();
    let first = send(&router, "POST", PATH, &key, KEY, CHAT).await;
    let again = send(&router, "POST", PATH, &key, KEY, CHAT).await;
    assert_eq!((again.status, again.body), (200, first.body));
    assert_eq!(send(&router, "POST", PATH, &key, &[], CHAT).await.status, 429);
}

/// A model that may take as long as a function.
const PATIENT: &str = r#"
    [[provider]]
    name = "first"
    kind = "simulator"
    [[model]]
    name = "priced"
    kind = "chat"
    targets = [{ provider = "first", model = "a", timeouts = { total_ms = 880000 } }]
"#;

/// SDKs wait 600 s, and send the request again half a second later; twice.
#[tokio::test(start_paused = true)]
async fn a_call_that_takes_longer_than_an_sdk_waits_is_not_made_again() {
    let app = TestApp::builder().models(Arc::new(Catalog::parse(PATIENT).unwrap())).build().await;
    let wants = Policy { dedupe_retries: true, ..Policy::default() };
    let (_, key) = app.project(Limits::default(), wants).await;
    app.first.always(Script::Paced { text: "one two three four five ".into(), gap: Duration::from_secs(110) });
    let router = app.router();
    let send_after = async |retry: &str, seconds: u64| {
        tokio::time::sleep(Duration::from_millis(seconds * 1_000 + 500)).await;
        send(&router, "POST", PATH, &key, &[("x-stainless-retry-count", retry)], STREAM).await
    };
    let sent = async { tokio::join!(send_after("0", 0), send_after("1", 600), send_after("2", 1_200)) };
    let clock = async {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            app.clock.advance_ms(1_000);
        }
    };
    let (first, second, third) = tokio::select! {
        replies = sent => replies,
        () = clock => unreachable!(),
    };
    assert!(first.text().ends_with("[DONE]\n\n"), "{}", first.text());
    assert_eq!(app.first.call_count(), 1);
    // Signs of life are no part of the answer.
    let events = |reply: &kit::Reply| reply.text().replace(": keep-alive\n\n", "");
    for retry in [second, third] {
        assert_eq!((retry.header("idempotent-replayed"), events(&retry)), ("true", events(&first)));
    }
}

#[tokio::test]
async fn a_record_is_kept_from_its_last_sign_of_life_and_never_claimed_under_its_lease() {
    const KEPT: u64 = 600;
    let app = TestApp::new().await;
    let (records, clock) = (app.stores.idempotency(), &app.clock);
    let key = RecordKey { project_id: "proj_1".to_owned(), hash: Fingerprint::of([b"key".as_slice()]) };
    let request = Fingerprint::of([b"request".as_slice()]);
    let claim = async |lease_ms: u64| {
        let now = clock.now();
        let claim = ClaimRequest {
            key: &key,
            fingerprint: &request,
            lease_until: now.plus_ms(lease_ms),
            kept_seconds: KEPT,
            now,
            replace: false,
        };
        match records.claim(&claim).await.unwrap() {
            ClaimOutcome::Claimed(lease) => Some(lease),
            ClaimOutcome::Taken(_) => None,
        }
    };
    let expires_at = async || records.record(&key).await.unwrap().unwrap().expires_at;

    // A lease that is longer than the record is kept.
    let lease = claim(KEPT * 2_000).await.unwrap();
    clock.advance_ms(KEPT * 1_000 + 1_000);
    assert!(expires_at().await < clock.now().seconds());
    assert!(claim(KEPT * 2_000).await.is_none(), "it expired, but it runs");
    let now = clock.now();
    assert!(records.renew(&lease, now.plus_ms(30_000), now).await.unwrap().is_written());
    assert_eq!(expires_at().await, now.seconds() + KEPT);
    clock.advance_ms(20_000);
    let completed = records.complete(&lease, true, StoredAnswer::default(), clock.now()).await.unwrap();
    assert!(completed.is_written());
    assert_eq!(expires_at().await, clock.now().seconds() + KEPT);
    clock.advance_ms(KEPT * 1_000 - 1_000);
    assert!(claim(30_000).await.is_none(), "its answer is kept");
    clock.advance_ms(1_000);
    claim(30_000).await.unwrap();
    assert!(claim(30_000).await.is_none(), "it runs");
    clock.set_back_ms(2 * 86_400_000);
    claim(30_000).await.expect("no lease ends in two days: the clock was set back");
}
