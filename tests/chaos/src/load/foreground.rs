//! Responses that are made while the caller waits: whole or streamed, in a conversation, with keys.

use std::time::Duration;

use async_trait::async_trait;
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::json;

use super::responses::{PATH, Reader, has_ended, id_of};
use super::{Load, patience, prompt, tenant};
use crate::client::{Ask, Client};
use crate::ledger::KeyedRequest;

#[derive(Debug)]
struct Foreground {
    project: usize,
    text: u32,
    stream: bool,
    store: bool,
    conversation: bool,
    /// It goes on from another response, whatever has become of that.
    continues: bool,
    key: Option<u32>,
    tries: u32,
    patience: Option<Duration>,
}

pub(super) fn draw(rng: &mut StdRng) -> Box<dyn Load> {
    let key = rng.random_bool(0.4).then(|| rng.random_range(0..3));
    Box::new(Foreground {
        project: tenant(rng),
        text: key.unwrap_or_else(|| rng.random_range(0..6)),
        stream: key.map_or_else(|| rng.random_bool(0.6), |key| key % 2 == 0),
        store: key.is_some() || rng.random_bool(0.8),
        conversation: key.is_none() && rng.random_bool(0.3),
        continues: key.is_none() && rng.random_bool(0.2),
        key,
        tries: rng.random_range(1..3),
        patience: patience(rng),
    })
}

#[async_trait]
impl Load for Foreground {
    async fn run(&self, client: &mut Client) {
        let output = 20 + self.text * 20;
        let is_written = self.stream && (self.store || self.key.is_some());
        let input = prompt::write(self.text);
        let mut body = json!({"model": "chat", "input": input, "max_output_tokens": output});
        body["stream"] = json!(self.stream);
        body["store"] = json!(self.store);
        if self.conversation {
            body["conversation"] = json!(client.deployment.sim.ledger().tenants[self.project].conversation);
        }
        if self.continues && !self.conversation {
            body["previous_response_id"] = json!(client.some_job(self.project));
        }
        let body = body.to_string();
        let keyed = self.key.map(|key| KeyedRequest {
            project: self.project,
            path: PATH,
            key: format!("response-{key}"),
            body: body.clone(),
        });
        let ask = Ask {
            method: "POST",
            path: PATH.to_owned(),
            body,
            patience: self.patience,
            ..Ask::of_tenant(self.project, is_written)
        };
        let Some(reply) = client.insist(self.project, ask, keyed, u64::from(output), self.tries).await else { return };
        let Some(id) = id_of(&reply.body).filter(|_| reply.status == 200) else { return };
        client.deployment.sim.ledger().response(&id, self.project).conversation = self.conversation && self.store;
        if self.stream && self.store {
            let mut reader = Reader { project: self.project, id, next: 0, has_ended: false };
            // What a caller was told before his connection broke may never have been written down.
            if reply.is_whole && has_ended(&reply.body) {
                reader.take(client, &reply.body);
            }
            reader.resume(client, 3).await;
        }
    }
}
