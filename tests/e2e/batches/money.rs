//! The money of batches: lines are admitted as they run, and a spent budget lets them wait.

use kit::{ADMIN_KEY, Consumed, Script, TestApp, send};
use serde_json::json;
use shared::edge::render;
use shared::model::money::MicroUsd;
use shared::model::project::Limits;

use super::{LINE_COST, Site, line, lines};

/// What `line` holds: its body and what templates add, at 1 micro-dollar a byte, and 100 output tokens at 2.
fn hold() -> u64 {
    let line: serde_json::Value = serde_json::from_str(&line("line-0")).unwrap();
    line["body"].to_string().len() as u64 + 32 + 200
}

#[tokio::test(start_paused = true)]
async fn lines_wait_for_money_and_go_on_when_it_comes() {
    // Enough for the worst case of some 20 lines.
    let budget = MicroUsd(20 * hold());
    let site = Site::new(Limits { budget: Some(budget), ..Limits::default() }).await;
    let batch_id = site.submit(&lines(1_000)).await;
    site.work().await;
    let batch = site.get(&batch_id).await;
    let done = batch["request_counts"]["completed"].as_u64().unwrap();
    assert!(batch["status"] == "in_progress" && done < 1_000, "{batch}");
    let waiting_for = batch["weir"]["waiting_for"].as_str().unwrap();
    assert!(waiting_for.contains("budget") && batch["weir"]["waiting_until"].is_u64(), "{batch}");
    let (spent, held) = site.app.books(&site.project).await;
    assert!(held == 0 && spent <= budget.0 && spent >= budget.0 - 2 * hold(), "{spent} of {}", budget.0);
    // Nothing is run while there is no money.
    let calls = site.app.first.call_count();
    assert_eq!(calls as u64, spent / LINE_COST);
    for _ in 0..3 {
        site.end_leases();
        site.instance.sweeper().sweep().await.unwrap();
        site.work().await;
    }
    let (spent, _) = site.app.books(&site.project).await;
    assert!(spent <= budget.0, "{spent}");
    let body = json!({"limits": {"budget_usd_per_month": 1.0}});
    let path = format!("/v1/organization/projects/{}", site.project.id);
    let raised = send(&site.router, "POST", &path, ADMIN_KEY, &[], body.to_string()).await;
    assert_eq!(raised.status, 200, "{}", raised.text());
    let batch = site.run(&batch_id).await;
    let (output, _) = site.results(&batch, 1_000).await;
    assert_eq!((output.len(), site.app.first.call_count()), (1_000, 1_000));
    assert_eq!(batch["weir"]["waiting_for"], json!(null));
    assert_eq!((Site::cost(&batch), site.app.books(&site.project).await), (1_000 * LINE_COST, (1_000 * LINE_COST, 0)));
}

#[tokio::test(start_paused = true)]
async fn twenty_batches_at_once_never_overspend() {
    let budget = MicroUsd(50 * hold());
    let site = Site::new(Limits { budget: Some(budget), ..Limits::default() }).await;
    site.app.first.always(Script::answer("Hi", hold() - 200, 100));
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(site.submit(&lines(40)).await);
    }
    for _ in 0..5 {
        site.work().await;
        site.end_leases();
        site.instance.sweeper().sweep().await.unwrap();
    }
    let (spent, held) = site.app.books(&site.project).await;
    assert!(spent <= budget.0 && held == 0, "{spent} of {}", budget.0);
    assert!(site.app.first.call_count() >= 45, "{}", site.app.first.call_count());
    for id in ids {
        let expected = if site.cancel(&id).await.status == 200 { "cancelled" } else { "completed" };
        assert_eq!(site.run(&id).await["status"], expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_that_no_budget_can_pay_for_is_an_error_and_the_others_run() {
    let site = Site::new(Limits { budget: Some(MicroUsd(1_000_000)), ..Limits::default() }).await;
    let unpriced = line("a").replace("priced", "unpriced");
    let batch_id = site.submit(&unpriced).await;
    let batch = site.run(&batch_id).await;
    let (_, errors) = site.results(&batch, 1).await;
    assert_eq!(errors["a"]["response"]["status_code"], 400, "{errors:?}");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_lines_cost_fewer_than_60_writes() {
    let app = TestApp::new().await;
    let consumed = Consumed::default();
    let site = Site::of(app, Limits { budget: Some(MicroUsd(100_000_000)), ..Limits::default() }).await;
    let worker = site.app.instance_metered(&consumed).batch_worker(render);
    let site = Site { worker, ..site };
    let batch_id = site.submit(&lines(10_000)).await;
    let before = site.app.first.call_count();
    let _ = consumed.take();
    site.work().await;
    let units = consumed.take();
    assert_eq!(site.app.first.call_count() - before, 10_000);
    let batch = site.get(&batch_id).await;
    assert_eq!(batch["status"], "completed", "{batch}");
    // Each part takes its item, reserves, begins, settles, counts, and completes; transactions are billed twice.
    assert!(units.write_units / 10.0 < 60.0, "{units:?}");
}
