//! Every due item is handled: at the end the index of due items is empty.

use std::sync::Arc;

use async_trait::async_trait;

use super::{CheckResult, Invariant, expect};
use crate::deployment::Deployment;

pub(super) struct Due;

#[async_trait]
impl Invariant for Due {
    fn name(&self) -> &'static str {
        "due"
    }

    async fn at_the_end(&mut self, deployment: &Arc<Deployment>) -> CheckResult {
        let due = deployment.inspector.due().await?;
        expect(due.is_empty(), || format!("never handled: {due:?}"))
    }
}
