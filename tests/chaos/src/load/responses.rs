//! What clients do with responses: read their events, and go on where a connection broke.

use bytes::Bytes;
use rand::RngExt as _;
use serde_json::Value;

use super::prompt;
use crate::client::{Ask, Client};

pub(crate) const PATH: &str = "/v1/responses";

/// The whole events of a stream: their numbers, and their bytes.
pub(crate) fn events(stream: &Bytes) -> Vec<(u64, Value, Bytes)> {
    let mut found = Vec::new();
    let mut rest = stream.clone();
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\n\n") {
        let event = rest.split_to(end + 2);
        let text = String::from_utf8_lossy(&event).into_owned();
        let data = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or_default();
        let data: Value = serde_json::from_str(data).unwrap_or_default();
        if let Some(number) = data["sequence_number"].as_u64() {
            found.push((number, data, event));
        }
    }
    found
}

/// Whether a stream has come to the end of its response.
pub(crate) fn has_ended(stream: &Bytes) -> bool {
    events(stream).last().is_some_and(|(_, data, _)| is_end(data))
}

fn is_end(event: &Value) -> bool {
    event["type"].as_str().is_some_and(|name| ENDS.contains(&name))
}

const ENDS: [&str; 3] = ["response.completed", "response.incomplete", "response.failed"];

/// What a reader knows of a response.
pub(crate) struct Reader {
    pub(crate) project: usize,
    pub(crate) id: String,
    /// The number it wants next.
    pub(crate) next: u64,
    pub(crate) has_ended: bool,
}

impl Reader {
    /// Takes the events of one connection: they go on where the last one ended, and every reader gets the same.
    pub(crate) fn take(&mut self, client: &Client, stream: &Bytes) {
        let mut ledger = client.deployment.sim.ledger();
        if prompt::is_for_another(self.project, stream) {
            ledger.violation("tenancy", format!("tenant {} got the events of another", self.project));
        }
        for (number, data, event) in events(stream) {
            let id = &self.id;
            // A reader that is beyond the end is told the end.
            if number != self.next && !(number < self.next && is_end(&data)) {
                ledger.violation("sequence", format!("{id}: event {number} came where {} was to come", self.next));
            }
            self.next = number + 1;
            let seen = ledger.response(id, self.project);
            if seen.events.get(&number).is_some_and(|before| *before != event) {
                ledger.violation("sequence", format!("{id}: event {number} is not the same to all who read it"));
            }
            ledger.response(id, self.project).events.insert(number, event);
            self.has_ended |= is_end(&data);
        }
    }

    /// Reads on, as often as a patient client would.
    pub(crate) async fn resume(&mut self, client: &mut Client, times: u32) {
        for _ in 0..times {
            if self.has_ended {
                return;
            }
            let after = self.next.checked_sub(1).map(|last| format!("&starting_after={last}")).unwrap_or_default();
            let path = format!("{PATH}/{}?stream=true{after}", self.id);
            let bearer = client.own_key(self.project);
            let Some(reply) = client.send(&Ask { method: "GET", path, bearer, ..Ask::default() }).await else {
                continue;
            };
            if reply.status == 200 {
                self.take(client, &reply.body);
            }
            if reply.status == 404 || reply.is_ok() {
                return;
            }
            let wait = client.rng.random_range(100..3_000);
            tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
        }
    }
}

/// The id of the response that a stream or a body is about.
pub(crate) fn id_of(body: &Bytes) -> Option<String> {
    let whole: Option<Value> = serde_json::from_slice(body).ok();
    let first = || events(body).into_iter().next().map(|(_, data, _)| data["response"].clone());
    let response = whole.or_else(first)?;
    response["id"].as_str().filter(|id| id.starts_with("resp_")).map(str::to_owned)
}
