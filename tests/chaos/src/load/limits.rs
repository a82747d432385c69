//! An administrator raises or lowers a budget, also below what is spent.

use async_trait::async_trait;
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::json;

use super::{Load, prompt, tenant};
use crate::client::{Ask, Client};

#[derive(Debug)]
struct Limits {
    project: usize,
    micro_usd: u64,
}

pub(super) fn draw(rng: &mut StdRng) -> Box<dyn Load> {
    Box::new(Limits { project: tenant(rng), micro_usd: rng.random_range(100..9_000) * prompt::PRICE })
}

#[async_trait]
impl Load for Limits {
    async fn run(&self, client: &mut Client) {
        let (project_id, began_as) = {
            let mut ledger = client.deployment.sim.ledger();
            ledger.budgets.push((self.project, self.micro_usd));
            let tenant = &mut ledger.tenants[self.project];
            tenant.budget.begin();
            (tenant.project.id.clone(), tenant.budget.begun)
        };
        let dollars = f64::from(u32::try_from(self.micro_usd).unwrap_or(u32::MAX)) / 1_000_000.0;
        let ask = Ask {
            method: "POST",
            path: format!("/v1/organization/projects/{project_id}"),
            bearer: kit::ADMIN_KEY.to_owned(),
            body: json!({"limits": {"budget_usd_per_month": dollars}}).to_string(),
            ..Ask::default()
        };
        let confirmed = client.until_done(&ask).await;
        client.deployment.sim.ledger().tenants[self.project].budget.end(self.micro_usd, confirmed, began_as);
    }
}
