//! Never twice: of a key there is one stored success, and every replay of it has the same bytes.

use std::sync::Arc;

use async_trait::async_trait;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::{Invariant, Verdict, expect};
use crate::client::{Ask, Client};
use crate::deployment::Deployment;
use crate::ledger::{KeyedReply, KeyedRequest};

pub(super) struct Replays;

#[async_trait]
impl Invariant for Replays {
    fn name(&self) -> &'static str {
        "replays"
    }

    /// Every request with a key is sent once more, then what came of each is compared.
    async fn after_the_faults(&mut self, deployment: &Arc<Deployment>) -> Verdict {
        let asked: Vec<KeyedRequest> = deployment.sim.ledger().keyed.keys().cloned().collect();
        let mut client = Client { deployment: Arc::clone(deployment), operation: 0, chance: StdRng::seed_from_u64(1) };
        for keyed in asked {
            let ask = Ask {
                method: "POST",
                path: keyed.path.to_owned(),
                body: keyed.body.clone(),
                ..Ask::of_tenant(keyed.project, false)
            };
            let project = keyed.project;
            client.insist(project, ask, Some(keyed), 5 * crate::load::prompt::MODEL_OUTPUT, 1).await;
        }
        let ledger = deployment.sim.ledger();
        for (keyed, replies) in &ledger.keyed {
            same(keyed, replies, deployment.sim.weather.is_calm)?;
        }
        Ok(())
    }
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
