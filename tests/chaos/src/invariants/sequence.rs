//! Events are numbered without a gap, are the same for all readers, and agree with the response.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;

use super::{CheckResult, Invariant, expect};
use crate::client::{Client, Request};
use crate::deployment::Deployment;
use crate::load::responses::{PATH, Reader, parse_events};

pub(super) struct Sequence;

#[async_trait]
impl Invariant for Sequence {
    fn name(&self) -> &'static str {
        "sequence"
    }

    async fn at_the_end(&mut self, deployment: &Arc<Deployment>) -> CheckResult {
        let known: Vec<(String, usize)> = {
            let observed = deployment.sim.observed();
            let kept = observed.responses.iter().filter(|(_, seen)| seen.is_background && !seen.is_deleted);
            kept.map(|(id, seen)| (id.clone(), seen.project)).collect()
        };
        let mut client = Client::of_invariant(deployment, 0);
        for (id, project) in known {
            check_events(&mut client, id, project).await?;
        }
        Ok(())
    }
}

/// Reads a response and all of its events, and compares both. The reader compares the events with those of other
/// readers.
async fn check_events(client: &mut Client, id: String, project: usize) -> CheckResult {
    let get = |query: &str, bearer| Request {
        method: "GET",
        path: format!("{PATH}/{id}{query}"),
        bearer,
        ..Request::default()
    };
    let (whole, stream) = (get("", client.permanent_key(project)), get("?stream=true", client.permanent_key(project)));
    let (Some(whole), Some(stream)) = (client.send(&whole).await, client.send(&stream).await) else {
        return Err(format!("{id} cannot be read"));
    };
    expect(whole.is_ok() && stream.is_ok(), || format!("{id} is read with {} and {}", whole.status, stream.status))?;
    let mut reader = Reader { project, id: id.clone(), next: 0, has_ended: false };
    reader.read(client, &stream.body);
    let response = whole.json();
    let last_seen = client.deployment.sim.observed().responses[&id].events.keys().next_back().copied();
    expect(last_seen < Some(reader.next), || format!("{id}: event {last_seen:?} was read once, and is gone"))?;
    // A cancelled response has no final event.
    if response["status"] == "cancelled" {
        return Ok(());
    }
    let end = parse_events(&stream.body).pop().map(|(_, event, _)| event).unwrap_or_default();
    let last_status = end["type"].as_str().and_then(|name| name.strip_prefix("response.")).unwrap_or_default();
    expect(response["status"] == last_status, || {
        format!("{id} is {}, its events say {last_status:?}", response["status"])
    })?;
    for member in ["output", "usage", "error", "incomplete_details"] {
        let (stored, sent) = (&response[member], &end["response"][member]);
        expect(stored == sent, || format!("{id}: the {member} is {stored}, the last event says {sent}"))?;
    }
    let (sent, stored) = (streamed_text(&stream.body), final_text(&response));
    expect(response["status"] != "completed" || sent == stored, || {
        format!("{id}: the events say {sent:?}, the response {stored:?}")
    })
}

/// Returns the text of the last run in the events.
fn streamed_text(stream: &Bytes) -> String {
    let mut text = String::new();
    for (_, data, _) in parse_events(stream) {
        match data["type"].as_str() {
            Some("response.in_progress") => text.clear(),
            Some("response.output_text.delta") => text.push_str(data["delta"].as_str().unwrap_or_default()),
            _ => {}
        }
    }
    text
}

/// Returns the text of a response object.
fn final_text(response: &Value) -> String {
    let items = response["output"].as_array().into_iter().flatten();
    let parts = items.flat_map(|item| item["content"].as_array().into_iter().flatten());
    parts.filter_map(|part| part["text"].as_str()).collect()
}
