//! Somebody tries ids of another project with a key of their own.

use async_trait::async_trait;
use rand::rngs::StdRng;

use super::{Load, tenant};
use crate::client::Client;
use crate::deployment::TENANTS;
use crate::invariants::tenancy;

#[derive(Debug)]
struct Snoop {
    project: usize,
}

pub(super) fn draw(chance: &mut StdRng) -> Box<dyn Load> {
    Box::new(Snoop { project: tenant(chance) })
}

#[async_trait]
impl Load for Snoop {
    async fn run(&self, client: &mut Client) {
        let Some(id) = client.some_job(self.project) else { return };
        let bearer = client.own_key((self.project + 1) % TENANTS);
        for ask in tenancy::attempts(&id, &bearer) {
            if let Some(reply) = client.send(&ask).await {
                tenancy::judge(&mut client.deployment.sim.ledger(), &ask, reply.status);
            }
        }
    }
}
