//! Workers and sweepers that die at each of their steps, before and after each took effect.

use std::time::Duration;

use kit::{Fault, Script};
use serde_json::json;
use shared::data::{Due, Queue};
use shared::model::message::ResponseKey;

use super::project::{COST, Jobs, RESPONSES, background};

const TEXT: &str = "one two three four five six";

/// What an answer of `TEXT` costs: 10 input tokens at 1 micro-dollar, 5 output tokens at 2.
const PAID: u64 = 20;

/// What an attempt of `TEXT` costs if it is charged by rule at most: all of its input, all of its output.
const BY_RULE: u64 = 700;

/// A job whose events are written in several chunks, because somebody follows it.
async fn followed() -> (Jobs, String) {
    let jobs = Jobs::new().await;
    jobs.app.first.always(Script::Paced { text: TEXT.to_owned(), gap: Duration::from_millis(300) });
    let mut body = background();
    body["stream"] = json!(true);
    // The client leaves after the first events.
    let posting = async { tokio::time::timeout(Duration::from_millis(50), jobs.post(&body, &[])).await.is_err() };
    assert!(posting.await);
    let listed = jobs.app.stores.jobs().list(&jobs.project.id, None, 10).await.unwrap().records;
    let id = listed[0].key.response_id.clone();
    (jobs, id)
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_dies_at_any_step_loses_nothing_and_doubles_nothing() {
    for fault in [Fault::Hang, Fault::HangAfter] {
        let mut deaths = 0;
        for step in 0.. {
            let (jobs, id) = followed().await;
            let instance = jobs.app.instance();
            jobs.app.faults.at(step, fault);
            jobs.app.work_once(Queue::Respond, |event| respond::job(event, instance.response_worker(), None)).await;
            let died = jobs.app.faults.hangs();
            jobs.app.faults.clear();
            jobs.settle().await;
            let context = format!("{fault:?} at step {step}");
            let response = jobs.ended(&id, "completed").await;
            assert_eq!(response["output"][0]["content"][0]["text"], TEXT, "{context}");
            let (spent, held) = jobs.books().await;
            let calls = jobs.app.first.call_count() as u64;
            assert!(held == 0 && spent <= calls * BY_RULE, "{context}: {spent} for {calls} calls");
            if !died {
                assert_eq!(calls, 1, "{context}: nobody died");
                break;
            }
            deaths += 1;
            assert!((1..=2).contains(&calls), "{context}: {calls} calls");
        }
        assert!(deaths > 10, "a run has more steps than {deaths}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_dies_before_it_calls_the_provider_costs_nothing_and_takes_no_run() {
    let mut deaths = 0;
    for step in 0.. {
        let (jobs, id) = followed().await;
        let instance = jobs.app.instance();
        jobs.app.faults.at(step, Fault::Hang);
        jobs.app.work_once(Queue::Respond, |event| respond::job(event, instance.response_worker(), None)).await;
        assert!(jobs.app.faults.hangs(), "a run has more steps than {step}");
        jobs.app.faults.clear();
        let record = record(&jobs, &id).await;
        if record.begun > 0 {
            break;
        }
        deaths += 1;
        assert_eq!((jobs.app.first.call_count(), record.runs), (0, 0), "step {step}");
        jobs.settle().await;
        jobs.ended(&id, "completed").await;
        assert_eq!((jobs.books().await, record_runs(&jobs, &id).await), ((PAID, 0), 1), "step {step}");
    }
    assert!(deaths > 4, "a run has more steps than {deaths} before it begins");
}

#[tokio::test]
async fn a_response_that_kills_each_worker_before_it_begins_ends_as_failed_and_costs_nothing() {
    let jobs = Jobs::new().await;
    let id = jobs.accept().await;
    for _ in 0..10 {
        let instance = jobs.app.instance();
        // The claim takes effect, and what follows it kills the process.
        let mut claimed = false;
        jobs.app.faults.set(move |operation| {
            let dies = claimed;
            claimed |= operation == "UpdateItem";
            if dies { Fault::Hang } else { Fault::None }
        });
        jobs.app.work_once(Queue::Respond, |event| respond::job(event, instance.response_worker(), None)).await;
        assert!(jobs.app.faults.hangs());
        jobs.app.faults.clear();
        jobs.app.clock.advance_ms(600_000);
        jobs.sweep().await;
    }
    jobs.settle().await;
    let response = jobs.ended(&id, "failed").await;
    let message = "10 workers took the response up and died before they began it.";
    assert_eq!((response["error"]["message"].as_str(), jobs.app.first.call_count()), (Some(message), 0));
    assert_eq!(jobs.books().await, (0, 0));
}

/// Whichever worker ends the response, its turn is added once, and an item that a client deletes meanwhile stays deleted.
#[tokio::test(start_paused = true)]
async fn the_turn_of_a_response_is_added_once_whatever_step_its_worker_dies_at() {
    let mut deaths_after_the_turn = 0;
    for step in 0.. {
        let jobs = Jobs::new().await;
        let conversation = jobs.send("POST", "/v1/conversations", &json!({})).await["id"].as_str().unwrap().to_owned();
        let items = format!("/v1/conversations/{conversation}/items?order=asc");
        let mut body = background();
        body["conversation"] = json!(conversation);
        let id = jobs.post(&body, &[]).await.json()["id"].as_str().unwrap().to_owned();
        let instance = jobs.app.instance();
        jobs.app.faults.at(step, Fault::HangAfter);
        jobs.app.work_once(Queue::Respond, |event| respond::job(event, instance.response_worker(), None)).await;
        let died = jobs.app.faults.hangs();
        jobs.app.faults.clear();
        let mut expected = vec!["user".to_owned(), "assistant".to_owned()];
        let added = roles(&jobs.send("GET", &items, &json!(null)).await);
        if died && added == expected {
            deaths_after_the_turn += 1;
            let listed = jobs.send("GET", &items, &json!(null)).await;
            let first = format!("/v1/conversations/{conversation}/items/{}", listed["first_id"].as_str().unwrap());
            jobs.send("DELETE", &first, &json!(null)).await;
            expected.remove(0);
        }
        jobs.settle().await;
        jobs.ended(&id, "completed").await;
        assert_eq!(roles(&jobs.send("GET", &items, &json!(null)).await), expected, "step {step}");
        if !died {
            break;
        }
    }
    assert!(deaths_after_the_turn > 0, "no worker died after it had added the turn");
}

fn roles(list: &serde_json::Value) -> Vec<String> {
    let items = list["data"].as_array().unwrap();
    items.iter().map(|item| item["role"].as_str().unwrap().to_owned()).collect()
}

/// Requests that do not fit into the memory of one process at the same time.
#[tokio::test]
async fn the_large_requests_of_a_batch_run_one_after_another() {
    let app = kit::TestApp::new().await;
    let limits = shared::model::project::Limits::default();
    let jobs = Jobs::of(app, limits).await;
    let mut body = background();
    body["input"] = json!("x".repeat(4_500_000));
    let mut ids = Vec::new();
    for _ in 0..2 {
        let reply = jobs.post(&body, &[]).await;
        ids.push(reply.json()["id"].as_str().unwrap().to_owned());
    }
    let small = jobs.accept().await;
    jobs.work().await;
    assert_eq!(jobs.app.first.call_count(), 2, "a large one and the small one");
    let mut runs = Vec::new();
    for id in &ids {
        runs.push(record_runs(&jobs, id).await);
    }
    runs.sort_unstable();
    assert_eq!(runs, [0, 1], "waiting is no run");
    jobs.settle().await;
    for id in ids.iter().chain([&small]) {
        jobs.ended(id, "completed").await;
    }
}

async fn record(jobs: &Jobs, id: &str) -> shared::data::ResponseRecord {
    let key = ResponseKey { project_id: jobs.project.id.clone(), response_id: id.to_owned() };
    jobs.app.stores.responses().get(&key).await.unwrap().unwrap()
}

async fn record_runs(jobs: &Jobs, id: &str) -> u64 {
    record(jobs, id).await.runs
}

#[tokio::test(start_paused = true)]
async fn a_sweeper_that_dies_at_any_step_leaves_the_rest_to_the_next() {
    for fault in [Fault::Hang, Fault::HangAfter] {
        for step in 0.. {
            let jobs = Jobs::new().await;
            // Its message is lost.
            jobs.app.faults.set(|operation| if operation == "SendMessage" { Fault::Lose } else { Fault::None });
            let waiting = jobs.accept().await;
            jobs.app.faults.clear();
            // This one's worker dies when it has ended, before what follows.
            let ended = jobs.accept().await;
            let instance = jobs.app.instance();
            let mut finished = false;
            jobs.app.faults.set(move |operation| {
                let dies = finished;
                finished |= operation == "TransactWriteItems";
                if dies { Fault::Hang } else { Fault::None }
            });
            jobs.app.work_once(Queue::Respond, |event| respond::job(event, instance.response_worker(), None)).await;
            jobs.app.clock.advance_ms(61_000);
            jobs.app.faults.at(step, fault);
            let instance = jobs.app.instance();
            let _ = jobs.app.faults.or_die(instance.sweeper().sweep()).await;
            let died = jobs.app.faults.hangs();
            jobs.app.faults.clear();
            jobs.settle().await;
            jobs.ended(&waiting, "completed").await;
            jobs.ended(&ended, "completed").await;
            assert_eq!(jobs.books().await, (2 * COST, 0), "{fault:?} at step {step}");
            assert_eq!(jobs.app.first.call_count(), 2, "{fault:?} at step {step}");
            if !died {
                assert!(step > 5, "a sweep has more steps than {step}");
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_while_it_accepts_leaves_its_key_one_response() {
    let body = background().to_string();
    let key: &[(&str, &str)] = &[("idempotency-key", "one")];
    for fault in [Fault::Hang, Fault::HangAfter, Fault::LoseAnswer] {
        for step in 0.. {
            let jobs = Jobs::new().await;
            let (router, api_key, sent) = (jobs.app.router(), jobs.key.clone(), body.clone());
            let faults = jobs.app.faults.clone();
            let _ = jobs.app.log.take();
            faults.at(step, fault);
            let doomed = std::thread::spawn(move || {
                // A process of its own: when its runtime goes, everything that ran in it is gone.
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    drop(faults.or_die(kit::send(&router, "POST", RESPONSES, &api_key, key, sent)).await);
                });
            });
            doomed.join().unwrap();
            let steps = jobs.app.log.take().len();
            jobs.app.faults.clear();
            jobs.app.clock.advance_ms(31_000); // The key's lease ends.
            let again = jobs.post(&background(), key).await;
            assert_eq!(again.status, 200, "{fault:?} at step {step}: {}", again.text());
            let id = again.json()["id"].as_str().unwrap().to_owned();
            jobs.settle().await;
            let listed = jobs.app.stores.jobs().list(&jobs.project.id, None, 10).await.unwrap().records;
            let ids: Vec<_> = listed.iter().map(|record| &record.key.response_id).collect();
            assert_eq!(ids, [&id], "{fault:?} at step {step}: one key is one response");
            jobs.app.clock.advance_ms(26 * 3_600_000); // A hold without a response is settled by its lease.
            jobs.sweep().await;
            jobs.ended(&id, "completed").await;
            assert_eq!(jobs.app.first.call_count(), 1, "{fault:?} at step {step}");
            if step >= steps {
                assert!(step > 5, "accepting has more steps than {step}");
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_only_seemed_dead_writes_nothing_when_it_wakes() {
    let (jobs, id) = followed().await;
    jobs.app.first.then(Script::Paced { text: TEXT.to_owned(), gap: Duration::from_secs(1) });
    let (slow, fast) = (jobs.app.instance(), jobs.app.instance());
    let event = jobs.app.take_messages(Queue::Respond);
    let sleeper = respond::job(event.clone(), slow.response_worker(), None);
    let other = async {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        jobs.app.clock.advance_ms(31_000);
        respond::job(event.clone(), fast.response_worker(), None).await;
        (jobs.get(&id).await.text().to_owned(), jobs.stream(&id, None).await)
    };
    let (response, (seen, stream)) = tokio::join!(sleeper, other);
    assert!(response.batch_item_failures.is_empty());
    assert_eq!(jobs.app.first.call_count(), 2);
    assert_eq!((jobs.get(&id).await.text(), jobs.stream(&id, None).await.as_str()), (seen.as_str(), stream.as_str()));
    jobs.settle().await;
    jobs.ended(&id, "completed").await;
}

#[tokio::test(start_paused = true)]
async fn a_foreground_stream_whose_process_died_ends_as_failed_and_is_charged() {
    let jobs = Jobs::new().await;
    jobs.app.first.always(Script::Paced { text: TEXT.to_owned(), gap: Duration::from_secs(1) });
    let (key, router) = (jobs.key.clone(), jobs.app.router());
    let body = json!({"model": "priced", "input": "Hello", "max_output_tokens": 100, "stream": true}).to_string();
    let doomed = std::thread::spawn(move || {
        // A process of its own: when its runtime goes, everything that ran in it is gone.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let sending = kit::send(&router, "POST", RESPONSES, &key, &[("idempotency-key", "one")], body);
            tokio::time::timeout(Duration::from_millis(2_500), sending).await.is_err()
        })
    });
    assert!(doomed.join().unwrap());
    let due = jobs.due().await;
    let Due::Response(response) = &due[0] else { panic!("{due:?}") };
    jobs.settle().await;
    let failed = jobs.ended(&response.response_id, "failed").await;
    assert_eq!(failed["error"]["code"], "server_error");
    let (spent, _) = jobs.books().await;
    assert!(spent > 0 && spent <= BY_RULE, "{spent}");
}
