//! A client creates a response and waits for it, streamed or not. It may use a conversation or an idempotency key.

use std::time::Duration;

use async_trait::async_trait;
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::json;

use super::responses::{PATH, Reader, has_ended, response_id};
use super::{Action, draw_hang_up, draw_tenant, prompt};
use crate::client::{Client, Request};
use crate::observations::{AskedForTurn, KeyedRequest};

#[derive(Debug)]
struct Foreground {
    project: usize,
    text: u32,
    stream: bool,
    store: bool,
    conversation: bool,
    /// It continues another response, in whatever state that is.
    continues: bool,
    key: Option<u32>,
    tries: u32,
    hangs_up_after: Option<Duration>,
}

pub(super) fn draw(rng: &mut StdRng) -> Box<dyn Action> {
    let key = rng.random_bool(0.4).then(|| rng.random_range(0..3));
    Box::new(Foreground {
        project: draw_tenant(rng),
        text: key.unwrap_or_else(|| rng.random_range(0..6)),
        stream: key.map_or_else(|| rng.random_bool(0.6), |key| key % 2 == 0),
        store: key.is_some() || rng.random_bool(0.8),
        conversation: key.is_none() && rng.random_bool(0.3),
        continues: key.is_none() && rng.random_bool(0.2),
        key,
        tries: rng.random_range(1..3),
        hangs_up_after: draw_hang_up(rng),
    })
}

#[async_trait]
impl Action for Foreground {
    async fn run(&self, client: &mut Client) {
        let output = 20 + self.text * 20;
        let has_stored_events = self.stream && (self.store || self.key.is_some());
        let input = prompt::text(self.text);
        let mut body = json!({"model": "chat", "input": input, "max_output_tokens": output});
        body["stream"] = json!(self.stream);
        body["store"] = json!(self.store);
        if self.conversation {
            let mut observed = client.deployment.sim.observed();
            body["conversation"] = json!(observed.tenants[self.project].conversation);
            let asked = AskedForTurn { tenant: self.project, tries: self.tries };
            body["input"] = json!(observed.ask_for_turn(&prompt::text(self.text), asked));
        }
        if self.continues && !self.conversation {
            body["previous_response_id"] = json!(client.draw_job(self.project));
        }
        let body = body.to_string();
        let keyed = self.key.map(|key| KeyedRequest {
            project: self.project,
            path: PATH,
            key: format!("response-{key}"),
            body: body.clone(),
        });
        let request = Request {
            method: "POST",
            path: PATH.to_owned(),
            body,
            hangs_up_after: self.hangs_up_after,
            ..Request::of_tenant(self.project, has_stored_events)
        };
        let Some(reply) = client.call_until_answered(self.project, request, keyed, u64::from(output), self.tries).await
        else {
            return;
        };
        let Some(id) = response_id(&reply.body).filter(|_| reply.status == 200) else { return };
        client.deployment.sim.observed().response(&id, self.project).in_conversation = self.conversation && self.store;
        if self.stream && self.store {
            let mut reader = Reader { project: self.project, id, next: 0, has_ended: false };
            // If the connection broke, the events before the break may never have been stored.
            if reply.is_whole && has_ended(&reply.body) {
                reader.read(client, &reply.body);
            }
            reader.resume(client, 3).await;
        }
    }
}
