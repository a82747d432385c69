//! Events are numbered without a gap, are the same to all who read them, and say in the end what the response says.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::Value;

use super::{Invariant, Verdict, expect};
use crate::client::{Ask, Client};
use crate::deployment::Deployment;
use crate::load::responses::{PATH, Reader, events};

pub(super) struct Sequence;

#[async_trait]
impl Invariant for Sequence {
    fn name(&self) -> &'static str {
        "sequence"
    }

    async fn at_the_end(&mut self, deployment: &Arc<Deployment>) -> Verdict {
        let known: Vec<(String, usize)> = {
            let ledger = deployment.sim.ledger();
            let kept = ledger.responses.iter().filter(|(_, seen)| seen.is_background && !seen.is_deleted);
            kept.map(|(id, seen)| (id.clone(), seen.project)).collect()
        };
        let mut client = Client { deployment: Arc::clone(deployment), operation: 0, rng: StdRng::seed_from_u64(0) };
        for (id, project) in known {
            agree(&mut client, id, project).await?;
        }
        Ok(())
    }
}

/// Reads a response and all of its events. That events differ from those that others read is noted by the reader.
async fn agree(client: &mut Client, id: String, project: usize) -> Verdict {
    let get =
        |query: &str, bearer| Ask { method: "GET", path: format!("{PATH}/{id}{query}"), bearer, ..Ask::default() };
    let (whole, stream) = (get("", client.own_key(project)), get("?stream=true", client.own_key(project)));
    let (Some(whole), Some(stream)) = (client.send(&whole).await, client.send(&stream).await) else {
        return Err(format!("{id} cannot be read"));
    };
    expect(whole.is_ok() && stream.is_ok(), || format!("{id} is read with {} and {}", whole.status, stream.status))?;
    let mut reader = Reader { project, id: id.clone(), next: 0, has_ended: false };
    reader.take(client, &stream.body);
    let response = whole.json();
    let last_seen = client.deployment.sim.ledger().responses[&id].events.keys().next_back().copied();
    expect(last_seen < Some(reader.next), || format!("{id}: event {last_seen:?} was read once, and is gone"))?;
    // Those of a cancelled response just stop.
    if response["status"] == "cancelled" {
        return Ok(());
    }
    let end = events(&stream.body).pop().map(|(_, event, _)| event).unwrap_or_default();
    let says = end["type"].as_str().and_then(|name| name.strip_prefix("response.")).unwrap_or_default();
    expect(response["status"] == says, || format!("{id} is {}, its events say {says:?}", response["status"]))?;
    for member in ["output", "usage", "error", "incomplete_details"] {
        let (kept, told) = (&response[member], &end["response"][member]);
        expect(kept == told, || format!("{id}: the {member} is {kept}, the last event says {told}"))?;
    }
    let (said, told) = (spoken(&stream.body), text(&response));
    expect(response["status"] != "completed" || said == told, || {
        format!("{id}: the events say {said:?}, the response {told:?}")
    })
}

/// The text of the last run in the events.
fn spoken(stream: &Bytes) -> String {
    let mut said = String::new();
    for (_, data, _) in events(stream) {
        match data["type"].as_str() {
            Some("response.in_progress") => said.clear(),
            Some("response.output_text.delta") => said.push_str(data["delta"].as_str().unwrap_or_default()),
            _ => {}
        }
    }
    said
}

/// The text of a response object.
fn text(response: &Value) -> String {
    let items = response["output"].as_array().into_iter().flatten();
    let parts = items.flat_map(|item| item["content"].as_array().into_iter().flatten());
    parts.filter_map(|part| part["text"].as_str()).collect()
}
