//! Never twice: an idempotency key belongs to one request, and has one stored success. All its replays have the same
//! bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::{CheckResult, Invariant, expect};
use crate::client::{Client, Request};
use crate::deployment::Deployment;
use crate::load::prompt::MODEL_OUTPUT;
use crate::observations::{KeyedReply, KeyedRequest, Observations};
use crate::reply::record_keyed_reply;

pub(super) struct Replays;

#[async_trait]
impl Invariant for Replays {
    fn name(&self) -> &'static str {
        "replays"
    }

    /// Sends every request with a key that succeeded twice more, then compares its answers.
    async fn after_the_faults(&mut self, deployment: &Arc<Deployment>) -> CheckResult {
        let asked: Vec<KeyedRequest> = deployment.sim.observed().keyed.keys().cloned().collect();
        let mut client = Client::of_invariant(deployment, 1);
        for keyed in asked {
            for _ in 0..2 {
                repeat(&mut client, &keyed).await?;
            }
        }
        let observed = deployment.sim.observed();
        for (keyed, replies) in &observed.keyed {
            check_same_bytes(keyed, replies, deployment.sim.scenario.only_harmless)?;
        }
        check_one_request_per_key(&observed)
    }
}

/// Sends a request again. It must not run again if a client got its answer as a replay, or after the faults.
async fn repeat(client: &mut Client, keyed: &KeyedRequest) -> CheckResult {
    let KeyedRequest { project, path, body, key } = keyed.clone();
    let mut request = Request { method: "POST", path: path.to_owned(), body, ..Request::of_tenant(project, false) };
    request.headers.push(("idempotency-key", key));
    let reply = client.call_model(project, 0, &mut request, 5 * MODEL_OUTPUT).await;
    let mut observed = client.deployment.sim.observed();
    let before = observed.keyed.get(keyed).map_or(&[] as &[_], Vec::as_slice);
    let is_stored = before.iter().any(|reply| reply.is_replay || reply.after_faults);
    let Some(reply) = reply else { return Ok(()) };
    let runs_again = is_stored && reply.status == 200 && !reply.is_replay();
    expect(!runs_again, || format!("{} of tenant {project} has a stored answer, and was run again", keyed.key))?;
    record_keyed_reply(&mut observed, keyed, &reply, true);
    Ok(())
}

/// Checks that of several requests with one key only one succeeded.
fn check_one_request_per_key(observed: &Observations) -> CheckResult {
    let mut bodies: BTreeMap<(usize, &str, &str), &str> = BTreeMap::new();
    for keyed in observed.keyed.keys() {
        let first = bodies.entry((keyed.project, keyed.path, &keyed.key)).or_insert(&keyed.body);
        expect(*first == keyed.body, || {
            format!("{} of tenant {} succeeded for two requests: {first} and {}", keyed.key, keyed.project, keyed.body)
        })?;
    }
    Ok(())
}

/// Checks that all stored answers are the same. The client of the first run may have got an answer that was never
/// stored, so only a replay is known to be stored. If only harmless faults strike, every success is stored.
fn check_same_bytes(keyed: &KeyedRequest, replies: &[KeyedReply], only_harmless: bool) -> CheckResult {
    let stored: Vec<&KeyedReply> = replies.iter().filter(|reply| reply.is_replay || only_harmless).collect();
    let differs = stored.iter().find(|reply| reply.body != stored[0].body);
    expect(differs.is_none(), || {
        let bodies: Vec<_> = stored.iter().map(|reply| String::from_utf8_lossy(&reply.body)).collect();
        format!("{} of tenant {} has several answers: {bodies:?}", keyed.key, keyed.project)
    })
}
