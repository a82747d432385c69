//! A client creates a background response, and may follow its events. Clients share idempotency keys.

use std::time::Duration;

use async_trait::async_trait;
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::json;

use super::responses::{PATH, Reader, response_id};
use super::{Action, draw_hang_up, draw_tenant, prompt};
use crate::client::{Client, Request};
use crate::observations::{AskedForTurn, KeyedRequest};

#[derive(Debug)]
struct Background {
    project: usize,
    text: u32,
    stream: bool,
    conversation: bool,
    key: Option<u32>,
    /// Its request is so large that weir stores it in the bucket.
    is_large: bool,
    tries: u32,
    hangs_up_after: Option<Duration>,
}

pub(super) fn draw(rng: &mut StdRng) -> Box<dyn Action> {
    let key = rng.random_bool(0.4).then(|| rng.random_range(0..3));
    Box::new(Background {
        project: draw_tenant(rng),
        text: key.unwrap_or_else(|| rng.random_range(0..6)),
        stream: key.map_or_else(|| rng.random_bool(0.4), |key| key % 2 == 0),
        conversation: key.is_none() && rng.random_bool(0.5),
        key,
        is_large: key.is_none() && rng.random_ratio(1, 15),
        tries: rng.random_range(1..3),
        hangs_up_after: draw_hang_up(rng),
    })
}

#[async_trait]
impl Action for Background {
    async fn run(&self, client: &mut Client) {
        let output = 20 + self.text * 20;
        let mut body = json!({"model": "chat", "max_output_tokens": output, "background": true, "stream": self.stream});
        let noise = if self.is_large { noise(&mut client.rng) } else { String::new() };
        body["input"] = json!(prompt::text(self.text));
        if self.is_large {
            body["instructions"] = json!(noise);
        }
        if self.conversation {
            let mut observed = client.deployment.sim.observed();
            body["conversation"] = json!(observed.tenants[self.project].conversation);
            let asked = AskedForTurn { tenant: self.project, tries: self.tries };
            body["input"] = json!(observed.ask_for_turn(&prompt::text(self.text), asked));
        }
        let body = body.to_string();
        let keyed = self.key.map(|key| KeyedRequest {
            project: self.project,
            path: PATH,
            key: format!("job-{key}"),
            body: body.clone(),
        });
        let request = Request {
            method: "POST",
            path: PATH.to_owned(),
            body,
            hangs_up_after: self.hangs_up_after,
            ..Request::of_job(self.project)
        };
        // Up to four runs may start, and a run that only seemed dead may go on as well.
        let Some(reply) =
            client.call_until_answered(self.project, request, keyed, 5 * u64::from(output), self.tries).await
        else {
            return;
        };
        let Some(id) = response_id(&reply.body).filter(|_| reply.status == 200) else { return };
        let mut reader = Reader { project: self.project, id, next: 0, has_ended: false };
        {
            let mut observed = client.deployment.sim.observed();
            let seen = observed.response(&reader.id, self.project);
            seen.is_background = true;
            seen.in_conversation = self.conversation;
        }
        if self.stream {
            reader.read(client, &reply.body);
            reader.resume(client, 4).await;
        }
    }
}

/// Draws text that cannot be compressed.
pub(super) fn noise(rng: &mut StdRng) -> String {
    (0..220_000).map(|_| char::from(b'a' + rng.random_range(0..26))).collect()
}
