//! Reports of usage and costs, read from the hourly counters.
//!
//! Counters can run ahead of the meter by writes that were repeated; see `data::Table::add_usage`. Reports say what was
//! used, they decide nothing.

mod aggregate;
mod buckets;

use std::collections::BTreeSet;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::error::Error;
use super::gateway::Gateway;
use crate::data::{StoreError, UsageCount, UsageKey};
use crate::model::clock::Timestamp;
pub use aggregate::{Group, Grouping, Selection, Tally};
pub use buckets::{Bucket, Range, Width};

/// What a report is about, and which page of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageQuery {
    pub range: Range,
    /// Begin of the first bucket of the page, in Unix seconds; `None`: the begin of the range.
    pub from: Option<u64>,
    /// Buckets of a page, at least 1.
    pub limit: usize,
    pub selection: Selection,
}

/// A page of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsagePage {
    pub tallies: Vec<Tally>,
    /// Begin of the next page.
    pub next: Option<u64>,
}

/// Projects whose counters are read at once.
const AT_ONCE: usize = 8;

impl Gateway {
    /// Reports what was used, in buckets of time.
    ///
    /// # Errors
    /// `Internal` if the table failed.
    pub async fn usage(&self, query: &UsageQuery) -> Result<UsagePage, Error> {
        let (buckets, next) = query.range.page(query.from, query.limit);
        let counters = match (buckets.first(), buckets.last()) {
            (Some(first), Some(last)) => self.counters(&query.selection.projects, first.start, last.end).await?,
            _ => Vec::new(),
        };
        Ok(UsagePage { tallies: aggregate::aggregate(&buckets, &counters, &query.selection), next })
    }

    /// Counters of the hours from `start` to before `end`, of some projects or of all if none is named.
    async fn counters(
        &self,
        projects: &BTreeSet<String>,
        start: u64,
        end: u64,
    ) -> Result<Vec<(UsageKey, UsageCount)>, Error> {
        let ids: Vec<String> = match projects.is_empty() {
            true => self.stores.table.projects().await?.into_iter().map(|project| project.id).collect(),
            false => projects.iter().cloned().collect(),
        };
        let hour = |seconds: u64| Timestamp(seconds.saturating_mul(1_000)).hour();
        let (first, last) = (hour(start), hour(end.saturating_sub(1)));
        let read = stream::iter(ids).map(|id| {
            let (table, first, last) = (self.stores.table.clone(), first.clone(), last.clone());
            async move { table.usage(&id, &first, &last).await }
        });
        let found: Result<Vec<_>, StoreError> = read.buffered(AT_ONCE).try_collect().await;
        Ok(found?.into_iter().flatten().collect())
    }
}
