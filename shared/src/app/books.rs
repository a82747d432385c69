//! FinalUsage the books: a hold is settled once, what was used is counted.

use super::admission::Ticket;
use super::dispatch::ErrorChain;
use super::error::Error;
use super::gateway::Gateway;
use super::telemetry::{TelemetryEvent, tell};
use crate::data::{Operation, Settled, UsageCount, UsageKey};
use crate::model::money::MicroUsd;
use crate::model::tokens::Usage;

/// Where a call is counted.
pub(super) struct Account<'a> {
    pub(super) project_id: &'a str,
    pub(super) api_key_id: &'a str,
    pub(super) model: &'a str,
    pub(super) operation: Operation,
}

impl Gateway {
    /// Settles and counts at once, in one round trip: for a call that nobody else settles while it lives. Should the sweeper
    /// have taken it for dead, the hold is settled once and the counter counts twice.
    pub(super) async fn book(&self, account: &Account<'_>, ticket: &Ticket, usage: &Usage, cost: MicroUsd) {
        let (settled, counted) = tokio::join!(
            self.settle(ticket, cost, usage.input + usage.output),
            self.count(account, ticket, usage, cost)
        );
        if let Err(error) = settled {
            tracing::error!(error = %ErrorChain(&error), "hold not settled, the sweeper will");
        }
        if let Err(error) = counted {
            tracing::error!(error = %ErrorChain(&error), "usage not counted");
        }
    }

    /// Settles, and counts if it had not been settled before: for a call that others may settle at the same time. A settlement
    /// whose answer was lost looks like another's and is not counted.
    ///
    /// # Errors
    /// If the table fails; repeat it.
    pub(super) async fn book_once(
        &self,
        account: &Account<'_>,
        ticket: &Ticket,
        usage: &Usage,
        cost: MicroUsd,
    ) -> Result<(), Error> {
        if self.settle(ticket, cost, usage.input + usage.output).await? == Settled::Now {
            tell(&TelemetryEvent::Booked { model: account.model.to_owned(), usage: *usage, cost });
            self.count(account, ticket, usage, cost).await?;
        }
        Ok(())
    }

    /// Gives a hold back: nothing was used.
    pub(super) async fn release(&self, ticket: &Ticket) {
        if let Err(error) = self.settle(ticket, MicroUsd(0), 0).await {
            tracing::error!(error = %ErrorChain(&error), "hold not released, the sweeper will settle it");
        }
    }

    async fn count(&self, account: &Account<'_>, ticket: &Ticket, usage: &Usage, cost: MicroUsd) -> Result<(), Error> {
        let now = self.clock.now();
        let key = UsageKey {
            project_id: account.project_id.to_owned(),
            hour: now.hour(),
            operation: account.operation,
            model: account.model.to_owned(),
            api_key_id: account.api_key_id.to_owned(),
            shard: ticket.meter.shard,
        };
        let count = UsageCount { requests: 1, tokens: *usage, cost };
        Ok(self.stores.table.add_usage(&key, &count, now).await?)
    }
}
