//! A revoked key is refused. Clients also use revoked keys during the run: see `Client::call_model`.

use std::sync::Arc;

use async_trait::async_trait;

use super::{CheckResult, Invariant, expect};
use crate::client::{Client, Request};
use crate::deployment::Deployment;

pub(super) struct Keys;

#[async_trait]
impl Invariant for Keys {
    fn name(&self) -> &'static str {
        "keys"
    }

    /// Processes cache a key for 30 seconds, which ended long ago.
    async fn at_the_end(&mut self, deployment: &Arc<Deployment>) -> CheckResult {
        let mut client = Client::of_invariant(deployment, 2);
        let keys: Vec<(String, bool)> = {
            let observed = deployment.sim.observed();
            let of_tenants = observed.tenants.iter().flat_map(|tenant| {
                let revoked = |n| tenant.revoked.contains_key(&n);
                let known = tenant.keys.iter().enumerate().filter(move |(n, _)| *n == 0 || revoked(*n));
                known.map(move |(n, (key, _))| (key.clone(), revoked(n))).collect::<Vec<_>>()
            });
            of_tenants.collect()
        };
        for (bearer, is_revoked) in keys {
            let request = Request { method: "GET", path: "/v1/models".to_owned(), bearer, ..Request::default() };
            let status = client.send(&request).await.map_or(0, |reply| reply.status);
            let expected = if is_revoked { 401 } else { 200 };
            expect(status == expected, || format!("a key (revoked: {is_revoked}) is answered with {status}"))?;
        }
        Ok(())
    }
}
