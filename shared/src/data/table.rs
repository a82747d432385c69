//! The DynamoDB table: consistent reads, and writes with the condition under which they take effect.
//!
//! The SDK's futures are large (17 KB) and are boxed: a call that waits for its provider must not carry room for them.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{BuildError, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::query::QueryError;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, KeysAndAttributes, Put, ReturnValuesOnConditionCheckFailure,
    TransactWriteItem, Update,
};
use aws_smithy_async::future::pagination_stream::PaginationStream;

use super::change::{Change, Returning, UpdateOutcome, Write, WriteOutcome};
use super::error::{Contended, StoreError};
use super::item::{Item, text};
use super::keys::Key;
use crate::model::backoff::Backoff;

/// The table of one deployment. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Table {
    client: Client,
    name: Arc<str>,
}

impl Table {
    #[must_use]
    pub fn new(client: Client, name: impl Into<String>) -> Self {
        Self { client, name: name.into().into() }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) async fn get(&self, key: Key) -> Result<Option<Item>, StoreError> {
        if !key.can_exist() {
            return Ok(None);
        }
        let request =
            self.client.get_item().table_name(self.name()).set_key(Some(key.into_item())).consistent_read(true);
        Ok(Box::pin(request.send()).await.map_err(StoreError::table("get the item"))?.item)
    }

    /// Reads up to [`MAX_BATCH`] items. The answer leaves out those that do not exist.
    pub(super) async fn get_all(&self, keys: Vec<Key>) -> Result<Vec<Item>, StoreError> {
        self.get_attributes(keys, None).await
    }

    /// Reads some attributes of up to [`MAX_BATCH`] items, by their names between commas.
    pub(super) async fn get_attributes(&self, keys: Vec<Key>, names: Option<&str>) -> Result<Vec<Item>, StoreError> {
        let mut found = Vec::new();
        let mut wanted: Vec<Item> = keys.into_iter().filter(Key::can_exist).map(Key::into_item).collect();
        while !wanted.is_empty() {
            let keys = KeysAndAttributes::builder()
                .set_keys(Some(wanted))
                .set_projection_expression(names.map(str::to_owned))
                .consistent_read(true)
                .build();
            let keys = keys.map_err(StoreError::table("get the items"))?;
            let answer = Box::pin(self.client.batch_get_item().request_items(self.name(), keys).send()).await;
            let answer = answer.map_err(StoreError::table("get the items"))?;
            found.extend(answer.responses.and_then(|mut tables| tables.remove(self.name())).unwrap_or_default());
            let left = answer.unprocessed_keys.and_then(|mut tables| tables.remove(self.name()));
            wanted = left.map(|left| left.keys).unwrap_or_default();
        }
        Ok(found)
    }

    pub(super) async fn put(&self, item: Item) -> Result<(), StoreError> {
        let request = self.client.put_item().table_name(self.name()).set_item(Some(item));
        Box::pin(request.send()).await.map_err(StoreError::table("put the item"))?;
        Ok(())
    }

    /// Puts an item if none has its key.
    pub(super) async fn put_new(&self, item: Item) -> Result<WriteOutcome, StoreError> {
        self.put_if(item, NOT_THERE, []).await
    }

    /// Puts an item if the one that it replaces fulfils `condition`. Repeats the write as [`Table::update`] does.
    pub(super) async fn put_if<const N: usize>(
        &self,
        item: Item,
        condition: &str,
        values: [(&'static str, AttributeValue); N],
    ) -> Result<WriteOutcome, StoreError> {
        let request =
            self.client.put_item().table_name(self.name()).set_item(Some(item)).condition_expression(condition);
        let request = request.set_expression_attribute_values(to_map(values.into()));
        for tried in 0..CONFLICT_TRIES {
            match Box::pin(request.clone().send()).await {
                Ok(_) => return Ok(WriteOutcome::Written),
                Err(error) => match error.as_service_error() {
                    Some(PutItemError::TransactionConflictException(_)) => {}
                    Some(PutItemError::ConditionalCheckFailedException(_)) => return Ok(WriteOutcome::Refused),
                    _ => return Err(StoreError::table("put the item")(error)),
                },
            }
            conflict_pause(tried).await;
        }
        Err(StoreError::table("put the item")(Contended("transactions on it did not end")))
    }

    pub(super) async fn delete(&self, key: Key) -> Result<(), StoreError> {
        let request = self.client.delete_item().table_name(self.name()).set_key(Some(key.into_item()));
        Box::pin(request.send()).await.map_err(StoreError::table("delete the item"))?;
        Ok(())
    }

    /// Updates an item if its condition holds. A refusal can bring back the item, at no extra read.
    ///
    /// Repeats a write that meets a transaction on the same item: the SDK does not, and DynamoDB wrote nothing.
    pub(super) async fn update(&self, key: Key, change: Change) -> Result<UpdateOutcome, StoreError> {
        for tried in 0..CONFLICT_TRIES {
            match self.try_update(key.clone(), change.clone()).await {
                Ok(answer) => return Ok(UpdateOutcome::Written(answer.attributes.unwrap_or_default())),
                Err(error) => match error.as_service_error() {
                    Some(UpdateItemError::TransactionConflictException(_)) => {}
                    Some(UpdateItemError::ConditionalCheckFailedException(_)) => {
                        return Ok(match take_refused_item(error) {
                            Some(item) if change.has_marked(&item) => UpdateOutcome::Written(item),
                            item => UpdateOutcome::Refused(item),
                        });
                    }
                    _ => return Err(StoreError::table("update the item")(error)),
                },
            }
            conflict_pause(tried).await;
        }
        Err(StoreError::table("update the item")(Contended("transactions on it did not end")))
    }

    async fn try_update(&self, key: Key, change: Change) -> Result<UpdateItemOutput, SdkError<UpdateItemError>> {
        let request = self
            .client
            .update_item()
            .table_name(self.name())
            .set_key(Some(key.into_item()))
            .update_expression(change.update)
            .set_condition_expression(Some(change.condition).filter(|condition| !condition.is_empty()))
            .set_expression_attribute_values(to_map(change.values))
            .set_expression_attribute_names(to_map(change.names))
            .set_return_values(change.returning.to_sdk())
            .set_return_values_on_condition_check_failure(
                (change.returning != Returning::Nothing).then_some(ReturnValuesOnConditionCheckFailure::AllOld),
            );
        Box::pin(request.send()).await
    }

    /// Makes all writes or none. `Refused`: a condition did not hold, or another transaction came first.
    pub(super) async fn transact(&self, writes: Vec<Write>) -> Result<WriteOutcome, StoreError> {
        let items = writes.into_iter().map(|write| self.transaction_item(write)).collect::<Result<Vec<_>, _>>();
        let items = items.map_err(StoreError::table("write the transaction"))?;
        match Box::pin(self.client.transact_write_items().set_transact_items(Some(items)).send()).await {
            Ok(_) => Ok(WriteOutcome::Written),
            Err(error) => match error.as_service_error() {
                Some(refused)
                    if refused.is_transaction_canceled_exception()
                        || refused.is_transaction_in_progress_exception() =>
                {
                    Ok(WriteOutcome::Refused)
                }
                _ => Err(StoreError::table("write the transaction")(error)),
            },
        }
    }

    fn transaction_item(&self, write: Write) -> Result<TransactWriteItem, BuildError> {
        let item = TransactWriteItem::builder();
        let put = |new| Put::builder().table_name(self.name()).set_item(Some(new));
        let delete = |key: Key| Delete::builder().table_name(self.name()).set_key(Some(key.into_item()));
        let item = match write {
            Write::Create(new) => item.put(put(new).condition_expression(NOT_THERE).build()?),
            Write::Put(new) => item.put(put(new).build()?),
            Write::PutIf(new, condition, values) => {
                let put = put(new).condition_expression(condition).set_expression_attribute_values(to_map(values));
                item.put(put.build()?)
            }
            Write::Change(key, change) => {
                let update = Update::builder()
                    .table_name(self.name())
                    .set_key(Some(key.into_item()))
                    .update_expression(change.update)
                    .set_condition_expression(Some(change.condition).filter(|condition| !condition.is_empty()))
                    .set_expression_attribute_values(to_map(change.values))
                    .set_expression_attribute_names(to_map(change.names));
                item.update(update.build()?)
            }
            Write::Delete(key) => item.delete(delete(key).build()?),
            Write::Remove(key) => item.delete(delete(key).condition_expression(THERE).build()?),
            Write::RemoveIf(key, condition, values) => {
                let delete =
                    delete(key).condition_expression(condition).set_expression_attribute_values(to_map(values));
                item.delete(delete.build()?)
            }
            Write::Check(key, condition, values) => {
                let check = ConditionCheck::builder()
                    .table_name(self.name())
                    .set_key(Some(key.into_item()))
                    .condition_expression(condition)
                    .set_expression_attribute_values(to_map(values));
                item.condition_check(check.build()?)
            }
        };
        Ok(item.build())
    }

    /// Reads all items of a partition whose sort key lies between `from` and `to`, both included, in order.
    pub(super) async fn query(&self, pk: &str, from: &str, to: &str) -> Result<Vec<Item>, StoreError> {
        collect(self.query_between(pk, from, to)).await
    }

    /// Reads as [`Table::query`] does, but backwards: an item that is written meanwhile is in a later page or in none.
    pub(super) async fn query_backwards(&self, pk: &str, from: &str, to: &str) -> Result<Vec<Item>, StoreError> {
        collect(self.query_between(pk, from, to).scan_index_forward(false)).await
    }

    /// Reads all items of a partition in order of their sort keys.
    pub(super) async fn query_partition(&self, pk: &str) -> Result<Vec<Item>, StoreError> {
        collect(self.query_where(pk, "pk = :pk")).await
    }

    /// Reads up to `limit` items of a partition whose sort key lies below `below`, the last first.
    pub(super) async fn query_newest(&self, pk: &str, below: &str, limit: usize) -> Result<Vec<Item>, StoreError> {
        let request = self
            .query_where(pk, "pk = :pk AND sk < :below")
            .expression_attribute_values(":below", text(below))
            .scan_index_forward(false)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        let answer = Box::pin(request.send()).await.map_err(StoreError::table("query the items"))?;
        Ok(answer.items.unwrap_or_default())
    }

    /// Reads all items of a partition whose sort key begins with `prefix`, which is not empty, in order.
    pub(super) async fn query_prefix(&self, pk: &str, prefix: &str) -> Result<Vec<Item>, StoreError> {
        self.query(pk, prefix, &format!("{prefix}{}", char::MAX)).await
    }

    /// A consistent query of the items of a partition whose sort key lies between `from` and `to`, both included.
    pub(super) fn query_between(&self, pk: &str, from: &str, to: &str) -> QueryFluentBuilder {
        self.query_where(pk, "pk = :pk AND sk BETWEEN :from AND :to")
            .expression_attribute_values(":from", text(from))
            .expression_attribute_values(":to", text(to))
    }

    /// A consistent query of one partition, for the caller to complete.
    pub(super) fn query_where(&self, pk: &str, condition: &str) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(self.name())
            .key_condition_expression(condition)
            .expression_attribute_values(":pk", text(pk))
            .consistent_read(true)
    }
}

/// The items that a query finds, read page by page as they are taken.
pub(super) struct ItemStream(PaginationStream<Result<Item, SdkError<QueryError>>>);

impl ItemStream {
    pub(super) fn of(query: QueryFluentBuilder) -> Self {
        Self(query.into_paginator().items().send())
    }

    pub(super) async fn next(&mut self) -> Result<Option<Item>, StoreError> {
        Box::pin(self.0.next()).await.transpose().map_err(StoreError::table("query the items"))
    }

    /// The next items, up to a number of them.
    pub(super) async fn take(&mut self, count: usize) -> Result<Vec<Item>, StoreError> {
        let mut taken = Vec::new();
        while taken.len() < count
            && let Some(item) = self.next().await?
        {
            taken.push(item);
        }
        Ok(taken)
    }
}

/// The most items that one request of DynamoDB reads by their keys.
pub(super) const MAX_BATCH: usize = 100;

/// Without this condition a put would replace an item that another caller made.
const NOT_THERE: &str = "attribute_not_exists(pk)";
/// Without this condition two callers would both delete an item, and both say that they did.
const THERE: &str = "attribute_exists(pk)";

/// A transaction over a meter takes milliseconds.
const CONFLICT_TRIES: u32 = 10;

/// Waits for a transaction to end: longer after each conflict, and at random, so that the callers separate.
pub(super) async fn conflict_pause(tried: u32) {
    CONFLICT.wait(tried).await;
}

const CONFLICT: Backoff = Backoff::new(4, 256);

async fn collect(query: QueryFluentBuilder) -> Result<Vec<Item>, StoreError> {
    let pages = query.into_paginator().items().send();
    Box::pin(pages.try_collect()).await.map_err(StoreError::table("query the items"))
}

fn take_refused_item(error: SdkError<UpdateItemError>) -> Option<Item> {
    match error.into_service_error() {
        UpdateItemError::ConditionalCheckFailedException(refused) => refused.item,
        _ => None,
    }
}

/// DynamoDB rejects maps that are empty.
fn to_map<V>(pairs: Vec<(&'static str, V)>) -> Option<HashMap<String, V>> {
    (!pairs.is_empty()).then(|| pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}
