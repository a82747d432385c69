//! Never over budget: at any moment, settled cost and open holds are within the limit.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use kit::{ADMIN_KEY, Script, TestApp, send};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use shared::data::SWEEP_INTERVAL_MS;
use shared::model::catalog::Catalog;
use shared::model::money::MicroUsd;
use shared::model::project::{Limits, Policy, Project};

use crate::{CHAT, CHAT_COST, CHAT_HOLD, PATH, STREAM, budget, seed, whole_hold};

fn micro(amount: u64) -> Limits {
    Limits { budget: Some(MicroUsd(amount)), concurrent_requests: Some(5_000), ..Limits::default() }
}

/// 1,000 concurrent calls that each use exactly what they hold, on a budget for 100.
async fn thousand_on_a_budget_for_hundred(limits: Limits, body: String, output: u64) -> (TestApp, Project, usize) {
    let app = TestApp::new().await;
    let usage = whole_hold(&body, output);
    app.first.always(Script::Answer { after: Duration::from_millis(5), text: "x".into(), usage });
    let limit = limits.budget.unwrap().0;
    let (project, key) = app.project(limits, Policy::default()).await;
    // Two instances on one store, taking turns.
    let routers = [app.router(), app.router()];
    let calls = (0..1_000).map(|n| send(&routers[n % 2], "POST", PATH, &key, &[], body.clone()));
    let done = Arc::new(tokio::sync::Notify::new());
    let watch = async {
        loop {
            let (spent, held) = app.books(&project).await;
            assert!(spent + held <= limit, "{spent} spent and {held} held of {limit}");
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(3)) => {}
                () = done.notified() => return,
            }
        }
    };
    let run = async {
        let replies = join_all(calls).await;
        done.notify_one();
        replies
    };
    let (replies, ()) = tokio::join!(run, watch);
    for refused in replies.iter().filter(|reply| reply.status != 200) {
        assert_eq!((refused.status, refused.code().as_str()), (429, "budget_exceeded"), "{}", refused.text());
        assert_eq!(refused.header("x-should-retry"), "false");
    }
    let admitted = replies.iter().filter(|reply| reply.status == 200).count();
    (app, project, admitted)
}

#[tokio::test]
async fn of_a_thousand_concurrent_calls_exactly_those_that_fit_the_budget_succeed() {
    let limit = CHAT_HOLD * 100 + CHAT_HOLD / 2;
    let (app, project, admitted) = thousand_on_a_budget_for_hundred(micro(limit), CHAT.to_owned(), 100).await;
    assert_eq!(admitted, 100);
    assert_eq!(app.books(&project).await, (CHAT_HOLD * 100, 0));
    assert_eq!(app.shards(&project).await.len(), 1);
}

#[tokio::test]
async fn shards_refuse_nothing_that_the_whole_budget_could_pay() {
    // A call that may cost a dollar, on a budget of 106: two dozen calls' worth lies in each of four shards.
    let padding = "x".repeat(40_000);
    let body = format!(
        r#"{{"model":"priced","messages":[{{"role":"user","content":"{padding}"}}],"max_tokens":4096,"n":125}}"#
    );
    let hold = body.len() as u64 + 32 + 2 * 4_096 * 125;
    let limit = hold * 100 + hold / 2;
    let (app, project, admitted) = thousand_on_a_budget_for_hundred(micro(limit), body, 4_096 * 125).await;
    assert_eq!(app.shards(&project).await.len(), 4);
    assert_eq!(admitted, 100);
    assert_eq!(app.books(&project).await, (hold * 100, 0));
}

#[tokio::test]
async fn a_refusal_says_which_limit_what_is_left_and_when_to_come_back() {
    let app = TestApp::new().await;
    let (_, key) = app.project(micro(CHAT_HOLD + CHAT_COST - 1), Policy::default()).await;
    let router = app.router();
    assert_eq!(send(&router, "POST", PATH, &key, &[], CHAT).await.status, 200);
    let refused = send(&router, "POST", PATH, &key, &[], CHAT).await;
    assert_eq!(refused.status, 429);
    let error = refused.json()["error"].clone();
    assert_eq!((error["type"].as_str(), error["code"].as_str()), (Some("insufficient_quota"), Some("budget_exceeded")));
    let message = error["message"].as_str().unwrap();
    for part in [
        format!("budget of ${}", MicroUsd(CHAT_HOLD + CHAT_COST - 1)),
        format!("${} is left", MicroUsd(CHAT_HOLD - 1)),
        format!("up to ${}", MicroUsd(CHAT_HOLD)),
        "first of the month".to_owned(),
    ] {
        assert!(message.contains(&part), "{message} lacks {part}");
    }
}

#[tokio::test]
async fn three_requests_per_minute_are_three() {
    let app = TestApp::new().await;
    let limits = Limits { requests_per_minute: Some(3), ..Limits::default() };
    let (_, key) = app.project(limits, Policy::default()).await;
    let routers = [app.router(), app.router()];
    let replies = join_all((0..8).map(|n| send(&routers[n % 2], "POST", PATH, &key, &[], CHAT))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 3);
    let refused = replies.iter().find(|reply| reply.status == 429).unwrap();
    assert_eq!(refused.code(), "rate_limit_exceeded");
    assert_eq!(refused.header("retry-after"), "60");
    assert_eq!(refused.header("x-ratelimit-remaining-requests"), "0");
    assert_eq!(refused.header("x-ratelimit-reset-requests"), "1m0s");
    app.clock.advance_ms(60_000);
    let later = send(&routers[0], "POST", PATH, &key, &[], CHAT).await;
    assert_eq!((later.status, later.header("x-ratelimit-remaining-requests")), (200, "2"));
}

#[tokio::test]
async fn a_rate_window_ends_although_the_clock_was_set_back() {
    let app = TestApp::new().await;
    let limits = Limits { requests_per_minute: Some(1), ..Limits::default() };
    let (_, key) = app.project(limits, Policy::default()).await;
    let (warm, cold) = (app.router(), app.router());
    let call = async |router: &axum::Router| send(router, "POST", PATH, &key, &[], CHAT).await;
    assert_eq!(call(&warm).await.status, 200);
    app.clock.set_back_ms(2 * 86_400_000);
    assert_eq!(call(&warm).await.status, 200, "its window lies two days ahead");
    let refused = call(&cold).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "60"));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_died_beside_an_open_job_is_settled_within_minutes_of_its_lease() {
    let app = TestApp::new().await;
    let (project, key) = app.project(budget(1.0), Policy::default()).await;
    let router = app.router();
    let job = r#"{"model":"priced","input":"Hello","background":true,"max_output_tokens":100}"#;
    assert_eq!(send(&router, "POST", "/v1/responses", &key, &[], job).await.status, 200);
    let (_, job_alone) = app.books(&project).await;
    app.first.always(Script::slow(Duration::from_secs(3_000_000), "late", 10, 5));
    let call = send(&router, "POST", PATH, &key, &[], CHAT);
    assert!(tokio::time::timeout(Duration::from_secs(1), call).await.is_err());
    for _ in 0..2 {
        app.clock.advance_ms(SWEEP_INTERVAL_MS);
        app.instance().sweeper().sweep().await.unwrap();
    }
    assert_eq!(app.books(&project).await, (CHAT_HOLD, job_alone));
}

#[tokio::test]
async fn tokens_are_reserved_at_their_worst_and_given_back() {
    let app = TestApp::new().await;
    let worst = CHAT.len() as u64 + 32 + 100;
    let limits = Limits { tokens_per_minute: Some(worst + 15), ..Limits::default() };
    let (_, key) = app.project(limits, Policy::default()).await;
    let router = app.router();
    let first = send(&router, "POST", PATH, &key, &[], CHAT).await;
    assert_eq!((first.status, first.header("x-ratelimit-remaining-tokens")), (200, "15"));
    // 15 tokens were used, so exactly the worst case of one more call is left.
    let second = send(&router, "POST", PATH, &key, &[], CHAT).await;
    assert_eq!((second.status, second.header("x-ratelimit-remaining-tokens")), (200, "0"));
    let third = send(&router, "POST", PATH, &key, &[], CHAT).await;
    assert_eq!((third.status, third.code().as_str()), (429, "rate_limit_exceeded"));
    let large = CHAT.replace("\"max_tokens\":100", "\"max_tokens\":4000");
    let too_large = send(&router, "POST", PATH, &key, &[], large).await;
    assert_eq!((too_large.status, too_large.header("x-should-retry")), (429, "false"));
}

#[tokio::test]
async fn a_call_without_a_limit_is_counted_with_what_is_likely_and_then_with_what_it_used() {
    let app = TestApp::new().await;
    let body = CHAT.replace(",\"max_tokens\":100", "");
    let expected = body.len() as u64 + 32 + 4_096;
    let limits = Limits { tokens_per_minute: Some(expected + 1_000), ..Limits::default() };
    let (_, key) = app.project(limits, Policy::default()).await;
    let router = app.router();
    app.first.then(Script::answer("long", 1_000, 4_096 + 900));
    let first = send(&router, "POST", PATH, &key, &[], body.clone()).await;
    assert_eq!((first.status, first.header("x-ratelimit-remaining-tokens")), (200, "1000"));
    assert_eq!(send(&router, "POST", PATH, &key, &[], body).await.status, 429);
}

#[tokio::test]
async fn a_model_without_a_price_is_refused_where_a_budget_is_set() {
    let app = TestApp::new().await;
    let body = CHAT.replace("priced", "unpriced");
    let (_, with_budget) = app.project(budget(1.0), Policy::default()).await;
    let (_, without) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    let refused = send(&router, "POST", PATH, &with_budget, &[], body.clone()).await;
    assert_eq!((refused.status, refused.code().as_str()), (400, "model_not_priced"));
    assert_eq!(send(&router, "POST", PATH, &without, &[], body).await.status, 200);
    assert_eq!(app.first.call_count(), 1);
}

#[tokio::test]
async fn what_may_be_billed_beside_the_tokens_is_refused_where_a_budget_is_set() {
    let app = TestApp::new().await;
    let (_, key) = app.project(budget(1.0), Policy::default()).await;
    let (_, without) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    let sound = r#"[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"","format":"wav"}}]}]"#;
    for (param, member) in [
        ("service_tier", r#""service_tier":"priority""#),
        ("service_tier", r#""service_tier":["priority"]"#),
        ("web_search_options", r#""web_search_options":{}"#),
        ("n_predict", r#""n_predict":100000"#),
        ("plugins", r#""plugins":[{"id":"web"}]"#),
        ("tools[0]", r#""tools":[{"type":"web_search"}]"#),
        ("messages[0].content[0]", &format!(r#""messages":{sound}"#)),
    ] {
        let body = match member.starts_with("\"messages") {
            true => format!(r#"{{"model":"priced",{member},"max_tokens":100}}"#),
            false => CHAT.replace("\"max_tokens\"", &format!("{member},\"max_tokens\"")),
        };
        let refused = send(&router, "POST", PATH, &key, &[], body.clone()).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "not_accountable"), "{body}");
        let error = &refused.json()["error"];
        assert_eq!(error["param"], param, "{body}");
        // The message says what the operator may do.
        let way_out =
            if member.contains("\"priority\"") && !member.contains('[') { "price.tiers" } else { "allow_members" };
        assert!(error["message"].as_str().unwrap().contains(way_out), "{error}");
        // Without a budget bodies pass unchanged.
        assert_eq!(send(&router, "POST", PATH, &without, &[], body.clone()).await.status, 200, "{body}");
        let sent = app.first.calls().pop().unwrap().body.to_bytes();
        assert_eq!(sent, body.as_bytes(), "{body}");
    }
    let body = CHAT.replace("\"max_tokens\"", "\"service_tier\":\"default\",\"max_tokens\"");
    assert_eq!(send(&router, "POST", PATH, &key, &[], body).await.status, 200);
    let response = r#"{"model":"priced","input":"Hello","service_tier":"priority","max_output_tokens":100}"#;
    for members in ["", r#","background":true"#] {
        let body = response.replace('}', &format!("{members}}}"));
        let refused = send(&router, "POST", "/v1/responses", &key, &[], body).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "not_accountable"), "{}", refused.text());
    }
}

#[tokio::test]
async fn a_service_tier_is_held_and_charged_at_its_price() {
    let models = "[[provider]]\nname = \"first\"\nkind = \"simulator\"\n[[model]]\nname = \"priced\"\nkind = \"chat\"\n\
        price = { input = 1.0, output = 2.0, tiers = { priority = { input = 3.0, output = 7.0 } } }\n\
        context_tokens = 128000\nmax_output_tokens = 4096\ntargets = [{ provider = \"first\", model = \"m\" }]\n";
    let app = TestApp::builder().models(Arc::new(Catalog::parse(models).unwrap())).build().await;
    let (project, key) = app.project(budget(1.0), Policy::default()).await;
    app.first.always(Script::slow(Duration::from_millis(50), "Hello there.", 10, 5));
    let router = app.router();
    for (path, body) in [
        (PATH, CHAT.replace("\"max_tokens\"", "\"service_tier\":\"priority\",\"max_tokens\"")),
        (
            "/v1/responses",
            r#"{"model":"priced","input":"Hello","service_tier":"priority","max_output_tokens":100}"#.to_owned(),
        ),
    ] {
        let (before, _) = app.books(&project).await;
        let (reply, held) = tokio::join!(send(&router, "POST", path, &key, &[], body.clone()), async {
            while app.first.calls().is_empty() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            app.books(&project).await.1
        });
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert!(path != PATH || held == (body.len() as u64 + 32) * 3 + 100 * 7, "{held}");
        assert_eq!(app.books(&project).await, (before + 10 * 3 + 5 * 7, 0), "{path}");
    }
}

/// The limits of output tokens in the body of the provider's last call: `max_completion_tokens`, `max_tokens`.
fn told(app: &TestApp) -> (Option<u64>, Option<u64>) {
    let body = app.first.calls().pop().unwrap().body;
    (body.get("max_completion_tokens"), body.get("max_tokens"))
}

#[tokio::test]
async fn where_a_budget_is_set_the_provider_is_told_the_limit_that_is_held() {
    let app = TestApp::new().await;
    let policy = Policy { default_max_output_tokens: Some(50), ..Policy::default() };
    let (_, with_budget) = app.project(budget(1.0), Policy::default()).await;
    let (_, with_default) = app.project(budget(1.0), policy).await;
    let (_, without) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    let chat = |limit: &str| (PATH, CHAT.replace("\"max_tokens\":100", limit));
    let text = |limit: &str| ("/v1/completions", format!(r#"{{"model":"priced","prompt":"Hello"{limit}}}"#));
    for (key, (path, body), expected) in [
        (&with_budget, chat("\"n\":1"), (Some(4_096), None)),
        (&with_budget, chat("\"max_tokens\":100"), (None, Some(100))),
        (&with_budget, chat("\"max_tokens\":9000,\"n\":2"), (None, Some(4_096))),
        (&with_budget, chat("\"max_tokens\":7,\"max_completion_tokens\":9000"), (Some(4_096), Some(7))),
        (&with_budget, text(""), (None, Some(16))),
        (&with_budget, text(",\"max_tokens\":9000"), (None, Some(4_096))),
        (&with_default, chat("\"n\":1"), (Some(50), None)),
        (&with_default, chat("\"max_completion_tokens\":60"), (Some(60), None)),
        (&without, chat("\"n\":1"), (None, None)),
        (&without, chat("\"max_tokens\":9000"), (None, Some(9_000))),
        (&without, text(",\"max_tokens\":9000"), (None, Some(9_000))),
    ] {
        let reply = send(&router, "POST", path, key, &[], body.clone()).await;
        assert_eq!((reply.status, told(&app)), (200, expected), "{body}: {}", reply.text());
    }
}

#[tokio::test]
async fn a_first_budget_is_in_force_in_processes_that_remember_none() {
    let app = TestApp::new().await;
    let (project, key) = app.project(Limits::default(), Policy::default()).await;
    let (router, other) = (app.router(), app.router());
    assert_eq!(send(&other, "POST", PATH, &key, &[], CHAT.replace("priced", "unpriced")).await.status, 200);
    let path = format!("/v1/organization/projects/{}/spend_limit", project.id);
    let limit = r#"{"currency":"USD","interval":"month","threshold_amount":100}"#;
    let set = send(&router, "POST", &path, ADMIN_KEY, &[], limit).await;
    assert_eq!(set.status, 200, "{}", set.text());
    let priority = CHAT.replace("\"max_tokens\"", "\"service_tier\":\"priority\",\"max_tokens\"");
    let response = r#"{"model":"unpriced","input":"Hello"}"#.to_owned();
    for (path, body, code) in [
        (PATH, CHAT.replace("priced", "unpriced"), "model_not_priced"),
        (PATH, priority, "not_accountable"),
        ("/v1/responses", response, "model_not_priced"),
    ] {
        let refused = send(&other, "POST", path, &key, &[], body).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, code), "{}", refused.text());
    }
    assert_eq!((app.first.call_count(), app.books(&project).await), (1, (0, 0)));
    let large = CHAT.replace("\"max_tokens\":100", "\"max_tokens\":9000");
    assert_eq!(send(&other, "POST", PATH, &key, &[], large).await.status, 200);
    assert_eq!(told(&app), (None, Some(4_096)));
}

#[tokio::test]
async fn a_new_month_has_a_new_budget() {
    let app = TestApp::new().await;
    let (project, key) = app.project(micro(CHAT_HOLD), Policy::default()).await;
    let router = app.router();
    assert_eq!(send(&router, "POST", PATH, &key, &[], CHAT).await.status, 200);
    assert_eq!(send(&router, "POST", PATH, &key, &[], CHAT).await.status, 429);
    let now = app.clock.now();
    app.clock.advance_ms(now.until(now.next_month()));
    assert_eq!(send(&router, "POST", PATH, &key, &[], CHAT).await.status, 200);
    assert_eq!(app.books(&project).await, (CHAT_COST, 0));
}

#[tokio::test]
async fn a_failed_call_costs_nothing_and_holds_nothing() {
    let app = TestApp::new().await;
    let (project, key) = app.project(budget(1.0), Policy::default()).await;
    app.first
        .then(Script::Fail(|| shared::model::provider::Failure::Refused { status: 400, refusal: Default::default() }));
    assert_eq!(send(&app.router(), "POST", PATH, &key, &[], CHAT).await.status, 400);
    assert_eq!(app.books(&project).await, (0, 0));
}

// In virtual time: a busy machine makes no provider slow.
#[tokio::test(start_paused = true)]
async fn seeded_load_of_two_instances_leaves_exact_books() {
    let seed = seed();
    let mut rng = StdRng::seed_from_u64(seed);
    let app = TestApp::new().await;
    let limit = CHAT_HOLD * 40;
    let limits = Limits { requests_per_minute: Some(rng.random_range(50..5_000)), ..micro(limit) };
    let (project, key) = app.project(limits, Policy::default()).await;
    let routers = [app.router(), app.router()];
    let mut sent = Vec::new();
    for n in 0..300 {
        let body = if rng.random_bool(0.5) { STREAM } else { CHAT };
        let pause = Duration::from_micros(rng.random_range(0..20_000));
        let (router, key) = (&routers[n % 2], &key);
        sent.push(async move {
            tokio::time::sleep(pause).await;
            send(router, "POST", PATH, key, &[], body).await
        });
    }
    let replies = join_all(sent).await;
    let admitted = replies.iter().filter(|reply| reply.status == 200).count() as u64;
    let other: Vec<_> =
        replies.iter().filter(|reply| !matches!(reply.status, 200 | 429)).map(|reply| reply.text()).collect();
    assert!(other.is_empty(), "{other:?}");
    assert_eq!(app.books(&project).await, (admitted * CHAT_COST, 0));
    let hours = app.clock.now().hour();
    let counters = app.stores.usage_counters().read(&project.id, &hours, &hours).await.unwrap();
    let counted: u64 = counters.iter().map(|(_, count)| count.requests).sum();
    let cost: u64 = counters.iter().map(|(_, count)| count.cost.0).sum();
    assert_eq!((counted, cost), (admitted, admitted * CHAT_COST));
}

#[tokio::test]
async fn a_usage_that_no_call_can_have_is_charged_as_the_worst_case() {
    for (input, output) in [(100_000, 5), (10, 1_000_000_000_000_000), (u64::MAX, u64::MAX)] {
        let app = TestApp::new().await;
        let (project, key) = app.project(budget(5.0), Policy::default()).await;
        let router = app.router();
        for _ in 0..4 {
            app.first.always(Script::answer("Hello", input, output));
            let reply = send(&router, "POST", PATH, &key, &[], CHAT).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
        }
        let (spent, held) = app.books(&project).await;
        assert!(spent <= CHAT_HOLD * 4 && held == 0, "{spent} spent for {input} and {output} tokens");
        assert_eq!(app.counted(&project).await.cost, MicroUsd(spent));
        // Neither this project nor the reports are damaged.
        app.first.always(Script::answer("Hello", 10, 5));
        assert_eq!(send(&router, "POST", PATH, &key, &[], CHAT).await.status, 200);
        let path = format!("/v1/organization/costs?start_time={}", app.clock.now().seconds() - 60);
        assert_eq!(send(&router, "GET", &path, ADMIN_KEY, &[], "").await.status, 200);
    }
}
