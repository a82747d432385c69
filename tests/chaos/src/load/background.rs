//! Background responses: accepted, perhaps followed, with keys that callers share.

use std::time::Duration;

use async_trait::async_trait;
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::json;

use super::responses::{PATH, Reader, id_of};
use super::{Load, patience, prompt, tenant};
use crate::client::{Ask, Client};
use crate::ledger::KeyedRequest;

#[derive(Debug)]
struct Background {
    project: usize,
    text: u32,
    stream: bool,
    conversation: bool,
    key: Option<u32>,
    /// Its request has so many bytes that it goes to the bucket.
    is_large: bool,
    tries: u32,
    patience: Option<Duration>,
}

pub(super) fn draw(rng: &mut StdRng) -> Box<dyn Load> {
    let key = rng.random_bool(0.4).then(|| rng.random_range(0..3));
    Box::new(Background {
        project: tenant(rng),
        text: key.unwrap_or_else(|| rng.random_range(0..6)),
        stream: key.map_or_else(|| rng.random_bool(0.4), |key| key % 2 == 0),
        conversation: key.is_none() && rng.random_bool(0.3),
        key,
        is_large: key.is_none() && rng.random_ratio(1, 15),
        tries: rng.random_range(1..3),
        patience: patience(rng),
    })
}

#[async_trait]
impl Load for Background {
    async fn run(&self, client: &mut Client) {
        let output = 20 + self.text * 20;
        let mut body = json!({"model": "chat", "max_output_tokens": output, "background": true, "stream": self.stream});
        let noise = if self.is_large { noise(&mut client.rng) } else { String::new() };
        body["input"] = json!(prompt::write(self.text));
        if self.is_large {
            body["instructions"] = json!(noise);
        }
        if self.conversation {
            body["conversation"] = json!(client.deployment.sim.ledger().tenants[self.project].conversation);
        }
        let body = body.to_string();
        let keyed = self.key.map(|key| KeyedRequest {
            project: self.project,
            path: PATH,
            key: format!("job-{key}"),
            body: body.clone(),
        });
        let ask = Ask {
            method: "POST",
            path: PATH.to_owned(),
            body,
            patience: self.patience,
            ..Ask::of_tenant(self.project, true)
        };
        // It may be begun four times, and a run that only seemed dead beside them.
        let Some(reply) = client.insist(self.project, ask, keyed, 5 * u64::from(output), self.tries).await else {
            return;
        };
        let Some(id) = id_of(&reply.body).filter(|_| reply.status == 200) else { return };
        let mut reader = Reader { project: self.project, id, next: 0, has_ended: false };
        {
            let mut ledger = client.deployment.sim.ledger();
            let seen = ledger.response(&reader.id, self.project);
            seen.is_background = true;
            seen.conversation = self.conversation;
        }
        if self.stream {
            reader.take(client, &reply.body);
            reader.resume(client, 4).await;
        }
    }
}

/// Text that no compression makes small.
fn noise(rng: &mut StdRng) -> String {
    (0..220_000).map(|_| char::from(b'a' + rng.random_range(0..26))).collect()
}
