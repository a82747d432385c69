//! Readers of responses: they read events, and resume after a connection broke.

use bytes::Bytes;
use rand::RngExt as _;
use serde_json::Value;

use super::prompt;
use crate::client::{Client, Request};

pub(crate) const PATH: &str = "/v1/responses";

/// Returns the complete events of a stream: sequence number, data and bytes of each.
pub(crate) fn parse_events(stream: &Bytes) -> Vec<(u64, Value, Bytes)> {
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

/// Whether a stream contains the final event of its response.
pub(crate) fn has_ended(stream: &Bytes) -> bool {
    parse_events(stream).last().is_some_and(|(_, data, _)| is_final(data))
}

fn is_final(event: &Value) -> bool {
    event["type"].as_str().is_some_and(|name| FINAL_EVENTS.contains(&name))
}

const FINAL_EVENTS: [&str; 3] = ["response.completed", "response.incomplete", "response.failed"];

/// A reader of the events of a response.
pub(crate) struct Reader {
    pub(crate) project: usize,
    pub(crate) id: String,
    /// The sequence number that it expects next.
    pub(crate) next: u64,
    pub(crate) has_ended: bool,
}

impl Reader {
    /// Reads the events of one connection. They must continue the last connection, and be the same for all readers.
    pub(crate) fn read(&mut self, client: &Client, stream: &Bytes) {
        let mut observed = client.deployment.sim.observed();
        if prompt::names_another_tenant(self.project, stream) {
            observed.violation("tenancy", format!("tenant {} got the events of another", self.project));
        }
        for (number, data, event) in parse_events(stream) {
            let id = &self.id;
            // A reader beyond the final event gets the final event again.
            if number != self.next && !(number < self.next && is_final(&data)) {
                observed.violation("sequence", format!("{id}: event {number} came instead of event {}", self.next));
            }
            self.next = number + 1;
            let seen = observed.response(id, self.project);
            if seen.events.get(&number).is_some_and(|before| *before != event) {
                observed.violation("sequence", format!("{id}: event {number} differs between two readers"));
            }
            observed.response(id, self.project).events.insert(number, event);
            self.has_ended |= is_final(&data);
        }
    }

    /// Reads further events, over up to `times` connections, until the final one.
    pub(crate) async fn resume(&mut self, client: &mut Client, times: u32) {
        for _ in 0..times {
            if self.has_ended {
                return;
            }
            let after = self.next.checked_sub(1).map(|last| format!("&starting_after={last}")).unwrap_or_default();
            let path = format!("{PATH}/{}?stream=true{after}", self.id);
            let bearer = client.permanent_key(self.project);
            let request = Request { method: "GET", path, bearer, ..Request::default() };
            let Some(reply) = client.exchange(self.project, &request).await else {
                continue;
            };
            if reply.status == 200 {
                self.read(client, &reply.body);
            }
            if reply.status == 404 || reply.is_ok() {
                return;
            }
            let wait = client.rng.random_range(100..3_000);
            tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
        }
    }
}

/// Returns the id of the response in a stream or a body.
pub(crate) fn response_id(body: &Bytes) -> Option<String> {
    let whole: Option<Value> = serde_json::from_slice(body).ok();
    let first = || parse_events(body).into_iter().next().map(|(_, data, _)| data["response"].clone());
    let response = whole.or_else(first)?;
    response["id"].as_str().filter(|id| id.starts_with("resp_")).map(str::to_owned)
}
