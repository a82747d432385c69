//! Reports of usage and costs, read from the hourly counters.
//!
//! A counter can exceed the meter, because a repeated write counts twice; see `data::UsageCounters::add`. Reports are for
//! information: limits are decided by the meter.

use std::collections::BTreeSet;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::error::Error;
use crate::data::{ProjectRecords, StoreError, Stores, UsageCounters};
use crate::model::clock::Timestamp;
use crate::model::usage::{Range, Selection, Tally, UsageCount, UsageKey, aggregate};

/// The request for one page of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageQuery {
    pub range: Range,
    /// Begin of the first bucket of the page, in Unix seconds. `None` is the begin of the range.
    pub from: Option<u64>,
    /// Number of buckets on a page, at least 1.
    pub limit: usize,
    pub selection: Selection,
}

/// One page of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsagePage {
    pub tallies: Vec<Tally>,
    /// Begin of the next page, in Unix seconds. `None` on the last page.
    pub next: Option<u64>,
}

/// Number of projects whose counters are read at the same time.
const CONCURRENT_READS: usize = 8;

/// Makes reports of usage and costs.
pub struct UsageReports {
    projects: ProjectRecords,
    counters: UsageCounters,
}

impl UsageReports {
    pub(super) fn new(stores: &Stores) -> Self {
        Self { projects: stores.projects(), counters: stores.usage_counters() }
    }

    /// Reports the usage in buckets of time.
    pub async fn report(&self, query: &UsageQuery) -> Result<UsagePage, Error> {
        let (buckets, next) = query.range.page(query.from, query.limit);
        let counters = match (buckets.first(), buckets.last()) {
            (Some(first), Some(last)) => self.read_counters(&query.selection.projects, first.start, last.end).await?,
            _ => Vec::new(),
        };
        Ok(UsagePage { tallies: aggregate(&buckets, &counters, &query.selection), next })
    }

    /// Reads the counters of the hours from `start` to before `end`, in Unix seconds. An empty set of projects selects
    /// all projects.
    async fn read_counters(
        &self,
        projects: &BTreeSet<String>,
        start: u64,
        end: u64,
    ) -> Result<Vec<(UsageKey, UsageCount)>, Error> {
        let ids: Vec<String> = match projects.is_empty() {
            true => self.projects.list().await?.into_iter().map(|project| project.id).collect(),
            false => projects.iter().cloned().collect(),
        };
        let hour = |seconds: u64| Timestamp(seconds.saturating_mul(1_000)).hour();
        let (first, last) = (hour(start), hour(end.saturating_sub(1)));
        let reads = stream::iter(ids).map(|id| {
            let (counters, first, last) = (self.counters.clone(), first.clone(), last.clone());
            async move { counters.read(&id, &first, &last).await }
        });
        let found: Result<Vec<_>, StoreError> = reads.buffered(CONCURRENT_READS).try_collect().await;
        Ok(found?.into_iter().flatten().collect())
    }
}
