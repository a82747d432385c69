//! Never leaked: nothing of a project can be read or changed with another project's key.

use std::sync::Arc;

use async_trait::async_trait;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::{Invariant, Verdict};
use crate::client::{Ask, Client};
use crate::deployment::{Deployment, TENANTS};
use crate::ledger::Ledger;

pub(super) struct Tenancy;

#[async_trait]
impl Invariant for Tenancy {
    fn name(&self) -> &'static str {
        "tenancy"
    }

    async fn at_the_end(&mut self, deployment: &Arc<Deployment>) -> Verdict {
        let mut client = Client { deployment: Arc::clone(deployment), operation: 0, rng: StdRng::seed_from_u64(3) };
        let mut asked = Vec::new();
        {
            let ledger = deployment.sim.ledger();
            for (id, seen) in ledger.responses.iter().take(6) {
                let other = &ledger.tenants[(seen.project + 1) % TENANTS].keys[0].0;
                asked.extend(attempts(id, other));
            }
            for (n, tenant) in ledger.tenants.iter().enumerate() {
                let other = &ledger.tenants[(n + 1) % TENANTS].keys[0].0;
                let get = |path| Ask { method: "GET", path, bearer: other.clone(), ..Ask::default() };
                asked.push(get(format!("/v1/conversations/{}", tenant.conversation)));
                asked.push(get(format!("/v1/conversations/{}/items", tenant.conversation)));
                asked.push(get(format!("/v1/webhook_endpoints/{}", tenant.endpoints[0].id)));
                asked.push(get(format!("/v1/webhook_endpoints/{}/deliveries", tenant.endpoints[0].id)));
            }
        }
        for ask in asked {
            let status = client.send(&ask).await.map_or(0, |reply| reply.status);
            judge(&mut deployment.sim.ledger(), &ask, status);
        }
        Ok(())
    }
}

/// What somebody tries who knows the id of another's response.
pub(crate) fn attempts(id: &str, bearer: &str) -> Vec<Ask> {
    let path = format!("/v1/responses/{id}");
    let of = |method, path| Ask { method, path, bearer: bearer.to_owned(), ..Ask::default() };
    vec![
        of("GET", path.clone()),
        of("GET", format!("{path}?stream=true")),
        of("GET", format!("{path}/input_items")),
        of("POST", format!("{path}/cancel")),
        of("DELETE", path),
    ]
}

/// Another's id is as good as none: 404. A store that fails says nothing of it.
pub(crate) fn judge(ledger: &mut Ledger, ask: &Ask, status: u16) {
    if status != 404 && !matches!(status, 0 | 429 | 500..) {
        ledger.violation("tenancy", format!("{} {} of another project: {status}", ask.method, ask.path));
    }
}
