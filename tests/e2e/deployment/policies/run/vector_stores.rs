//! Vector stores: made, searched, changed, emptied; their files attached, cut anew and detached.

use serde_json::json;

use super::{MINUTE_MS, Run, text};

impl Run {
    pub(super) async fn vector_stores(&self) {
        let file = text(&self.upload(b"Cats hunt mice at night.", "assistants").await.json()["id"]);
        let store = self.post("/v1/vector_stores", json!({"name": "n", "file_ids": [file]})).await;
        let path = format!("/v1/vector_stores/{}", text(&store["id"]));
        self.work().await;
        self.post(&format!("{path}/search"), json!({"query": "cats"})).await;
        let filters = json!({"type": "ne", "key": "a", "value": 1});
        self.post(&format!("{path}/search"), json!({"query": "cats", "filters": filters})).await;
        for path in ["/v1/vector_stores", &path, &format!("{path}/files"), &format!("{path}/files/{file}/content")] {
            self.get(path).await;
        }
        self.fails();
        for n in 0..10 {
            let body = json!({"query": format!("cats {n}")}); // None is in the cache.
            self.send("POST", &format!("{path}/search"), &self.key, &[], &body).await;
        }
        self.app.clock.advance_ms(2 * MINUTE_MS);
        self.answers("Hello there.");
        self.post(&format!("{path}/search"), json!({"query": "cats"})).await; // The breaker closes.
        self.post(&path, json!({"expires_after": {"anchor": "last_active_at", "days": 1}})).await;
        self.post(&format!("{path}/files/{file}"), json!({"attributes": {"a": 1}})).await;
        let strategy = json!({"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}});
        self.post(&format!("{path}/files"), json!({"file_id": file, "chunking_strategy": strategy})).await;
        self.work().await;
        self.delete(&format!("{path}/files/{file}")).await;
        self.work().await;
        self.post(&format!("{path}/files"), json!({"file_id": file})).await;
        self.work().await;
        // Its file is deleted, and another one waits for a provider that fails.
        self.delete(&format!("/v1/files/{file}")).await;
        let other = text(&self.upload(b"Dogs bark.", "assistants").await.json()["id"]);
        self.fails();
        self.post(&format!("{path}/files"), json!({"file_id": other})).await;
        self.work().await;
        self.answers("Hello there.");
        for _ in 0..3 {
            self.app.clock.advance_ms(31 * MINUTE_MS);
            self.sweep().await;
            self.work().await;
        }
        // A worker makes the first call of a month.
        let last = text(&self.upload(b"Birds sing.", "assistants").await.json()["id"]);
        self.post(&format!("{path}/files"), json!({"file_id": last})).await;
        self.app.clock.advance_ms(31 * 24 * 60 * MINUTE_MS);
        self.work().await;
        // A key makes a store once.
        let made = [("idempotency-key", "store")];
        let reply = self.send("POST", "/v1/vector_stores", &self.key, &made, &json!({"name": "m"})).await;
        let kept = format!("/v1/vector_stores/{}", text(&reply.json()["id"]));
        self.delete(&kept).await;
        self.app.clock.advance_ms(25 * 60 * MINUTE_MS);
        self.sweep().await;
        self.work().await;
        self.delete(&path).await;
        for _ in 0..3 {
            self.work().await;
            self.app.clock.advance_ms(61 * MINUTE_MS);
            self.sweep().await;
        }
    }
}
