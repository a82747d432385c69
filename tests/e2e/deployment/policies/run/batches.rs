//! Batches that end, fail, wait for money, are cancelled, and whose workers die.

use kit::Fault;
use serde_json::{Value, json};

use super::{MINUTE_MS, Run, text};

impl Run {
    pub(super) async fn batches(&self) {
        let whole = self.new_batch(&self.lines(70)).await;
        // So large that their file is stored in parts.
        self.answers(&self.large);
        self.work().await;
        self.answers("Hello there.");
        let batch = self.get(&format!("/v1/batches/{whole}")).await;
        assert_eq!(batch["request_counts"]["completed"], 70, "{batch}");
        self.get("/v1/batches").await;
        let failed = self.new_batch("garbage").await;
        self.work().await;
        assert_eq!(self.get(&format!("/v1/batches/{failed}")).await["status"], "failed");
        let cancelled = self.new_batch(&self.lines(1)).await;
        self.post(&format!("/v1/batches/{cancelled}/cancel"), json!({})).await;
        self.work().await;
        self.fails();
        let errors = self.new_batch(&self.lines(2)).await;
        self.work().await;
        self.later().await;
        assert_eq!(self.get(&format!("/v1/batches/{errors}")).await["request_counts"]["failed"], 2);
        self.answers(&self.large);
        // A worker dies after each of its steps that writes: lines are run again, and files are given up or found complete.
        for n in 0..24 {
            let batch = self.new_batch(&self.lines(50)).await;
            let mut writes = 0;
            self.app.faults.set(move |operation| {
                writes += usize::from(!["GetItem", "BatchGetItem", "Query", "ReceiveMessage"].contains(&operation));
                if writes > n { Fault::HangAfter } else { Fault::None }
            });
            self.app.faults.or_die(self.work()).await;
            self.app.faults.clear();
            self.later().await;
            assert_eq!(self.get(&format!("/v1/batches/{batch}")).await["status"], "completed", "{n}");
        }
        self.batch_in_parts().await;
        self.answers("Hello there.");
        self.batch_once().await;
        self.batch_of_next_month().await;
    }

    /// A worker dies when it has noted that a file of results is stored in parts. The next one gives the parts up.
    async fn batch_in_parts(&self) {
        let batch = self.new_batch(&self.lines(50)).await;
        let mut has_begun = false;
        self.app.faults.set(move |operation| {
            let is_noted = has_begun && operation == "UpdateItem";
            has_begun |= operation == "PutItem";
            if is_noted { Fault::HangAfter } else { Fault::None }
        });
        assert!(self.app.faults.or_die(self.work()).await.is_none(), "the worker dies");
        self.app.faults.clear();
        self.later().await;
        assert_eq!(self.get(&format!("/v1/batches/{batch}")).await["status"], "completed");
    }

    /// Quoted, and made once for a key.
    async fn batch_once(&self) {
        let file: Value = self.upload(self.lines(2).as_bytes(), "batch").await.json();
        self.post("/v1/quote", batch_of(&file)).await;
        let key = [("idempotency-key", "batch")];
        for _ in 0..2 {
            let made = self.send("POST", "/v1/batches", &self.key, &key, &batch_of(&file)).await;
            assert_eq!(made.status, 200, "{}", made.text());
        }
        self.work().await;
    }

    /// Its lines are admitted in a month that has no meter yet, by the budget of a run too.
    async fn batch_of_next_month(&self) {
        let file: Value = self.upload(self.lines(2).as_bytes(), "batch").await.json();
        self.wait_for_the_last_hour();
        let headers = [("x-weir-run", "nightly"), ("x-weir-run-budget-usd", "1")];
        let made = self.send("POST", "/v1/batches", &self.key, &headers, &batch_of(&file)).await;
        self.app.clock.advance_ms(60 * MINUTE_MS);
        self.work().await;
        let batch = self.get(&format!("/v1/batches/{}", text(&made.json()["id"]))).await;
        assert_eq!(batch["request_counts"]["completed"], 2, "{batch}");
        // A month that begins with a new batch. The file before has expired by then.
        self.wait_for_the_last_hour();
        let file: Value = self.upload(self.lines(2).as_bytes(), "batch").await.json();
        self.app.clock.advance_ms(60 * MINUTE_MS);
        self.post("/v1/batches", batch_of(&file)).await;
        self.work().await;
    }

    /// What waits goes on, and dead workers are replaced.
    async fn later(&self) {
        for _ in 0..3 {
            self.app.clock.advance_ms(2 * MINUTE_MS);
            self.sweep().await;
            self.work().await;
        }
    }

    fn lines(&self, count: usize) -> String {
        let body = json!({"model": "priced", "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]});
        let line = |n| json!({"custom_id": n, "method": "POST", "url": "/v1/chat/completions", "body": body});
        (0..count).map(|n| line(n.to_string()).to_string() + "\n").collect()
    }

    async fn new_batch(&self, content: &str) -> String {
        let file: Value = self.upload(content.as_bytes(), "batch").await.json();
        text(&self.post("/v1/batches", batch_of(&file)).await["id"])
    }
}

fn batch_of(file: &Value) -> Value {
    json!({"input_file_id": file["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"})
}
