//! The audit log, for administrators.

use super::error::Error;
use crate::data::{AuditRecords, Stores};
use crate::model::audit::{AuditCursor, AuditEntry, AuditFilter};
use crate::model::clock::Clock;
use crate::model::page::Page;

/// Lists the entries of the audit log. The components that make a change write its entry, in the same transaction or before.
pub struct AuditLog {
    records: AuditRecords,
    clock: Clock,
}

impl AuditLog {
    pub(super) fn new(stores: &Stores, clock: Clock) -> Self {
        Self { records: stores.audit(), clock }
    }

    /// A page of the entries that a filter wants, newest first.
    pub async fn list(&self, filter: &AuditFilter, cursor: &AuditCursor) -> Result<Page<AuditEntry>, Error> {
        Ok(self.records.list(filter, cursor, self.clock.now()).await?)
    }
}
