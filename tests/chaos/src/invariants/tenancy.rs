//! Never leaked: a key of one project can neither read nor change the objects of another.

use std::sync::Arc;

use async_trait::async_trait;

use super::{CheckResult, Invariant};
use crate::client::{Client, Request};
use crate::deployment::{Deployment, TENANTS};
use crate::observations::Observations;

pub(super) struct Tenancy;

#[async_trait]
impl Invariant for Tenancy {
    fn name(&self) -> &'static str {
        "tenancy"
    }

    async fn at_the_end(&mut self, deployment: &Arc<Deployment>) -> CheckResult {
        let mut client = Client::of_invariant(deployment, 3);
        let mut asked = Vec::new();
        {
            let observed = deployment.sim.observed();
            for (id, seen) in observed.responses.iter().take(6) {
                let other = &observed.tenants[(seen.project + 1) % TENANTS].keys[0].0;
                asked.extend(foreign_requests(id, other));
            }
            for (n, tenant) in observed.tenants.iter().enumerate() {
                let other = &observed.tenants[(n + 1) % TENANTS].keys[0].0;
                let get = |path| Request { method: "GET", path, bearer: other.clone(), ..Request::default() };
                asked.push(get(format!("/v1/conversations/{}", tenant.conversation)));
                asked.push(get(format!("/v1/conversations/{}/items", tenant.conversation)));
                asked.push(get(format!("/v1/webhook_endpoints/{}", tenant.endpoints[0].id)));
                asked.push(get(format!("/v1/webhook_endpoints/{}/deliveries", tenant.endpoints[0].id)));
            }
        }
        for request in asked {
            let status = client.send(&request).await.map_or(0, |reply| reply.status);
            check_not_found(&mut deployment.sim.observed(), &request, status);
        }
        Ok(())
    }
}

/// Returns requests for a response, with the key of another tenant.
pub(crate) fn foreign_requests(id: &str, bearer: &str) -> Vec<Request> {
    let path = format!("/v1/responses/{id}");
    let of = |method, path| Request { method, path, bearer: bearer.to_owned(), ..Request::default() };
    vec![
        of("GET", path.clone()),
        of("GET", format!("{path}?stream=true")),
        of("GET", format!("{path}/input_items")),
        of("POST", format!("{path}/cancel")),
        of("DELETE", path),
    ]
}

/// Checks that a request for an object of another tenant is answered with 404, unless the service failed or was too
/// busy.
pub(crate) fn check_not_found(observed: &mut Observations, request: &Request, status: u16) {
    if status != 404 && !matches!(status, 0 | 429 | 500..) {
        observed.violation("tenancy", format!("{} {} of another project: {status}", request.method, request.path));
    }
}
