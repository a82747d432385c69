//! An administrator raises or lowers a budget, sometimes below the amount that is already spent.

use async_trait::async_trait;
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::json;

use super::{Action, draw_tenant, prompt};
use crate::client::{Client, Request};

#[derive(Debug)]
struct Limits {
    project: usize,
    micro_usd: u64,
}

pub(super) fn draw(rng: &mut StdRng) -> Box<dyn Action> {
    Box::new(Limits { project: draw_tenant(rng), micro_usd: rng.random_range(100..9_000) * prompt::PRICE })
}

#[async_trait]
impl Action for Limits {
    async fn run(&self, client: &mut Client) {
        let (project_id, number) = {
            let mut observed = client.deployment.sim.observed();
            observed.attempted_budgets.push((self.project, self.micro_usd));
            let tenant = &mut observed.tenants[self.project];
            tenant.budget.begin_change();
            (tenant.project.id.clone(), tenant.budget.started)
        };
        let dollars = f64::from(u32::try_from(self.micro_usd).unwrap_or(u32::MAX)) / 1_000_000.0;
        let request = Request {
            method: "POST",
            path: format!("/v1/organization/projects/{project_id}"),
            bearer: kit::ADMIN_KEY.to_owned(),
            body: json!({"limits": {"budget_usd_per_month": dollars}}).to_string(),
            ..Request::default()
        };
        let confirmed = client.confirm(&request).await.is_some();
        client.deployment.sim.observed().tenants[self.project].budget.end_change(self.micro_usd, confirmed, number);
    }
}
