//! A client asks for a message, as Anthropic's SDKs do: streamed or not, with its key in either header. Clients share
//! idempotency keys, whose names chat calls use as well.

use std::time::Duration;

use async_trait::async_trait;
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::json;

use super::{Action, draw_hang_up, draw_tenant, prompt};
use crate::client::{Client, Request};
use crate::observations::KeyedRequest;

pub(crate) const PATH: &str = "/v1/messages";

#[derive(Debug)]
struct Message {
    project: usize,
    text: u32,
    stream: bool,
    key: Option<u32>,
    names_api_key: bool,
    tries: u32,
    hangs_up_after: Option<Duration>,
}

pub(super) fn draw(rng: &mut StdRng) -> Box<dyn Action> {
    let key = rng.random_bool(0.6).then(|| rng.random_range(0..4));
    let text = rng.random_range(0..6);
    Box::new(Message {
        project: draw_tenant(rng),
        // A key belongs to one request. One client in ten uses it for another request.
        text: key.filter(|_| rng.random_ratio(9, 10)).unwrap_or(text),
        stream: key.map_or_else(|| rng.random_bool(0.6), |key| key % 2 == 0),
        key,
        names_api_key: rng.random_bool(0.6),
        tries: rng.random_range(1..4),
        hangs_up_after: draw_hang_up(rng),
    })
}

#[async_trait]
impl Action for Message {
    async fn run(&self, client: &mut Client) {
        let output = 20 + self.text * 25;
        let content = json!([{"type": "text", "text": prompt::text(self.text)}]);
        let body = json!({
            "model": "chat",
            "system": "Be kind.",
            "messages": [{"role": "user", "content": content}],
            "max_tokens": output,
            "stream": self.stream,
        });
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
            names_api_key: self.names_api_key,
            hangs_up_after: self.hangs_up_after,
            ..Request::of_tenant(self.project, false)
        };
        client.call_until_answered(self.project, request, keyed, u64::from(output), self.tries).await;
    }
}
