//! The counters say exactly how much a project stores in conversations and files, and the parts of turns name exactly the items that are there.

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
            let StoredContent { counted, of_parts, of_files, of_chunks, begun_files: begun, named, items } =
                inspector.stored_content(&id).await?;
            expect(begun.is_empty(), || format!("{id} has uploads that did not end and stay: {begun:?}"))?;
            let stored = of_parts.plus(of_files).plus(of_chunks);
            expect(counted == stored, || format!("{id} is counted with {counted:?} and has {stored:?}"))?;
            let bytes = items.values().sum::<u64>() + of_files.bytes + of_chunks.bytes;
            expect(bytes == counted.bytes, || {
                format!("{id} is counted with {counted:?} and its items, files and chunks have {bytes} bytes")
            })?;
            let is_named = items.keys().eq(&named);
            expect(is_named, || format!("the turns of {id} name {named:?}, and the items are {items:?}"))?;
        }
        Ok(())
    }
}
