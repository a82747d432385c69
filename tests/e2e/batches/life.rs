//! The life of a batch: statuses, results, cancellation and expiry.

use std::sync::Arc;

use async_trait::async_trait;
use kit::{Script, send};
use serde_json::{Value, json};
use shared::model::project::Limits;
use shared::model::provider::{Failure, ProviderRequest};
use shared::model::webhook::{Post, ReceiverAnswer, Receivers, RefusedUrl, SendError};

use super::{LINE_COST, SECOND, Site, chat, line, lines};

#[tokio::test(start_paused = true)]
async fn each_line_has_one_result() {
    let site = Site::new(Limits::default()).await;
    let batch_id = site.submit(&lines(300)).await;
    let batch = site.run(&batch_id).await;
    assert_eq!((&batch["status"], &batch["error_file_id"]), (&json!("completed"), &Value::Null), "{batch}");
    let (output, _) = site.results(&batch, 300).await;
    let row = &output["line-7"];
    let response = &row["response"];
    assert_eq!((&row["error"], &response["status_code"]), (&Value::Null, &json!(200)));
    assert_eq!(response["body"]["choices"][0]["message"]["role"], "assistant");
    assert!(row["id"].as_str().unwrap().starts_with("batch_req_"));
    // What the object says.
    assert_eq!((&batch["model"], &batch["metadata"]), (&json!("priced"), &json!({"of": "test"})));
    assert_eq!(batch["usage"]["total_tokens"], 300 * 15);
    for at in ["created_at", "in_progress_at", "finalizing_at", "completed_at", "expires_at"] {
        assert!(batch[at].is_u64(), "{at}: {batch}");
    }
    assert_eq!(batch["expires_at"].as_u64().unwrap() - batch["created_at"].as_u64().unwrap(), 86_400);
    assert_eq!(Site::cost(&batch), 300 * LINE_COST);
    assert_eq!(site.app.books(&site.project).await, (300 * LINE_COST, 0));
    assert_eq!(site.app.counted(&site.project).await.requests, 300);
    assert_eq!(site.app.first.call_count(), 300);
    assert_eq!(site.leftovers().await, [""; 0]);
    // The file says whose it is.
    let file = format!("/v1/files/{}", batch["output_file_id"].as_str().unwrap());
    let file = send(&site.router, "GET", &file, &site.key, &[], "").await.json();
    assert_eq!(
        (&file["purpose"], &file["filename"]),
        (&json!("batch_output"), &json!(format!("{batch_id}_output.jsonl")))
    );
}

#[tokio::test(start_paused = true)]
async fn all_endpoints_are_run_and_what_cannot_be_run_is_an_error_of_its_line() {
    let site = Site::new(Limits::default()).await;
    let request = |custom_id: &str, url: &str, body: Value| {
        json!({"custom_id": custom_id, "method": "POST", "url": url, "body": body}).to_string() + "\n"
    };
    for (url, good, bad, param) in [
        (
            "/v1/responses",
            json!({"model": "priced", "input": "Hello"}),
            json!({"model": "priced", "input": "Hello", "previous_response_id": "resp_1"}),
            "previous_response_id",
        ),
        (
            "/v1/responses",
            json!({"model": "priced", "input": "Hello"}),
            json!({"model": "priced", "input": "Hello", "background": true}),
            "background",
        ),
        (
            "/v1/chat/completions",
            json!({"model": "priced", "messages": [{"role": "user", "content": "x"}]}),
            json!({"model": "priced", "messages": 7}),
            "messages",
        ),
        (
            "/v1/chat/completions",
            json!({"model": "priced", "messages": [{"role": "user", "content": "x"}]}),
            json!({"model": "priced", "messages": [{"role": "user", "content": "x"}], "stream": true}),
            "stream",
        ),
        (
            "/v1/completions",
            json!({"model": "priced", "prompt": "Hello"}),
            json!({"model": "priced", "prompt": {}}),
            "prompt",
        ),
        ("/v1/embeddings", json!({"model": "embedding", "input": "Hello"}), json!({"model": "embedding"}), "input"),
        ("/v1/moderations", json!({"model": "moderation", "input": "Hello"}), json!({"model": "moderation"}), "input"),
    ] {
        let file = site.upload((request("good", url, good) + &request("bad", url, bad)).as_bytes()).await;
        let made = site.create(&file, url).await.json();
        let batch = site.run(made["id"].as_str().unwrap()).await;
        assert_eq!(batch["status"], "completed", "{url}: {batch}");
        let (output, errors) = site.results(&batch, 2).await;
        assert_eq!(output["good"]["response"]["status_code"], 200, "{url}");
        let bad = &errors["bad"]["response"];
        assert_eq!((&bad["status_code"], bad["body"]["error"]["param"].as_str()), (&json!(400), Some(param)), "{bad}");
        if url == "/v1/responses" {
            let response = &output["good"]["response"]["body"];
            assert_eq!((&response["status"], &response["store"]), (&json!("completed"), &json!(false)));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_throttles_slows_a_batch_down_and_one_that_fails_for_long_fails_lines() {
    fn answer(call: &ProviderRequest) -> Script {
        let text = String::from_utf8_lossy(&call.body.to_bytes()).into_owned();
        if text.contains("line-13") {
            return Script::Fail(|| Failure::Unavailable { status: 500, message: "down".into(), retry_after: None });
        }
        // So few calls have no route that no line meets that in each of its four tries.
        match rand::random_range(0..100) {
            0..30 => Script::Fail(|| Failure::Throttled { message: "slow down".into(), retry_after: Some(SECOND) }),
            30..32 => Script::Fail(|| Failure::Unreachable("no route".into())),
            _ => Script::answer("Hi", 10, 5),
        }
    }
    let site = Site::new(Limits::default()).await;
    site.app.first.always(Script::Choose(answer));
    let batch_id = site.submit(&lines(1_000)).await;
    let batch = site.run(&batch_id).await;
    let (output, errors) = site.results(&batch, 1_000).await;
    // 13, 130 to 139.
    let failed: Vec<_> = errors.iter().filter(|(_, row)| row["response"]["status_code"] == 503).collect();
    assert_eq!((output.len(), errors.len(), failed.len()), (989, 11, 11), "{errors:?}");
    assert_eq!(site.app.books(&site.project).await, (Site::cost(&batch), 0));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_batch_runs_no_more_lines_and_keeps_the_results_it_has() {
    let site = Site::new(Limits::default()).await;
    let batch_id = site.submit(&lines(1_000)).await;
    assert_eq!(site.work_once().await, 1, "the check");
    assert_eq!(site.work_once().await, 4, "four parts");
    let cancelled = site.cancel(&batch_id).await;
    assert_eq!((cancelled.status, &cancelled.json()["status"]), (200, &json!("cancelling")));
    assert!(cancelled.json()["cancelling_at"].is_u64());
    assert_eq!(site.cancel(&batch_id).await.json()["status"], "cancelling", "again");
    let batch = site.run(&batch_id).await;
    assert_eq!((&batch["status"], batch["cancelled_at"].is_u64()), (&json!("cancelled"), true));
    let (output, errors) = site.results(&batch, 1_000).await;
    assert_eq!((output.len(), site.app.first.call_count()), (800, 800));
    assert_eq!(errors["line-999"]["error"]["code"], "batch_cancelled");
    assert_eq!(site.app.books(&site.project).await, (800 * LINE_COST, 0));
    assert_eq!(site.cancel(&batch_id).await.json()["status"], "cancelled", "as OpenAI answers");
    let done = site.submit(&lines(1)).await;
    site.run(&done).await;
    let refused = site.cancel(&done).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (400, &json!("batch_not_cancellable")));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_cancelled_before_its_check_ends_without_results() {
    let site = Site::new(Limits::default()).await;
    let batch_id = site.submit(&lines(3)).await;
    assert_eq!(site.cancel(&batch_id).await.status, 200);
    let batch = site.run(&batch_id).await;
    assert_eq!((&batch["status"], &batch["output_file_id"]), (&json!("cancelled"), &Value::Null));
    assert_eq!(site.app.first.call_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn lines_that_are_not_run_in_time_expire() {
    let site = Site::new(Limits::default()).await;
    let batch_id = site.submit(&lines(900)).await;
    site.work_once().await;
    site.work_once().await;
    site.app.clock.advance_ms(24 * 3_600_000);
    let batch = site.run(&batch_id).await;
    assert_eq!((&batch["status"], batch["expired_at"].is_u64()), (&json!("expired"), true), "{batch}");
    let (output, errors) = site.results(&batch, 900).await;
    assert_eq!((output.len(), errors.len()), (800, 100));
    assert!(errors.values().all(|row| row["error"]["code"] == "batch_expired" && row["response"].is_null()));
    // Expiry that races the last line: all lines were run, so nothing expired.
    let batch_id = site.submit(&lines(2)).await;
    site.work_once().await;
    site.work_once().await;
    site.app.clock.advance_ms(24 * 3_600_000);
    assert_eq!(site.run(&batch_id).await["status"], "completed");
}

#[tokio::test(start_paused = true)]
async fn batches_are_listed_by_page_and_belong_to_their_project() {
    let site = Site::new(Limits::default()).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.insert(0, site.submit(&line("a")).await);
        site.app.clock.advance_ms(1_000);
    }
    let list = async |query: &str| send(&site.router, "GET", &format!("/v1/batches{query}"), &site.key, &[], "").await;
    let page = list("?limit=2").await.json();
    let of = |page: &Value| {
        page["data"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((of(&page), &page["has_more"]), (ids[..2].to_vec(), &json!(true)));
    let page = list(&format!("?after={}", ids[1])).await.json();
    assert_eq!((of(&page), &page["has_more"]), (ids[2..].to_vec(), &json!(false)));
    for wrong in ["?limit=0", "?limit=101", "?limit=x"] {
        assert_eq!(list(wrong).await.json()["error"]["param"], "limit", "{wrong}");
    }
    let (_, other) = site.app.project(Limits::default(), shared::model::project::Policy::default()).await;
    for (method, path) in
        [("GET", format!("/v1/batches/{}", ids[0])), ("POST", format!("/v1/batches/{}/cancel", ids[0]))]
    {
        assert_eq!(send(&site.router, method, &path, &other, &[], "").await.status, 404, "{path}");
    }
    let body =
        json!({"input_file_id": site.upload(b"x").await, "endpoint": "/v1/responses", "completion_window": "24h"});
    let stolen = send(&site.router, "POST", "/v1/batches", &other, &[], body.to_string()).await;
    assert_eq!((stolen.status, &stolen.json()["error"]["param"]), (400, &json!("input_file_id")));
    for strange in ["batch_", "batch_%23", "file-1", &"b".repeat(600)] {
        let reply = send(&site.router, "GET", &format!("/v1/batches/{strange}"), &site.key, &[], "").await;
        assert_eq!(reply.status, 404, "{strange}");
    }
}

struct AnyReceiver;

#[async_trait]
impl Receivers for AnyReceiver {
    async fn check(&self, _: &str) -> Result<(), RefusedUrl> {
        Ok(())
    }

    async fn post(&self, _: &Post) -> Result<ReceiverAnswer, SendError> {
        Ok(ReceiverAnswer { status: 200, retry_after: None })
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_batch_is_announced_once() {
    let site = Site::new(Limits::default()).await;
    let endpoint = json!({"url": "https://hooks.test/", "name": "all", "event_types": ["batch.completed", "batch.failed", "batch.cancelled"]});
    let router = kit::router_of(&site.app.instance_with_receivers(Arc::new(AnyReceiver)));
    let made = send(&router, "POST", "/v1/webhook_endpoints", &site.key, &[], endpoint.to_string()).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let completed = site.submit(&line("a")).await;
    site.run(&completed).await;
    let failed = site.submit("garbage").await;
    site.run(&failed).await;
    let cancelled = site.submit(&line("a")).await;
    site.cancel(&cancelled).await;
    site.run(&cancelled).await;
    let endpoint_id = made.json()["id"].as_str().unwrap().to_owned();
    let now = site.app.clock.now();
    let found = site.app.stores.deliveries().list(&site.project.id, &endpoint_id, None, None, 100, now).await.unwrap();
    let subject = |body: &str| {
        let event: Value = serde_json::from_str(body).unwrap();
        event["data"]["id"].as_str().unwrap().to_owned()
    };
    let mut events: Vec<_> =
        found.iter().map(|delivery| (delivery.event_type.clone(), subject(&delivery.body))).collect();
    events.sort();
    let expected = [("batch.cancelled", &cancelled), ("batch.completed", &completed), ("batch.failed", &failed)];
    assert_eq!(events, expected.map(|(event_type, id)| (event_type.to_owned(), id.clone())));
}

#[tokio::test(start_paused = true)]
async fn a_model_that_the_key_may_not_call_fails_the_batch() {
    let site = Site::new(Limits::default()).await;
    for (model, message) in [("nothing", "does not exist"), ("embedding", "does not serve")] {
        let batch_id = site.submit(&chat("a", model, json!({}))).await;
        let batch = site.run(&batch_id).await;
        let error = &batch["errors"]["data"][0];
        assert_eq!((&batch["status"], &error["code"]), (&json!("failed"), &json!("model_not_found")), "{batch}");
        assert!(error["message"].as_str().unwrap().contains(message), "{error}");
    }
}
