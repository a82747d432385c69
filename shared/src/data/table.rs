//! The DynamoDB table: reads, and writes that say under which condition they hold.
//!
//! The SDK's futures are large (17 KB) and are boxed: a call that waits for its provider must not carry room for them.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, KeysAndAttributes, Put, ReturnValue, ReturnValuesOnConditionCheckFailure,
    TransactWriteItem, Update,
};

use rand::RngExt as _;

use super::error::StoreError;
use super::item::{Item, text};
use super::keys::Key;
use crate::model::rng;

/// The table of one deployment.
#[derive(Clone, Debug)]
pub struct Table {
    client: Client,
    name: String,
}

/// An update: expression, condition and their values (names that begin with `:`) and attribute names (`#`).
#[derive(Debug, Clone, Default)]
pub(super) struct Change {
    pub(super) update: String,
    pub(super) condition: String,
    pub(super) values: Vec<(&'static str, AttributeValue)>,
    pub(super) names: Vec<(&'static str, String)>,
    pub(super) returning: Returning,
}

/// What the outcome of an update brings back. Items can be large, so only those who read them should ask. A refusal
/// brings the item as it is to all who ask.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Returning {
    #[default]
    Nothing,
    /// The attributes that changed, with their new values.
    Changed,
    /// The whole item.
    All,
}

/// What became of a conditional write.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Written; with what was asked for.
    Done(Item),
    /// The condition did not hold; if asked for, what the table has instead.
    Refused(Option<Item>),
}

/// One write of a transaction.
#[derive(Clone)]
pub(super) enum Write {
    /// Puts an item that must not exist.
    Create(Item),
    /// Puts an item, whatever is there.
    Put(Item),
    Change(Key, Change),
    /// Writes nothing: the item must fulfil a condition when the others are written.
    Check(Key, &'static str, Vec<(&'static str, AttributeValue)>),
}

impl Table {
    #[must_use]
    pub fn new(client: Client, name: impl Into<String>) -> Self {
        Self { client, name: name.into() }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A consistent read.
    pub(super) async fn get(&self, key: Key) -> Result<Option<Item>, StoreError> {
        let request =
            self.client.get_item().table_name(&self.name).set_key(Some(key.into_item())).consistent_read(true);
        Ok(Box::pin(request.send()).await.map_err(StoreError::table("get the item"))?.item)
    }

    /// Consistent reads of up to 100 items; those that do not exist are left out.
    pub(super) async fn get_all(&self, keys: Vec<Key>) -> Result<Vec<Item>, StoreError> {
        let mut found = Vec::new();
        let mut wanted: Vec<Item> = keys.into_iter().map(Key::into_item).collect();
        while !wanted.is_empty() {
            let keys = KeysAndAttributes::builder().set_keys(Some(wanted)).consistent_read(true).build();
            let keys = keys.map_err(StoreError::table("get the items"))?;
            let answer = Box::pin(self.client.batch_get_item().request_items(&self.name, keys).send()).await;
            let answer = answer.map_err(StoreError::table("get the items"))?;
            found.extend(answer.responses.and_then(|mut tables| tables.remove(&self.name)).unwrap_or_default());
            let left = answer.unprocessed_keys.and_then(|mut tables| tables.remove(&self.name));
            wanted = left.map(|left| left.keys).unwrap_or_default();
        }
        Ok(found)
    }

    pub(super) async fn put(&self, item: Item) -> Result<(), StoreError> {
        let request = self.client.put_item().table_name(&self.name).set_item(Some(item));
        Box::pin(request.send()).await.map_err(StoreError::table("put the item"))?;
        Ok(())
    }

    /// Puts an item if the one it replaces fulfils `condition`. `false` if not. Repeated as [`Table::update`] is.
    pub(super) async fn put_if(
        &self,
        item: Item,
        condition: &str,
        condition_values: Vec<(&'static str, AttributeValue)>,
    ) -> Result<bool, StoreError> {
        let request =
            self.client.put_item().table_name(&self.name).set_item(Some(item)).condition_expression(condition);
        let request = request.set_expression_attribute_values(values(condition_values));
        for tried in 0..CONFLICT_TRIES {
            match Box::pin(request.clone().send()).await.map_err(SdkError::into_service_error) {
                Ok(_) => return Ok(true),
                Err(PutItemError::TransactionConflictException(_)) => conflict_pause(tried).await,
                Err(PutItemError::ConditionalCheckFailedException(_)) => return Ok(false),
                Err(error) => return Err(StoreError::table("put the item")(error)),
            }
        }
        Err(StoreError::table("put the item")("transactions on it did not end"))
    }

    pub(super) async fn delete(&self, key: Key) -> Result<(), StoreError> {
        let request = self.client.delete_item().table_name(&self.name).set_key(Some(key.into_item()));
        Box::pin(request.send()).await.map_err(StoreError::table("delete the item"))?;
        Ok(())
    }

    /// A conditional write; a refusal can bring back the item that refused, at no extra read.
    ///
    /// A write that meets a transaction on the same item is repeated: the SDK does not, and nothing was written.
    pub(super) async fn update(&self, key: Key, change: Change) -> Result<Outcome, StoreError> {
        for tried in 0..CONFLICT_TRIES {
            match self.try_update(key.clone(), change.clone()).await {
                Err(UpdateItemError::TransactionConflictException(_)) => conflict_pause(tried).await,
                Err(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                    return Ok(Outcome::Refused(refused.item));
                }
                Err(error) => return Err(StoreError::table("update the item")(error)),
                Ok(attributes) => return Ok(Outcome::Done(attributes)),
            }
        }
        Err(StoreError::table("update the item")("transactions on it did not end"))
    }

    async fn try_update(&self, key: Key, change: Change) -> Result<Item, UpdateItemError> {
        let request = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key.into_item()))
            .update_expression(change.update)
            .set_condition_expression(Some(change.condition).filter(|condition| !condition.is_empty()))
            .set_expression_attribute_values(values(change.values))
            .set_expression_attribute_names(names(change.names))
            .set_return_values(match change.returning {
                Returning::Nothing => None,
                Returning::Changed => Some(ReturnValue::UpdatedNew),
                Returning::All => Some(ReturnValue::AllNew),
            })
            .set_return_values_on_condition_check_failure(
                (change.returning != Returning::Nothing).then_some(ReturnValuesOnConditionCheckFailure::AllOld),
            );
        let answer = Box::pin(request.send()).await.map_err(SdkError::into_service_error)?;
        Ok(answer.attributes.unwrap_or_default())
    }

    /// Writes all or nothing. `false` if a condition did not hold or another transaction was faster.
    pub(super) async fn transact(&self, writes: Vec<Write>) -> Result<bool, StoreError> {
        let items = writes.into_iter().map(|write| self.transaction_item(write)).collect::<Result<Vec<_>, _>>()?;
        match Box::pin(self.client.transact_write_items().set_transact_items(Some(items)).send()).await {
            Ok(_) => Ok(true),
            Err(error) => {
                let error = error.into_service_error();
                if error.is_transaction_canceled_exception() || error.is_transaction_in_progress_exception() {
                    return Ok(false);
                }
                Err(StoreError::table("write the transaction")(error))
            }
        }
    }

    fn transaction_item(&self, write: Write) -> Result<TransactWriteItem, StoreError> {
        let item = TransactWriteItem::builder();
        let built = match write {
            Write::Create(new) => {
                let put = Put::builder().table_name(&self.name).set_item(Some(new));
                let put = put.condition_expression("attribute_not_exists(pk)").build();
                item.put(put.map_err(StoreError::table("write the transaction"))?)
            }
            Write::Put(new) => {
                let put = Put::builder().table_name(&self.name).set_item(Some(new)).build();
                item.put(put.map_err(StoreError::table("write the transaction"))?)
            }
            Write::Change(key, change) => {
                let update = Update::builder()
                    .table_name(&self.name)
                    .set_key(Some(key.into_item()))
                    .update_expression(change.update)
                    .set_condition_expression(Some(change.condition).filter(|condition| !condition.is_empty()))
                    .set_expression_attribute_values(values(change.values))
                    .set_expression_attribute_names(names(change.names));
                item.update(update.build().map_err(StoreError::table("write the transaction"))?)
            }
            Write::Check(key, condition, condition_values) => {
                let check = ConditionCheck::builder()
                    .table_name(&self.name)
                    .set_key(Some(key.into_item()))
                    .condition_expression(condition)
                    .set_expression_attribute_values(values(condition_values));
                item.condition_check(check.build().map_err(StoreError::table("write the transaction"))?)
            }
        };
        Ok(built.build())
    }

    /// All items of a partition whose sort key lies between `from` and `to`, both included, in order.
    pub(super) async fn query(&self, pk: &str, from: &str, to: &str) -> Result<Vec<Item>, StoreError> {
        let pages = self.between(pk, from, to).into_paginator().items().send();
        Box::pin(pages.try_collect()).await.map_err(StoreError::table("query the items"))
    }

    /// As [`Table::query`], the last first: what is written while it reads is in what comes later, or nowhere.
    pub(super) async fn query_last_first(&self, pk: &str, from: &str, to: &str) -> Result<Vec<Item>, StoreError> {
        let pages = self.between(pk, from, to).scan_index_forward(false).into_paginator().items().send();
        Box::pin(pages.try_collect()).await.map_err(StoreError::table("query the items"))
    }

    fn between(&self, pk: &str, from: &str, to: &str) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.name)
            .key_condition_expression("pk = :pk AND sk BETWEEN :from AND :to")
            .expression_attribute_values(":pk", text(pk))
            .expression_attribute_values(":from", text(from))
            .expression_attribute_values(":to", text(to))
            .consistent_read(true)
    }

    /// All items of a partition in order of their sort keys.
    pub(super) async fn partition(&self, pk: &str) -> Result<Vec<Item>, StoreError> {
        let pages = self
            .client
            .query()
            .table_name(&self.name)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(pk))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        Box::pin(pages.try_collect()).await.map_err(StoreError::table("query the items"))
    }

    /// Up to `limit` items of a partition whose sort key lies below `below`, the last first.
    pub(super) async fn query_newest(&self, pk: &str, below: &str, limit: usize) -> Result<Vec<Item>, StoreError> {
        let request = self
            .client
            .query()
            .table_name(&self.name)
            .key_condition_expression("pk = :pk AND sk < :below")
            .expression_attribute_values(":pk", text(pk))
            .expression_attribute_values(":below", text(below))
            .consistent_read(true)
            .scan_index_forward(false)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        let answer = Box::pin(request.send()).await.map_err(StoreError::table("query the items"))?;
        Ok(answer.items.unwrap_or_default())
    }

    /// All items of a partition whose sort key begins with `prefix`, which is not empty, in order.
    pub(super) async fn query_prefix(&self, pk: &str, prefix: &str) -> Result<Vec<Item>, StoreError> {
        self.query(pk, prefix, &format!("{prefix}{}", char::MAX)).await
    }
}

/// A transaction over a meter takes milliseconds.
const CONFLICT_TRIES: u32 = 10;

/// Waits for a transaction to end, the longer the more often it was met.
pub(super) async fn conflict_pause(tried: u32) {
    let most = 4_u64 << tried.min(6);
    let wait = rng::rng().random_range(most / 2..=most);
    tokio::time::sleep(Duration::from_millis(wait)).await;
}

fn values(values: Vec<(&'static str, AttributeValue)>) -> Option<HashMap<String, AttributeValue>> {
    (!values.is_empty()).then(|| values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn names(names: Vec<(&'static str, String)>) -> Option<HashMap<String, String>> {
    (!names.is_empty()).then(|| names.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}
