//! The counters say exactly how much a project stores, and the parts of turns name exactly the items that are there.

use std::sync::Arc;

use async_trait::async_trait;

use super::{CheckResult, Invariant, expect};
use crate::deployment::Deployment;
use crate::inspector::StoredContent;

pub(super) struct Storage;

#[async_trait]
impl Invariant for Storage {
    fn name(&self) -> &'static str {
        "storage"
    }

    async fn at_the_end(&mut self, deployment: &Arc<Deployment>) -> CheckResult {
        let inspector = &deployment.inspector;
        let ids: Vec<String> = {
            let observed = deployment.sim.observed();
            let tenants = observed.tenants.iter().map(|tenant| tenant.project.id.clone());
            tenants.chain(observed.guests.iter().map(|guest| guest.project_id.clone())).collect()
        };
        for id in ids {
            let StoredContent { counted, of_parts, named, items } = inspector.stored_content(&id).await?;
            expect(counted == of_parts, || format!("{id} is counted with {counted:?} and has {of_parts:?}"))?;
            let bytes: u64 = items.values().sum();
            expect(bytes == counted.bytes, || {
                format!("{id} is counted with {counted:?} and its items have {bytes} bytes")
            })?;
            let is_named = items.keys().eq(&named);
            expect(is_named, || format!("the turns of {id} name {named:?}, and the items are {items:?}"))?;
        }
        Ok(())
    }
}
