//! A key that was revoked is refused. Clients use revoked keys, too, and look whether they are too good: see `Client::call`.

use std::sync::Arc;

use async_trait::async_trait;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::{Invariant, Verdict, expect};
use crate::client::{Ask, Client};
use crate::deployment::Deployment;

pub(super) struct Keys;

#[async_trait]
impl Invariant for Keys {
    fn name(&self) -> &'static str {
        "keys"
    }

    /// Processes remember a key for 30 seconds; by the end that is long ago.
    async fn at_the_end(&mut self, deployment: &Arc<Deployment>) -> Verdict {
        let mut client = Client { deployment: Arc::clone(deployment), operation: 0, rng: StdRng::seed_from_u64(2) };
        let keys: Vec<(String, bool)> = {
            let ledger = deployment.sim.ledger();
            let of_tenants = ledger.tenants.iter().flat_map(|tenant| {
                let revoked = |n| tenant.revoked.contains_key(&n);
                let known = tenant.keys.iter().enumerate().filter(move |(n, _)| *n == 0 || revoked(*n));
                known.map(move |(n, (key, _))| (key.clone(), revoked(n))).collect::<Vec<_>>()
            });
            of_tenants.collect()
        };
        for (bearer, is_revoked) in keys {
            let ask = Ask { method: "GET", path: "/v1/models".to_owned(), bearer, ..Ask::default() };
            let status = client.send(&ask).await.map_or(0, |reply| reply.status);
            let expected = if is_revoked { 401 } else { 200 };
            expect(status == expected, || format!("a key (revoked: {is_revoked}) is answered with {status}"))?;
        }
        Ok(())
    }
}
