//! Processes that die, and what the sweeper does after that.

use std::time::Duration;

use kit::{Fault, Script};
use serde_json::{Value, json};

use super::{MINUTE_MS, Run};

impl Run {
    /// A process that answers, and one that works, each die at a step; the sweep finds what they left.
    pub(super) async fn deaths(&self) {
        self.app.first.always(Script::Paced { text: "one two three four".into(), gap: Duration::from_secs(1) });
        let conversation = self.post("/v1/conversations", json!({})).await;
        for is_background in [true, false] {
            for input in ["Hello", &*self.large] {
                let body = json!({
                    "model": "priced", "input": input, "instructions": input, "max_output_tokens": 100,
                    "conversation": conversation["id"], "background": is_background, "stream": !is_background,
                });
                self.dies(&body, |calls_since_begin, _| calls_since_begin == 8).await;
                self.dies(&body, |_, calls_since_end| calls_since_end == 2).await;
            }
        }
        self.answers("Hello there.");
        let chat = json!({"model": "priced", "max_tokens": 100, "messages": [{"role": "user", "content": "Bye"}]});
        self.app.faults.at(3, Fault::Hang);
        let call = self.send("POST", "/v1/chat/completions", &self.key, &[], &chat);
        self.app.faults.or_die(call).await;
        self.app.faults.clear();
        self.app.clock.advance_ms(24 * 60 * MINUTE_MS);
        self.sweep().await;
        self.month_ends().await;
    }

    /// Whoever makes this response dies at the call that `now` chooses by the calls since it began, and since its end was
    /// written.
    pub(super) async fn dies(&self, body: &Value, now: fn(usize, usize) -> bool) {
        let (mut begun, mut ended) = (0, 0);
        let dies = move |operation: &str| {
            begun += 1;
            ended += usize::from(ended > 0 || operation == "TransactWriteItems");
            if now(begun, ended) { Fault::Hang } else { Fault::None }
        };
        let post = self.send("POST", "/v1/responses", &self.key, &[], body);
        if body["background"] == true {
            post.await;
            self.app.faults.set(dies);
            self.work().await;
        } else {
            self.app.faults.set(dies);
            self.app.faults.or_die(post).await;
        }
        self.app.faults.clear();
        for _ in 0..3 {
            self.app.clock.advance_ms(2 * MINUTE_MS);
            self.sweep().await;
            self.work().await;
        }
    }

    /// A worker dies before it has written the end, just before the month ends: the next run is admitted in a month that has no meter yet.
    pub(super) async fn month_ends(&self) {
        self.wait_for_the_last_hour();
        self.background("Hello").await;
        let dies = |operation: &str| if operation == "TransactWriteItems" { Fault::Hang } else { Fault::None };
        self.app.faults.set(dies);
        self.work().await;
        self.app.faults.clear();
        self.app.clock.advance_ms(60 * MINUTE_MS);
        self.sweep().await;
        self.work().await;
    }

    pub(super) fn wait_for_the_last_hour(&self) {
        let clock = &self.app.clock;
        while clock.now().plus_ms(60 * MINUTE_MS).month() == clock.now().month() {
            clock.advance_ms(60 * MINUTE_MS);
        }
    }
}
