//! A client makes a chat call, streamed or not. Clients share idempotency keys, and some answers come from the cache.

use std::time::Duration;

use async_trait::async_trait;
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::json;

use super::{Action, draw_hang_up, draw_tenant, prompt};
use crate::client::{Client, Request};
use crate::observations::KeyedRequest;

pub(crate) const PATH: &str = "/v1/chat/completions";

#[derive(Debug)]
struct Chat {
    project: usize,
    text: u32,
    stream: bool,
    key: Option<u32>,
    tries: u32,
    hangs_up_after: Option<Duration>,
}

pub(super) fn draw(rng: &mut StdRng) -> Box<dyn Action> {
    let key = rng.random_bool(0.6).then(|| rng.random_range(0..4));
    let text = rng.random_range(0..6);
    Box::new(Chat {
        project: draw_tenant(rng),
        // A key belongs to one request. One client in ten uses it for another request.
        text: key.filter(|_| rng.random_ratio(9, 10)).unwrap_or(text),
        stream: key.map_or_else(|| rng.random_bool(0.5), |key| key % 2 == 1),
        key,
        tries: rng.random_range(1..4),
        hangs_up_after: draw_hang_up(rng),
    })
}

#[async_trait]
impl Action for Chat {
    async fn run(&self, client: &mut Client) {
        let output = 20 + self.text * 25;
        let content = prompt::text(self.text);
        let mut body =
            json!({"model": "chat", "messages": [{"role": "user", "content": content}], "max_tokens": output});
        if self.stream {
            body["stream"] = json!(true);
            body["stream_options"] = json!({"include_usage": self.text.is_multiple_of(2)});
        }
        let body = body.to_string();
        let keyed = self.key.map(|key| KeyedRequest {
            project: self.project,
            path: PATH,
            key: format!("key-{key}"),
            body: body.clone(),
        });
        let request = Request {
            method: "POST",
            path: PATH.to_owned(),
            body,
            hangs_up_after: self.hangs_up_after,
            ..Request::of_tenant(self.project, false)
        };
        client.call_until_answered(self.project, request, keyed, u64::from(output), self.tries).await;
    }
}
