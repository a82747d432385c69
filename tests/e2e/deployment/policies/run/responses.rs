//! Responses, whole and in the background, and conversations.

use kit::Fault;
use serde_json::{Value, json};

use super::{MINUTE_MS, Run, text};

impl Run {
    pub(super) async fn response(&self, body: Value) -> String {
        text(&self.post("/v1/responses", body).await["id"])
    }

    pub(super) async fn responses(&self) {
        let ask = |input: &str| json!({"model": "priced", "input": input, "max_output_tokens": 100});
        for input in ["Hello", &*self.large] {
            self.answers(input);
            let first = self.response(ask(input)).await;
            let mut next = ask("And then?");
            next["previous_response_id"] = first.clone().into();
            let second = self.response(next).await;
            self.get(&format!("/v1/responses/{second}/input_items")).await;
            self.get(&format!("/v1/responses/{second}")).await;
            let stream = format!("/v1/responses/{first}?stream=true");
            self.send("GET", &stream, &self.key, &[], &Value::Null).await;
            self.delete(&format!("/v1/responses/{first}")).await;
            self.post("/v1/responses/input_tokens", ask(input)).await;
            self.post("/v1/responses/compact", json!({"model": "priced", "input": input})).await;
            self.post("/v1/quote", ask(input)).await;
            let mut streamed = ask(input);
            streamed["stream"] = true.into();
            for _ in 0..2 {
                self.send("POST", "/v1/responses", &self.key, &[("idempotency-key", &input[..5])], &streamed).await;
            }
            let job = self.background(input).await;
            self.work().await;
            self.get(&format!("/v1/responses/{job}")).await;
            self.delete(&format!("/v1/responses/{job}")).await;
            // Deletions that die at their first step.
            let job = self.background(input).await;
            self.work().await;
            self.app.faults.at(1, Fault::HangAfter);
            let path = format!("/v1/responses/{job}");
            let deletion = self.send("DELETE", &path, &self.key, &[], &Value::Null);
            assert!(self.app.faults.or_die(deletion).await.is_none());
            self.app.faults.clear();
            self.app.clock.advance_ms(61 * MINUTE_MS);
            self.sweep().await;
        }
        self.fails();
        for _ in 0..5 {
            self.background("Hello").await;
        }
        self.work().await;
        self.app.clock.advance_ms(20_000);
        self.answers("Hello there.");
        self.background("Hello").await;
        self.work().await; // The breaker closes.
        self.app.clock.advance_ms(5 * MINUTE_MS);
        self.work().await;
        let waiting = self.background("Hello").await;
        self.post(&format!("/v1/responses/{waiting}/cancel"), json!({})).await;
        self.work().await;
    }

    pub(super) async fn background(&self, input: &str) -> String {
        self.response(json!({"model": "priced", "input": input, "max_output_tokens": 100, "background": true})).await
    }

    pub(super) async fn conversations(&self) {
        let item = |text: &str| json!({"type": "message", "role": "user", "content": text});
        let conversation = self.post("/v1/conversations", json!({"items": [item("Hello")]})).await;
        let path = format!("/v1/conversations/{}", text(&conversation["id"]));
        self.get(&path).await;
        self.post(&path, json!({"metadata": {"a": "b"}})).await;
        let items = format!("{path}/items");
        for words in ["More", &*self.large] {
            let added = self.post(&items, json!({"items": [item(words)]})).await;
            let one = format!("{items}/{}", text(&added["data"][0]["id"]));
            self.get(&one).await;
            self.get(&items).await;
            self.delete(&one).await;
        }
        let ask = json!({"model": "priced", "input": self.large, "conversation": conversation["id"], "max_output_tokens": 100});
        self.response(ask.clone()).await;
        let mut background = ask;
        background["background"] = true.into();
        self.response(background.clone()).await;
        self.work().await;
        // Deleted before their turn is added: by the worker, and by the sweep for one that died.
        self.response(background.clone()).await;
        self.delete(&path).await;
        self.work().await;
        let conversation = self.post("/v1/conversations", json!({})).await;
        background["conversation"] = conversation["id"].clone();
        self.response(background).await;
        let mut ended = 0;
        self.app.faults.set(move |operation| {
            ended += usize::from(ended > 0 || operation == "TransactWriteItems");
            if ended == 2 { Fault::Hang } else { Fault::None }
        });
        self.work().await;
        self.app.faults.clear();
        self.delete(&format!("/v1/conversations/{}", text(&conversation["id"]))).await;
        self.app.clock.advance_ms(2 * MINUTE_MS);
        self.sweep().await;
    }
}
