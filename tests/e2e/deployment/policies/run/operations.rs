//! Webhooks, dead letters and administration.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::stream::{self, StreamExt as _};
use kit::{FORM, HookReply, file_form, form, send};
use serde_json::{Value, json};
use shared::data::Queue;
use shared::model::webhook::EventType;

use super::{MINUTE_MS, Run, text};

impl Run {
    /// An endpoint that every event goes to, from here on.
    pub(super) async fn webhooks(&self) {
        const ENDPOINTS: &str = "/v1/webhook_endpoints";
        let all = EventType::ALL.map(EventType::name);
        let endpoint = self.post(ENDPOINTS, json!({"name": "all", "url": self.hook.url(), "event_types": all})).await;
        let path = format!("{ENDPOINTS}/{}", text(&endpoint["id"]));
        self.get(ENDPOINTS).await;
        self.get(&path).await;
        self.post(&path, json!({"name": "x"})).await;
        self.post(&format!("{path}/rotate_secret"), json!({})).await;
        self.post(&format!("{path}/test"), json!({"event_type": "response.completed"})).await;
        self.get("/v1/webhook_event_types").await;
        self.hook.then(HookReply::status(500));
        self.background("Hello").await;
        self.work().await;
        let deliveries = self.get(&format!("{path}/deliveries")).await;
        let delivery = format!("{path}/deliveries/{}", text(&deliveries["data"][0]["id"]));
        self.get(&delivery).await;
        self.app.clock.advance_ms(10 * MINUTE_MS);
        self.work().await;
        self.post(&format!("{delivery}/redeliver"), json!({})).await;
        self.work().await;
        // One that is gone for good.
        let gone = self.post(ENDPOINTS, json!({"name": "gone", "url": self.hook.url(), "event_types": all})).await;
        let waiting = self.background("Hello").await;
        self.post(&format!("/v1/responses/{waiting}/cancel"), json!({})).await;
        self.hook.then(HookReply::status(410));
        self.hook.then(HookReply::status(410));
        self.work().await;
        self.delete(&format!("{ENDPOINTS}/{}", text(&gone["id"]))).await;
        self.post(&path, json!({"status": "enabled"})).await;
    }

    /// Messages that no worker can read, until they are dead letters; replayed by an operator.
    pub(super) async fn dead_letters(&self) {
        for queue in Queue::ALL {
            self.app.stores.queues.send(queue, "project", "{}".to_owned(), Duration::ZERO).await.unwrap();
            for _ in 0..6 {
                self.work().await;
                self.app.clock.advance_ms(91 * MINUTE_MS);
            }
            let dead = self.get(&format!("/v1/organization/dead_letters?queue={}", queue.name())).await;
            assert_eq!(dead["data"].as_array().map(Vec::len), Some(1), "{dead}");
            self.app.clock.advance_ms(MINUTE_MS);
            self.post("/v1/organization/dead_letters/replay", json!({"queue": queue.name()})).await;
        }
    }

    /// A key that an administrator made is used in both functions that take one.
    pub(super) async fn admin_keys(&self, start: u64) {
        let made = self.post("/v1/organization/admin_api_keys", json!({"name": "second"})).await;
        let (id, key) = (text(&made["id"]), text(&made["value"]));
        for path in [&format!("costs?start_time={start}"), "admin_api_keys", &format!("admin_api_keys/{id}")] {
            let path = format!("/v1/organization/{path}");
            assert_eq!(self.send("GET", &path, &key, &[], &Value::Null).await.status, 200, "{path}");
        }
        self.delete(&format!("/v1/organization/admin_api_keys/{id}")).await;
    }

    /// Small and large, complete, refused and expired.
    pub(super) async fn files(&self) {
        let large = "a".repeat(9 * 1024 * 1024);
        for content in ["Hello", &large] {
            let made = self.upload(content.as_bytes(), "user_data").await;
            let path = format!("/v1/files/{}", text(&made.json()["id"]));
            self.get(&path).await;
            self.get(&format!("{path}/content")).await;
            self.get("/v1/files").await;
            self.delete(&path).await;
            assert_eq!(self.upload(content.as_bytes(), "nothing").await.status, 400);
        }
        // A client hangs up in the middle of a large file, and the sweep removes its parts an hour later.
        let whole = file_form(Some(("a.txt", large.as_bytes())), &[]);
        let begin = stream::iter([Ok::<_, Infallible>(Bytes::from(whole[..whole.len() - 1_000].to_vec()))]);
        let body = Body::from_stream(begin.chain(stream::pending()));
        let upload = send(&self.router, "POST", "/v1/files", &self.key, &[("content-type", FORM)], body);
        assert!(tokio::time::timeout(Duration::from_secs(3), upload).await.is_err(), "the upload waits");
        self.app.clock.advance_ms(61 * MINUTE_MS);
        self.sweep().await;
        // Those of batches expire after 30 days.
        let expiring = self.upload(b"Hello", "batch").await;
        for _ in 0..31 {
            self.app.clock.advance_ms(24 * 60 * MINUTE_MS);
            self.sweep().await;
        }
        let path = format!("/v1/files/{}", text(&expiring.json()["id"]));
        assert_eq!(self.send("GET", &path, &self.key, &[], &Value::Null).await.status, 404);
    }

    /// Completed, refused, cancelled, and left alone; in parts through weir and through the bucket.
    pub(super) async fn uploads(&self) {
        let of =
            |bytes: usize| json!({"filename": "a", "purpose": "user_data", "bytes": bytes, "mime_type": "text/plain"});
        let form = form(&[("data", Some("a"), &[b'a'; 9 * 1024 * 1024])]);
        for action in ["complete", "cancel", "leave"] {
            let path = format!("/v1/uploads/{}", text(&self.post("/v1/uploads", of(9 * 1024 * 1024)).await["id"]));
            let headers = [("content-type", FORM)];
            let part = send(&self.router, "POST", &format!("{path}/parts"), &self.key, &headers, form.clone()).await;
            let body = json!({"part_ids": [text(&part.json()["id"])]});
            if action != "leave" {
                self.post(&format!("{path}/{action}"), body).await;
            }
            if action == "complete" {
                self.post(&format!("{path}/complete"), json!({"part_ids": []})).await;
            }
        }
        let key = [("idempotency-key", "upload")];
        for _ in 0..2 {
            let made = self.send("POST", "/v1/uploads", &self.key, &key, &of(5)).await;
            assert_eq!(made.status, 200, "{}", made.text());
        }
        let mut direct = of(5);
        direct["weir"] = json!({"direct": true});
        let upload = self.post("/v1/uploads", direct).await;
        let (path, part) = (format!("/v1/uploads/{}/complete", text(&upload["id"])), &upload["weir"]["parts"][0]);
        let body = json!({"part_ids": [part["id"]]});
        assert_eq!(self.send("POST", &path, &self.key, &[], &body).await.status, 400);
        assert_eq!(self.app.put_to_bucket(&text(&part["url"]), "Hello").await, 200);
        self.post(&path, body).await;
        for _ in 0..3 {
            self.app.clock.advance_ms(61 * MINUTE_MS);
            self.sweep().await;
        }
    }

    pub(super) async fn administration(&self) {
        let waiting = self.background("Hello").await;
        for path in
            ["jobs", "jobs?status=queued", &format!("jobs?project_id={}", self.project), &format!("jobs/{waiting}")]
        {
            self.get(&format!("/v1/organization/{path}")).await;
        }
        self.post(&format!("/v1/organization/jobs/{waiting}/cancel"), json!({})).await;
        self.get("/v1/organization/providers").await;
        self.get("/v1/organization/projects").await;
        let project = format!("/v1/organization/projects/{}", self.project);
        for path in ["", "/service_accounts", "/api_keys", "/spend_limit", "/rate_limits", "/storage"] {
            self.get(&format!("{project}{path}")).await;
        }
        self.post(
            &format!("{project}/spend_limit"),
            json!({"threshold_amount": 5_000, "currency": "USD", "interval": "month"}),
        )
        .await;
        self.delete(&format!("{project}/spend_limit")).await;
        self.post(&format!("{project}/rate_limits/rl_all"), json!({"max_requests_per_1_minute": 60})).await;
        let keys = self.get(&format!("{project}/api_keys")).await;
        let key = format!("{project}/api_keys/{}", text(&keys["data"][0]["id"]));
        self.get(&key).await;
        let accounts = self.get(&format!("{project}/service_accounts")).await;
        let account = format!("{project}/service_accounts/{}", text(&accounts["data"][0]["id"]));
        self.get(&account).await;
        let start = self.app.clock.now().seconds() - 86_400;
        let reports = ["completions", "embeddings", "moderations", "images", "audio_speeches", "audio_transcriptions"]
            .map(|of| format!("usage/{of}"));
        for path in reports.into_iter().chain(["costs".to_owned()]) {
            self.get(&format!("/v1/organization/{path}?start_time={start}")).await;
        }
        let (other, _) = self.new_project(&json!({"name": "Other"})).await;
        let keys = self.get(&format!("/v1/organization/projects/{other}/api_keys")).await;
        self.delete(&format!("/v1/organization/projects/{other}/api_keys/{}", text(&keys["data"][0]["id"]))).await;
        self.delete(&account).await;
        self.get("/v1/organization/audit_logs?limit=1").await;
        self.admin_keys(start).await;
        self.post(&format!("{project}/archive"), json!({})).await;
        self.post(&format!("{project}/purge"), json!({})).await;
        for _ in 0..50 {
            self.work().await;
            self.app.clock.advance_ms(61 * MINUTE_MS);
            self.sweep().await;
        }
        assert_eq!(self.get(&project).await["purge"]["status"], "completed");
    }
}
