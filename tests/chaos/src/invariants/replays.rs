//! Never twice: a key is one request's, of which there is one stored success, and every replay of it has the same bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::{Invariant, Verdict, expect};
use crate::client::{Ask, Client, keep};
use crate::deployment::Deployment;
use crate::ledger::{KeyedReply, KeyedRequest, Ledger};
use crate::load::prompt::MODEL_OUTPUT;

pub(super) struct Replays;

#[async_trait]
impl Invariant for Replays {
    fn name(&self) -> &'static str {
        "replays"
    }

    /// Every request with a key that succeeded is sent twice more, then what came of each is compared.
    async fn after_the_faults(&mut self, deployment: &Arc<Deployment>) -> Verdict {
        let asked: Vec<KeyedRequest> = deployment.sim.ledger().keyed.keys().cloned().collect();
        let mut client = Client { deployment: Arc::clone(deployment), operation: 0, rng: StdRng::seed_from_u64(1) };
        for keyed in asked {
            for _ in 0..2 {
                again(&mut client, &keyed).await?;
            }
        }
        let ledger = deployment.sim.ledger();
        for (keyed, replies) in &ledger.keyed {
            same(keyed, replies, deployment.sim.weather.is_calm)?;
        }
        one_request(&ledger)
    }
}

/// Sends a request once more. One that somebody got as a replay, or that has just succeeded, is not run again.
async fn again(client: &mut Client, keyed: &KeyedRequest) -> Verdict {
    let KeyedRequest { project, path, body, key } = keyed.clone();
    let mut ask = Ask { method: "POST", path: path.to_owned(), body, ..Ask::of_tenant(project, false) };
    ask.headers.push(("idempotency-key", key));
    let reply = client.call(project, 0, &mut ask, 5 * MODEL_OUTPUT).await;
    let mut ledger = client.deployment.sim.ledger();
    let before = ledger.keyed.get(keyed).map_or(&[] as &[_], Vec::as_slice);
    let is_stored = before.iter().any(|reply| reply.is_replay || reply.is_last_word);
    let Some(reply) = reply else { return Ok(()) };
    let runs_again = is_stored && reply.status == 200 && !reply.is_replay();
    expect(!runs_again, || format!("{} of tenant {project} has a stored answer, and was run again", keyed.key))?;
    keep(&mut ledger, keyed, &reply, true);
    Ok(())
}

/// A key is one request's: of several that were sent with it only one succeeds.
fn one_request(ledger: &Ledger) -> Verdict {
    let mut bodies: BTreeMap<(usize, &str, &str), &str> = BTreeMap::new();
    for keyed in ledger.keyed.keys() {
        let first = bodies.entry((keyed.project, keyed.path, &keyed.key)).or_insert(&keyed.body);
        expect(*first == keyed.body, || {
            format!("{} of tenant {} succeeded for two requests: {first} and {}", keyed.key, keyed.project, keyed.body)
        })?;
    }
    Ok(())
}

/// Who ran the request himself, and died or could not keep the answer, may have got another than those who came later:
/// only a replay says that its bytes are the stored ones. While nothing fails, every success is stored.
fn same(keyed: &KeyedRequest, replies: &[KeyedReply], is_calm: bool) -> Verdict {
    let stored: Vec<&KeyedReply> = replies.iter().filter(|reply| reply.is_replay || is_calm).collect();
    let differs = stored.iter().find(|reply| reply.body != stored[0].body);
    expect(differs.is_none(), || {
        let bodies: Vec<_> = stored.iter().map(|reply| String::from_utf8_lossy(&reply.body)).collect();
        format!("{} of tenant {} has several answers: {bodies:?}", keyed.key, keyed.project)
    })
}
