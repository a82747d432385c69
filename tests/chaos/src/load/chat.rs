//! Chat calls: whole or streamed, with keys that callers share, of which some answers are in the cache.

use std::time::Duration;

use async_trait::async_trait;
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::json;

use super::{Load, patience, prompt, tenant};
use crate::client::{Ask, Client};
use crate::ledger::KeyedRequest;

pub(crate) const PATH: &str = "/v1/chat/completions";

#[derive(Debug)]
struct Chat {
    project: usize,
    text: u32,
    stream: bool,
    key: Option<u32>,
    tries: u32,
    patience: Option<Duration>,
}

pub(super) fn draw(rng: &mut StdRng) -> Box<dyn Load> {
    let key = rng.random_bool(0.6).then(|| rng.random_range(0..4));
    let text = rng.random_range(0..6);
    Box::new(Chat {
        project: tenant(rng),
        // A key belongs to one request; now and then somebody takes it for another.
        text: key.filter(|_| rng.random_ratio(9, 10)).unwrap_or(text),
        stream: key.map_or_else(|| rng.random_bool(0.5), |key| key % 2 == 1),
        key,
        tries: rng.random_range(1..4),
        patience: patience(rng),
    })
}

#[async_trait]
impl Load for Chat {
    async fn run(&self, client: &mut Client) {
        let output = 20 + self.text * 25;
        let content = prompt::write(self.text);
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
        let ask = Ask {
            method: "POST",
            path: PATH.to_owned(),
            body,
            patience: self.patience,
            ..Ask::of_tenant(self.project, false)
        };
        client.insist(self.project, ask, keyed, u64::from(output), self.tries).await;
    }
}
