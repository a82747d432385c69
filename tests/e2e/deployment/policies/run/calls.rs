//! Calls that one provider answers, and what refuses them.

use std::time::Duration;

use kit::{FORM, Script, form_of, send};
use serde_json::{Value, json};

use super::{MINUTE_MS, Run, text};

impl Run {
    /// Whole, streamed, replayed, cached, large, failed: of each function that passes calls on.
    pub(super) async fn calls_of_models(&self) {
        let chat = json!({"model": "priced", "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]});
        let embedding = json!({"model": "embedding", "input": "Hello"});
        for (path, call) in [("/v1/chat/completions", &chat), ("/v1/messages", &chat), ("/v1/embeddings", &embedding)] {
            for (words, key) in [("Hello there.", "small"), (&*self.large, "large")] {
                self.answers(words);
                for _ in 0..2 {
                    self.send("POST", path, &self.key, &[("idempotency-key", key)], call).await;
                    self.send("POST", path, &self.key, &[("cache-control", "max-age=60")], call).await;
                    self.app.clock.advance_ms(2 * MINUTE_MS); // No cache entry lives that long.
                }
            }
            self.fails();
            for _ in 0..10 {
                let failed = self.send("POST", path, &self.key, &[("idempotency-key", "bad")], call).await;
                assert!(failed.status >= 500, "{}", failed.text());
            }
            self.app.clock.advance_ms(2 * MINUTE_MS);
            self.answers("Hello there.");
            self.send("POST", path, &self.key, &[], call).await; // The breaker closes.
        }
        self.answers("one two three four");
        let mut streamed = chat.clone();
        streamed["stream"] = true.into();
        self.app.first.always(Script::Paced { text: "one two three four".into(), gap: Duration::from_secs(1) });
        let key = [("idempotency-key", "stream")];
        let stream = || self.send("POST", "/v1/chat/completions", &self.key, &key, &streamed);
        let (first, follower) = tokio::join!(stream(), stream());
        assert_eq!(first.text(), follower.text());
        self.answers("Hello there.");
        self.send("POST", "/v1/completions", &self.key, &[], &json!({"model": "priced", "prompt": "Hello"})).await;
        self.send("POST", "/v1/moderations", &self.key, &[], &json!({"model": "moderation", "input": "Hello"})).await;
        self.send("POST", "/v1/images/generations", &self.key, &[], &json!({"model": "image", "prompt": "A cat"}))
            .await;
        let speech = json!({"model": "speech", "input": "Hello", "voice": "alloy"});
        self.send("POST", "/v1/audio/speech", &self.key, &[], &speech).await;
        for (path, form) in [
            ("/v1/images/edits", r#"{"model":"image","prompt":"A cat","image":"@a.png"}"#),
            ("/v1/audio/transcriptions", r#"{"model":"transcription","file":"@a.mp3"}"#),
            ("/v1/audio/translations", r#"{"model":"transcription","file":"@a.mp3"}"#),
        ] {
            let headers = [("content-type", FORM), ("idempotency-key", path)];
            let reply = send(&self.router, "POST", path, &self.key, &headers, form_of(form)).await;
            assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        }
        self.send("POST", "/v1/messages/count_tokens", &self.key, &[], &chat).await;
        self.calls_with_files().await;
        self.get("/v1/models").await;
        self.get("/v1/models/priced").await;
    }

    /// Calls that name an uploaded file, and such as find it gone.
    async fn calls_with_files(&self) {
        let file = text(&self.upload(b"Hello", "user_data").await.json()["id"]);
        let part = json!([{"type": "file", "file": {"file_id": file}}]);
        let block = json!([{"type": "document", "source": {"type": "file", "file_id": file}}]);
        let input = json!([{"role": "user", "content": [{"type": "input_file", "file_id": file}]}]);
        let chat = |content: &Value| json!({"model": "priced", "max_tokens": 100, "messages": [{"role": "user", "content": content}]});
        let response = json!({"model": "priced", "max_output_tokens": 100, "input": input});
        self.post("/v1/chat/completions", chat(&part)).await;
        self.post("/v1/messages", chat(&block)).await;
        self.post("/v1/messages/count_tokens", chat(&block)).await;
        for path in ["/v1/responses", "/v1/responses/input_tokens", "/v1/quote"] {
            self.post(path, response.clone()).await;
        }
        let mut background = response;
        background["background"] = true.into();
        self.response(background).await;
        self.work().await;
        self.delete(&format!("/v1/files/{file}")).await;
    }

    /// Budgets that are changed, nearly spent, spent, and those of a new month: every move between shards.
    pub(super) async fn limits(&self) {
        let chat = json!({"model": "priced", "max_tokens": 4_000, "messages": [{"role": "user", "content": "Hello"}]});
        let (project, key) =
            self.new_project(&json!({"name": "Small", "limits": {"budget_usd_per_month": 0.02}})).await;
        for path in ["/v1/chat/completions", "/v1/messages", "/v1/embeddings", "/v1/responses"] {
            let call = match path {
                "/v1/embeddings" => json!({"model": "embedding", "input": "Hello"}),
                "/v1/responses" => json!({"model": "priced", "max_output_tokens": 4_000, "input": "Hello"}),
                _ => chat.clone(),
            };
            for month in 1..=2 {
                let limits = json!({"limits": {"budget_usd_per_month": 0.02 * f64::from(month)}});
                self.post(&format!("/v1/organization/projects/{project}"), limits).await;
                for _ in 0..4 {
                    self.send("POST", path, &key, &[], &call).await;
                }
                // So much that the meter gets more shards.
                let limits = json!({"limits": {"budget_usd_per_month": 100}});
                self.post(&format!("/v1/organization/projects/{project}"), limits).await;
                let limits = json!({"limits": {"budget_usd_per_month": 0.000_001}});
                self.post(&format!("/v1/organization/projects/{project}"), limits).await;
                let refused = self.send("POST", path, &key, &[], &call).await;
                assert_eq!(refused.code(), "budget_exceeded", "{}", refused.text());
                self.app.clock.advance_ms(31 * 24 * 60 * MINUTE_MS);
            }
        }
    }
}
