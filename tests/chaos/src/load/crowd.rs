//! Clients of one tenant make the same call or ask for the same message at the same moment, with one idempotency key or without: so it reaches its
//! limit of calls that are open at the same time, and a key is claimed while its run goes on.

use async_trait::async_trait;
use futures_util::future::join_all;
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::json;

use super::{Action, chat, draw_tenant, messages};
use crate::client::{Client, Request};
use crate::observations::KeyedRequest;

const OUTPUT: u64 = 20;

#[derive(Debug)]
struct Crowd {
    project: usize,
    /// Chat calls or messages, whose bodies are the same here.
    path: &'static str,
    clients: usize,
    stream: bool,
    key: Option<u32>,
}

pub(super) fn draw(rng: &mut StdRng) -> Box<dyn Action> {
    Box::new(Crowd {
        project: draw_tenant(rng),
        path: if rng.random_bool(0.7) { chat::PATH } else { messages::PATH },
        clients: rng.random_range(3..8),
        stream: rng.random_bool(0.5),
        key: rng.random_bool(0.5).then(|| rng.random_range(0..1_000)),
    })
}

#[async_trait]
impl Action for Crowd {
    async fn run(&self, client: &mut Client) {
        // The key makes the call another one, so that the cache does not answer it.
        let content = format!("All at once, {}", self.key.unwrap_or_else(|| client.rng.random_range(0..1_000)));
        let messages = json!([{"role": "user", "content": content}]);
        let body = json!({"model": "chat", "messages": messages, "max_tokens": OUTPUT, "stream": self.stream});
        let body = body.to_string();
        let keyed = self.key.map(|key| KeyedRequest {
            project: self.project,
            path: self.path,
            key: format!("crowd-{key}"),
            body: body.clone(),
        });
        let request =
            Request { method: "POST", path: self.path.to_owned(), body, ..Request::of_tenant(self.project, false) };
        let calls = (0..self.clients).map(|_| {
            let (mut client, request, keyed) = (client.fork(), request.clone(), keyed.clone());
            async move { client.call_until_answered(self.project, request, keyed, OUTPUT, 1).await }
        });
        join_all(calls.collect::<Vec<_>>()).await;
    }
}
