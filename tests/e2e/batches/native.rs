//! Lines that a provider runs in a batch of its own: each has one result, whatever dies, is lost or comes late, and each costs the
//! provider's price for batches.

use std::sync::Arc;

use bytes::Bytes;
use kit::{ADMIN_KEY, Fault, Submission, TestApp, chat_answer, send};
use serde_json::{Value, json};
use shared::model::catalog::Catalog;
use shared::model::money::MicroUsd;
use shared::model::project::Limits;
use shared::model::provider::Failure;
use shared::model::provider_batch::BatchState;
use shared::model::tokens::Usage;

use super::{LINE_COST, Site, chat, lines};

const HOUR_MS: u64 = 3_600_000;
/// What a line costs in a batch of the provider: half.
const NATIVE_COST: u64 = LINE_COST / 2;

fn limits() -> Limits {
    Limits { budget: Some(MicroUsd(10_000_000)), ..Limits::default() }
}

fn answer() -> (u16, Bytes) {
    (200, chat_answer("Hi", &Usage { input: 10, output: 5, ..Usage::default() }))
}

impl Site {
    /// The model `priced` goes to the provider's batches, at half of its price.
    async fn native(limits: Limits) -> Self {
        let catalog = "[[provider]]\nname='first'\nkind='openai'\nbase_url='http://first.example'\n[[model]]\nname='priced'\nkind='chat'\n\
                       batch='native'\ncontext_tokens=9000\nmax_output_tokens=100\nprice={input=1,output=2,batch_discount=0.5}\n\
                       targets=[{provider='first',model='m'}]";
        let app = TestApp::builder().models(Arc::new(Catalog::parse(catalog).unwrap())).build().await;
        app.first.batch_api();
        Self::of(app, limits).await
    }

    /// Lets time pass, and does what is due.
    async fn later(&self, ms: u64) {
        self.app.clock.advance_ms(ms);
        self.instance.sweeper().sweep().await.unwrap();
        self.work().await;
    }

    /// The batch after the provider has answered each line that it has.
    async fn answered(&self, batch_id: &str) -> Value {
        self.app.first.batch_api().end_all(&|_, _| Some(answer()));
        self.app.clock.advance_ms(900_000);
        self.run(batch_id).await
    }

    async fn settled(&self) -> u64 {
        let (spent, held) = self.app.books(&self.project).await;
        assert_eq!(held, 0);
        spent
    }
}

#[tokio::test(start_paused = true)]
async fn lines_go_to_the_provider_and_come_back_at_its_price() {
    let site = Site::native(limits()).await;
    let batch_id = site.submit(&lines(5)).await;
    site.work().await;
    let taken = site.app.first.batch_api().taken();
    assert_eq!((taken.len(), taken[0].new.requests.len(), taken[0].new.path.as_str()), (1, 5, "/chat/completions"));
    let first: Value = serde_json::from_slice(&taken[0].new.requests[0].1).unwrap();
    assert_eq!(first["messages"][0]["content"], "line-0");
    let batch = site.get(&batch_id).await;
    assert_eq!(batch["status"], "in_progress");
    let waiting_for = batch["weir"]["waiting_for"].as_str().unwrap();
    assert_eq!(waiting_for, "The provider runs the lines in a batch of its own.");
    let (_, held) = site.app.books(&site.project).await;
    assert!((500..1_500).contains(&held), "the worst case at half of the price: {held}");
    // Hours later the money is still held, and nobody has asked more often than a tenth of the time allows.
    for _ in 0..20 {
        site.later(900_000).await;
    }
    assert_eq!(site.app.books(&site.project).await, (0, held));
    let batch = site.answered(&batch_id).await;
    assert_eq!(batch["status"], "completed", "{batch}");
    let (output, _) = site.results(&batch, 5).await;
    assert_eq!(output["line-3"]["response"]["body"]["choices"][0]["message"]["content"], "Hi");
    assert_eq!((Site::cost(&batch), site.settled().await), (5 * NATIVE_COST, 5 * NATIVE_COST));
    assert_eq!((site.app.first.call_count(), site.leftovers().await), (0, vec![]));
    assert!(site.app.first.batch_api().taken()[0].is_deleted, "the provider keeps nothing");
}

#[tokio::test(start_paused = true)]
async fn what_the_provider_leaves_runs_here_at_the_usual_price() {
    let site = Site::native(limits()).await;
    let batch_id = site.submit(&lines(6)).await;
    site.work().await;
    site.app.first.batch_api().end_all(&|id, _| match id {
        "1" => None,
        "2" => Some((500, Bytes::from_static(b"{}"))),
        "3" => Some((429, Bytes::from_static(b"{}"))),
        "4" => Some((400, Bytes::from_static(b"{}"))),
        _ => Some(answer()),
    });
    site.app.clock.advance_ms(900_000);
    let batch = site.run(&batch_id).await;
    let (output, errors) = site.results(&batch, 6).await;
    assert_eq!((output.len(), errors.len()), (5, 1));
    assert_eq!(errors["line-3"]["response"]["status_code"], 400);
    assert_eq!(site.app.first.call_count(), 3);
    let expected = 2 * NATIVE_COST + 3 * LINE_COST;
    assert_eq!((Site::cost(&batch), site.settled().await), (expected, expected));
}

/// A worker dies before and after each call of a store. The provider never gets a line twice.
#[tokio::test(start_paused = true)]
async fn a_worker_that_dies_at_any_call_submits_nothing_twice() {
    for fault in [Fault::Hang, Fault::HangAfter] {
        let (mut died, mut unnoted) = (0, 0);
        for n in 0.. {
            let site = Site::native(limits()).await;
            let batch_id = site.submit(&lines(3)).await;
            site.app.faults.at(n, fault);
            let drive = async {
                site.work().await;
                site.app.first.batch_api().end_all(&|_, _| Some(answer()));
                site.app.clock.advance_ms(900_000);
                site.work().await;
            };
            let _ = site.app.faults.or_die(drive).await;
            let has_died = site.app.faults.hangs();
            site.app.faults.clear();
            for _ in 0..10 {
                site.later(900_000).await;
                site.app.first.batch_api().end_all(&|_, _| Some(answer()));
            }
            let batch = site.run(&batch_id).await;
            assert_eq!(batch["status"], "completed", "{fault:?} at {n}: {batch}");
            let (output, _) = site.results(&batch, 3).await;
            let taken = site.app.first.batch_api().taken().len();
            assert_eq!((output.len(), taken, site.app.first.call_count()), (3, 1, 0), "{fault:?} at {n}");
            // A death between a reservation and its note in the part: the sweeper settles it, when it would have ended.
            site.later(27 * HOUR_MS).await;
            let spent = site.settled().await;
            unnoted += u32::from(spent > 3 * NATIVE_COST);
            assert!(Site::cost(&batch) == 3 * NATIVE_COST && spent >= 3 * NATIVE_COST, "{fault:?} at {n}: {spent}");
            assert_eq!(site.leftovers().await, [""; 0], "{fault:?} at {n}");
            if !has_died {
                break;
            }
            died += 1;
        }
        assert!(died > 20 && unnoted <= 1, "{died}, {unnoted}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_submission_without_an_answer_is_looked_for() {
    // The provider has it.
    let site = Site::native(limits()).await;
    site.app.first.batch_api().then(Submission::Unanswered);
    let batch_id = site.submit(&lines(3)).await;
    site.work().await;
    let batch = site.answered(&batch_id).await;
    assert_eq!((site.results(&batch, 3).await.0.len(), site.app.first.batch_api().taken().len()), (3, 1));
    assert_eq!(site.settled().await, 3 * NATIVE_COST);

    // The provider never got it.
    let site = Site::native(limits()).await;
    site.app.first.batch_api().then(Submission::Fails(|| Failure::Interrupted("cut".into())));
    let batch_id = site.submit(&lines(3)).await;
    site.work().await;
    site.later(61_000).await;
    let batch = site.answered(&batch_id).await;
    assert_eq!((site.results(&batch, 3).await.0.len(), site.app.first.batch_api().taken().len()), (3, 1));
    assert_eq!(site.settled().await, 3 * NATIVE_COST);

    // Nobody can tell: the submission is charged what was held for it, and the lines run here.
    let site = Site::native(limits()).await;
    site.app.first.batch_api().hide_tags();
    site.app.first.batch_api().then(Submission::Unanswered);
    let batch_id = site.submit(&lines(3)).await;
    site.work().await;
    let (_, held) = site.app.books(&site.project).await;
    let batch = site.run(&batch_id).await;
    assert_eq!((site.results(&batch, 3).await.0.len(), site.app.first.call_count()), (3, 3));
    assert_eq!(site.settled().await, held + 3 * LINE_COST);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_does_not_take_lines_is_asked_again_or_left_out() {
    type Row = (Submission, usize, usize);
    let rows: [Row; 6] = [
        (Submission::Refused { is_full: true }, 2, 0),
        (Submission::Refused { is_full: false }, 1, 3),
        (Submission::Fails(|| Failure::Throttled { message: String::new(), retry_after: None }), 1, 0),
        (Submission::Fails(|| Failure::Unreachable("down".into())), 1, 0),
        (Submission::Fails(|| Failure::wrong_entry("no key")), 1, 0),
        (Submission::Fails(|| Failure::Refused { status: 400, refusal: Default::default() }), 0, 3),
    ];
    for (n, (submission, taken, calls)) in rows.into_iter().enumerate() {
        let site = Site::native(limits()).await;
        site.app.first.batch_api().then(submission);
        let batch_id = site.submit(&lines(3)).await;
        site.work().await;
        for _ in 0..4 {
            site.later(61_000).await;
        }
        let batch = site.answered(&batch_id).await;
        assert_eq!(site.results(&batch, 3).await.0.len(), 3, "row {n}");
        let (now_taken, called) = (site.app.first.batch_api().taken().len(), site.app.first.call_count());
        assert_eq!((now_taken, called), (taken, calls), "row {n}");
        let cost = if calls > 0 { LINE_COST } else { NATIVE_COST };
        assert_eq!((Site::cost(&batch), site.settled().await), (3 * cost, 3 * cost), "row {n}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_batch_keeps_the_results_that_the_provider_has() {
    let site = Site::native(limits()).await;
    let batch_id = site.submit(&lines(4)).await;
    site.work().await;
    assert_eq!(site.cancel(&batch_id).await.status, 200);
    site.work().await;
    assert!(site.app.first.batch_api().taken()[0].is_cancelled);
    assert_eq!(site.get(&batch_id).await["status"], "cancelling", "the provider has not ended yet");
    site.app.first.batch_api().end_all(&|id, _| (id == "2").then(answer));
    let batch = site.run(&batch_id).await;
    assert_eq!(batch["status"], "cancelled", "{batch}");
    let (output, errors) = site.results(&batch, 4).await;
    assert_eq!((output.len(), errors.len(), site.app.first.call_count()), (1, 3, 0));
    assert_eq!(errors["line-0"]["error"]["code"], "batch_cancelled");
    assert_eq!(site.settled().await, NATIVE_COST);
}

#[tokio::test(start_paused = true)]
async fn the_last_hour_is_for_lines_that_the_provider_left() {
    let site = Site::native(limits()).await;
    let batch_id = site.submit(&lines(4)).await;
    site.work().await;
    for _ in 0..23 * 4 {
        site.later(900_000).await;
    }
    assert!(site.app.first.batch_api().taken()[0].is_cancelled);
    site.app.first.batch_api().end_all(&|id, _| (id != "2").then(answer));
    site.app.clock.advance_ms(61_000);
    let batch = site.run(&batch_id).await;
    assert_eq!(batch["status"], "completed", "{batch}");
    assert_eq!((site.results(&batch, 4).await.0.len(), site.app.first.call_count()), (4, 1));
    assert_eq!(site.settled().await, 3 * NATIVE_COST + LINE_COST);
}

/// The provider does not end, loses the batch, or is not in the models file any more.
#[tokio::test(start_paused = true)]
async fn a_batch_ends_in_time_whatever_the_provider_does() {
    // It never ends.
    let site = Site::native(limits()).await;
    let batch_id = site.submit(&lines(2)).await;
    site.work().await;
    let (_, held) = site.app.books(&site.project).await;
    for _ in 0..25 {
        site.later(HOUR_MS).await;
    }
    let batch = site.run(&batch_id).await;
    assert_eq!((batch["status"].as_str(), site.settled().await), (Some("expired"), held));
    let (_, errors) = site.results(&batch, 2).await;
    assert_eq!(errors["line-0"]["error"]["code"], "batch_expired");

    // It loses the batch: the lines run here.
    let site = Site::native(limits()).await;
    let batch_id = site.submit(&lines(2)).await;
    site.work().await;
    site.app.first.batch_api().lose_all();
    site.app.clock.advance_ms(900_000);
    let batch = site.run(&batch_id).await;
    assert_eq!((batch["status"].as_str(), site.app.first.call_count()), (Some("completed"), 2));
    assert_eq!((site.results(&batch, 2).await.0.len(), site.settled().await), (2, held + 2 * LINE_COST));
}

#[tokio::test(start_paused = true)]
async fn an_archived_project_and_a_deleted_file_stop_the_provider() {
    for path in ["project", "file"] {
        let site = Site::native(limits()).await;
        let batch_id = site.submit(&lines(3)).await;
        site.work().await;
        let reply = if path == "file" {
            let file_id = site.get(&batch_id).await["input_file_id"].as_str().unwrap().to_owned();
            send(&site.router, "DELETE", &format!("/v1/files/{file_id}"), &site.key, &[], "").await
        } else {
            let archive = format!("/v1/organization/projects/{}/archive", site.project.id);
            send(&site.router, "POST", &archive, ADMIN_KEY, &[], "").await
        };
        assert_eq!(reply.status, 200, "{}", reply.text());
        site.later(900_000).await;
        let taken = site.app.first.batch_api().taken();
        assert!(taken[0].is_cancelled && taken[0].state == BatchState::Running, "{path}");
        site.app.first.batch_api().end_all(&|id, _| (id == "1").then(answer));
        for _ in 0..4 {
            site.later(900_000).await;
        }
        let key = shared::model::batch::BatchKey { project_id: site.project.id.clone(), batch_id };
        let ended = site.app.stores.batches().get(&key).await.unwrap().unwrap();
        let completed = u64::from(path == "project");
        assert_eq!((ended.status.name(), ended.counts.completed), ("completed", completed), "{path}");
        assert_eq!((ended.counts.failed, site.app.first.call_count()), (3 - completed, 0), "{path}");
        // What the provider ran is paid, and nothing of it stays there.
        assert_eq!(site.settled().await, NATIVE_COST, "{path}");
        assert!(site.app.first.batch_api().taken()[0].is_deleted, "{path}");
    }
}

/// A worker dies between the settlement and the end of a part, and the provider has deleted its results by then.
#[tokio::test(start_paused = true)]
async fn results_that_are_gone_end_a_batch() {
    let site = Site::native(limits()).await;
    let batch_id = site.submit(&lines(3)).await;
    site.work().await;
    let (_, held) = site.app.books(&site.project).await;
    let api = site.app.first.batch_api();
    api.end_all(&|_, _| Some(answer()));
    api.delete_all();
    site.app.clock.advance_ms(900_000);
    let batch = site.run(&batch_id).await;
    assert_eq!((batch["status"].as_str(), site.results(&batch, 3).await.0.len()), (Some("completed"), 3));
    assert_eq!((site.app.first.call_count(), site.settled().await), (3, held + 3 * LINE_COST));
}

/// Asking for a batch that takes long to cancel is no faster than for one that runs.
#[tokio::test(start_paused = true)]
async fn a_cancellation_that_takes_long_asks_once_a_minute() {
    let site = Site::native(limits()).await;
    let batch_id = site.submit(&lines(2)).await;
    site.work().await;
    assert_eq!(site.cancel(&batch_id).await.status, 200);
    site.work().await;
    let before = site.app.first.batch_api().asked();
    for _ in 0..30 {
        assert_eq!(site.cancel(&batch_id).await.status, 200);
        site.later(60_000).await;
    }
    let asked = site.app.first.batch_api().asked() - before;
    assert!((15..=31).contains(&asked), "{asked} in half an hour");
    site.app.first.batch_api().end_all(&|_, _| None);
    site.later(60_000).await;
    assert_eq!(site.run(&batch_id).await["status"], "cancelled");
}

/// An overload is no answer that is lost: nothing is charged, also where batches cannot be found.
#[tokio::test(start_paused = true)]
async fn an_overloaded_provider_gets_the_lines_later() {
    let site = Site::native(limits()).await;
    let api = site.app.first.batch_api();
    api.hide_tags();
    api.then(Submission::Fails(|| Failure::Unavailable { status: 529, message: String::new(), retry_after: None }));
    let batch_id = site.submit(&lines(3)).await;
    site.work().await;
    assert_eq!((site.settled().await, api.taken().len()), (0, 0));
    site.later(121_000).await;
    let batch = site.answered(&batch_id).await;
    assert_eq!((site.results(&batch, 3).await.0.len(), api.taken().len()), (3, 1));
    assert_eq!(site.settled().await, 3 * NATIVE_COST);
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_pays_for_some_lines_sends_some() {
    // The worst case of one line is about 220 micro-dollars at half of the price.
    let site = Site::native(Limits { budget: Some(MicroUsd(1_500)), ..Limits::default() }).await;
    let batch_id = site.submit(&lines(20)).await;
    site.work().await;
    let api = site.app.first.batch_api();
    assert_eq!(api.taken()[0].new.requests.len(), 5, "half of half of the lines");
    for _ in 0..8 {
        let (spent, held) = site.app.books(&site.project).await;
        assert!(spent + held <= 1_500, "{spent} + {held}");
        api.end_all(&|_, _| Some(answer()));
        site.later(900_000).await;
    }
    let batch = site.run(&batch_id).await;
    let (output, _) = site.results(&batch, 20).await;
    let sent: Vec<usize> = api.taken().iter().map(|taken| taken.new.requests.len()).collect();
    assert_eq!((output.len(), sent.iter().sum(), site.app.first.call_count()), (20, 20, 0), "{sent:?}");
    assert_eq!(site.settled().await, 20 * NATIVE_COST);
}

#[tokio::test(start_paused = true)]
async fn large_batches_are_few_batches_of_the_provider() {
    let site = Site::native(Limits::default()).await;
    let batch_id = site.submit(&lines(4_500)).await;
    site.work().await;
    let sizes: Vec<usize> = site.app.first.batch_api().taken().iter().map(|taken| taken.new.requests.len()).collect();
    assert_eq!((sizes.len(), sizes.iter().sum::<usize>(), sizes.iter().max()), (3, 4_500, Some(&2_000)), "{sizes:?}");
    let batch = site.answered(&batch_id).await;
    assert_eq!(site.results(&batch, 4_500).await.0.len(), 4_500);
}

#[tokio::test(start_paused = true)]
async fn responses_are_made_of_the_providers_answers_and_tiers_run_here() {
    let site = Site::native(limits()).await;
    let call = json!({
        "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": "Look.", "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "find", "arguments": "{\"a\":1}"}},
            {"id": "call_2", "type": "function", "function": {"name": "find", "arguments": "{\"a\":2}"}},
        ]}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    });
    let line = json!({"custom_id": "r", "method": "POST", "url": "/v1/responses", "body": {"model": "priced", "input": "Hello", "max_output_tokens": 100}});
    let file_id = site.upload(line.to_string().as_bytes()).await;
    let batch_id = site.create(&file_id, "/v1/responses").await.json()["id"].as_str().unwrap().to_owned();
    site.work().await;
    assert_eq!(site.app.first.batch_api().taken().len(), 1, "{}", site.get(&batch_id).await);
    site.app.first.batch_api().end_all(&|_, _| Some((200, call.to_string().into())));
    site.app.clock.advance_ms(900_000);
    let batch = site.run(&batch_id).await;
    let (output, _) = site.results(&batch, 1).await;
    let body = &output["r"]["response"]["body"];
    assert_eq!(site.app.first.call_count(), 0, "{body}");
    let kinds: Vec<_> = body["output"].as_array().unwrap().iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!(
        (body["status"].as_str(), kinds),
        (Some("completed"), vec!["message", "function_call", "function_call"])
    );
    assert_eq!((&body["output"][2]["arguments"], &body["usage"]["output_tokens"]), (&json!("{\"a\":2}"), &json!(5)));

    let site = Site::native(Limits::default()).await;
    let batch_id = site.submit(&chat("t", "priced", json!({"service_tier": "flex"}))).await;
    let batch = site.run(&batch_id).await;
    assert_eq!((site.results(&batch, 1).await.0.len(), site.app.first.call_count()), (1, 1));
}
