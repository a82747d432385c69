//! The content of a project: everything that its clients sent and got. A scan of the table and lists of the bucket find it,
//! because no list has all of it; a purge is rare.

use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use super::bucket::{Bucket, Shelf};
use super::error::StoreError;
use super::item::{Item, Reader, text};
use super::keys::{self, Key};
use super::table::Table;

/// Items that are looked at together.
const PAGE: i32 = 1_000;
/// Items that are deleted at the same time.
const MAX_CONCURRENT: usize = 25;

/// Where a scan goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanPosition {
    pk: String,
    sk: String,
}

/// The result of one page of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasedPage {
    /// Responses that stay, because work is left for them: their reservation would not be settled.
    pub unfinished: usize,
    /// `None`: this was the last page.
    pub next: Option<ScanPosition>,
}

/// The content of projects.
#[derive(Clone, Debug)]
pub struct ProjectContent {
    pub(super) table: Table,
    pub(super) bucket: Bucket,
}

impl ProjectContent {
    /// Deletes what a project has in one page of the table, but no response with work left. Safe to repeat.
    pub async fn erase_page(&self, project_id: &str, after: Option<&ScanPosition>) -> Result<ErasedPage, StoreError> {
        let (items, next) = self.scan(project_id, after).await?;
        let (unfinished, erasable): (Vec<Item>, Vec<Item>) = items.into_iter().partition(is_unfinished);
        for some in erasable.chunks(MAX_CONCURRENT) {
            try_join_all(some.iter().map(async |item| self.table.delete(key_of(item)?).await)).await?;
        }
        Ok(ErasedPage { unfinished: unfinished.len(), next })
    }

    /// Deletes up to 1,000 bodies of a project. Returns whether there may be more.
    pub async fn erase_bodies(&self, project_id: &str) -> Result<bool, StoreError> {
        for shelf in Shelf::ALL {
            if self.bucket.delete_some(shelf, project_id).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads the items of a project in one page of the table, which may have none.
    async fn scan(
        &self,
        project_id: &str,
        after: Option<&ScanPosition>,
    ) -> Result<(Vec<Item>, Option<ScanPosition>), StoreError> {
        let position = |ScanPosition { pk, sk }: &ScanPosition| Key { pk: pk.clone(), sk: sk.clone() }.into_item();
        let mut request = self
            .table
            .client()
            .scan()
            .table_name(self.table.name())
            .consistent_read(true)
            .limit(PAGE)
            .projection_expression("pk, sk, due_at")
            .set_exclusive_start_key(after.map(position));
        let mut filter = Vec::new();
        for (n, condition) in keys::content(project_id).into_iter().enumerate() {
            let (pk, sk) = (format!(":pk{n}"), format!(":sk{n}"));
            filter.push(match condition {
                keys::Content::Partitions(prefix) => {
                    request = request.expression_attribute_values(&pk, text(prefix));
                    format!("begins_with(pk, {pk})")
                }
                keys::Content::Items { partition, prefix } => {
                    request = request.expression_attribute_values(&pk, text(partition));
                    request = request.expression_attribute_values(&sk, text(prefix));
                    format!("(pk = {pk} AND begins_with(sk, {sk}))")
                }
            });
        }
        let request = request.filter_expression(filter.join(" OR "));
        let page = Box::pin(request.send()).await.map_err(StoreError::table("scan the table"))?;
        let next = page.last_evaluated_key.as_ref().map(key_of).transpose()?;
        Ok((page.items.unwrap_or_default(), next.map(|Key { pk, sk }| ScanPosition { pk, sk })))
    }
}

/// Whether work is left for a response, which waits or runs, or whose reservation is to be settled; or a provider has lines of a batch,
/// which are to be deleted there.
fn is_unfinished(item: &Item) -> bool {
    let reader = Reader(item);
    let is_state = reader.maybe_text("sk").is_some_and(|sk| sk == keys::RESPONSE_STATE);
    is_state && item.contains_key("due_at") || item.contains_key("native")
}

fn key_of(item: &Item) -> Result<Key, StoreError> {
    let reader = Reader(item);
    Ok(Key { pk: reader.text("pk")?, sk: reader.text("sk")? })
}
