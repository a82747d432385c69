//! Deliveries of events to webhook endpoints: one item each, with its place in the due index while it is pending.

use aws_sdk_dynamodb::types::AttributeValue;

use super::due::due_shard;
use super::error::StoreError;
use super::item::{Item, Reader, number, text};
use super::keys;
use super::table::Table;
use crate::model::clock::Timestamp;
use crate::model::message::DeliveryKey;
use crate::model::webhook::{Claim, Delivery, Failed, Pending, State};

/// Under which condition a changed delivery is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard<'a> {
    /// The table still has the revision that was read.
    Revision(&'a str),
    /// The claim is still this worker's, whatever else changed.
    Claim(&'a str),
}

impl Table {
    /// Stores a new delivery. `false` if there is one with its id.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn create_delivery(&self, delivery: &Delivery) -> Result<bool, StoreError> {
        self.put_if(item(delivery), "attribute_not_exists(pk)", Vec::new()).await
    }

    /// Stores a changed delivery if `guard` holds. `false` if not.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn save_delivery(&self, delivery: &Delivery, guard: Guard<'_>) -> Result<bool, StoreError> {
        // The second half: the SDK repeats writes whose answer was lost.
        let (condition, expected) = match guard {
            Guard::Revision(revision) => ("revision = :expected OR revision = :mine", revision),
            Guard::Claim(by) => ("claimed_by = :expected OR revision = :mine", by),
        };
        let values = vec![(":expected", text(expected)), (":mine", text(&delivery.revision))];
        self.put_if(item(delivery), condition, values).await
    }

    /// A delivery that has not expired by `now`.
    ///
    /// # Errors
    /// If the table fails or the item is damaged.
    pub async fn delivery(&self, key: &DeliveryKey, now: Timestamp) -> Result<Option<Delivery>, StoreError> {
        let item = self.get(keys::delivery(&key.project_id, &key.endpoint_id, &key.delivery_id)).await?;
        let delivery = item.map(|item| delivery(&item)).transpose()?;
        Ok(delivery.filter(|delivery| delivery.expires_at > now.seconds()))
    }

    /// Up to `limit` deliveries to an endpoint, newest first, older than `after` and with `status` if they are given.
    ///
    /// Reads past deliveries with another status: a status that few have costs a read of the deliveries between them.
    ///
    /// # Errors
    /// If the table fails or an item is damaged.
    pub async fn deliveries(
        &self,
        project_id: &str,
        endpoint_id: &str,
        status: Option<&str>,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<Delivery>, StoreError> {
        let condition = match after {
            Some(_) => "pk = :pk AND sk < :after",
            None => "pk = :pk",
        };
        let filter = match status {
            Some(_) => "expires_at > :now AND #status = :status",
            None => "expires_at > :now",
        };
        let mut pages = self
            .client()
            .query()
            .table_name(self.name())
            .key_condition_expression(condition)
            .expression_attribute_values(":pk", text(keys::delivery_partition(project_id, endpoint_id)))
            .expression_attribute_values(":now", number(now.seconds()))
            .filter_expression(filter)
            .scan_index_forward(false)
            .consistent_read(true);
        if let Some(after) = after {
            pages = pages.expression_attribute_values(":after", text(after));
        }
        match status {
            Some(status) => {
                pages = pages.expression_attribute_values(":status", text(status));
                pages = pages.expression_attribute_names("#status", "status");
            }
            None => pages = pages.limit(i32::try_from(limit).unwrap_or(i32::MAX)),
        }
        let mut found = Vec::new();
        let mut items = pages.into_paginator().items().send();
        while found.len() < limit
            && let Some(item) = Box::pin(items.next()).await
        {
            found.push(delivery(&item.map_err(StoreError::table("query the deliveries"))?)?);
        }
        Ok(found)
    }
}

fn item(delivery: &Delivery) -> Item {
    let DeliveryKey { project_id, endpoint_id, delivery_id } = &delivery.key;
    let key = keys::delivery(project_id, endpoint_id, delivery_id);
    let due_shard = due_shard(&key.sk);
    let mut item = key.into_item();
    item.extend([
        ("project_id".to_owned(), text(project_id)),
        ("endpoint_id".to_owned(), text(endpoint_id)),
        ("event_id".to_owned(), text(&delivery.event_id)),
        ("event_type".to_owned(), text(&delivery.event_type)),
        ("body".to_owned(), text(&delivery.body)),
        ("created_at".to_owned(), number(delivery.created_at.0)),
        ("status".to_owned(), text(delivery.state.name())),
        ("tries".to_owned(), number(delivery.tries)),
        ("attempts".to_owned(), text(serde_json::to_string(&delivery.attempts).unwrap_or_default())),
        ("revision".to_owned(), text(&delivery.revision)),
        ("expires_at".to_owned(), number(delivery.expires_at)),
    ]);
    item.extend(delivery.traceparent.as_ref().map(|trace| ("traceparent".to_owned(), text(trace))));
    item.extend(state_attributes(&delivery.state, due_shard));
    item
}

/// What only a pending or a failed delivery has. Without `due_at` it is not in the due index.
fn state_attributes(state: &State, due_shard: String) -> Vec<(String, AttributeValue)> {
    match state {
        State::Delivered => Vec::new(),
        State::Failed(reason) => vec![("failed".to_owned(), text(reason.name()))],
        State::Pending(pending) => {
            let mut attributes = vec![
                ("next_attempt_at".to_owned(), number(pending.next_attempt_at.0)),
                ("due_shard".to_owned(), text(due_shard)),
                ("due_at".to_owned(), number(pending.due_at.0)),
            ];
            if let Some(Claim { by, until }) = &pending.claim {
                attributes.push(("claimed_by".to_owned(), text(by)));
                attributes.push(("claimed_until".to_owned(), number(until.0)));
            }
            attributes
        }
    }
}

fn delivery(item: &Item) -> Result<Delivery, StoreError> {
    let reader = Reader(item);
    let attempts = serde_json::from_str(&reader.text("attempts")?).map_err(|_| reader.damaged("attempts"))?;
    Ok(Delivery {
        key: DeliveryKey {
            project_id: reader.text("project_id")?,
            endpoint_id: reader.text("endpoint_id")?,
            delivery_id: reader.text("sk")?,
        },
        event_id: reader.text("event_id")?,
        event_type: reader.text("event_type")?,
        body: reader.text("body")?,
        created_at: Timestamp(reader.number("created_at")?),
        state: state(&reader)?,
        tries: reader.number("tries")?,
        attempts,
        revision: reader.text("revision")?,
        expires_at: reader.number("expires_at")?,
        traceparent: reader.maybe_text("traceparent"),
    })
}

fn state(reader: &Reader<'_>) -> Result<State, StoreError> {
    match reader.text("status")?.as_str() {
        "delivered" => Ok(State::Delivered),
        "failed" => {
            let reason = Failed::parse(&reader.text("failed")?).ok_or_else(|| reader.damaged("failed"))?;
            Ok(State::Failed(reason))
        }
        "pending" => {
            let claim = match reader.maybe_text("claimed_by") {
                None => None,
                Some(by) => Some(Claim { by, until: Timestamp(reader.number("claimed_until")?) }),
            };
            Ok(State::Pending(Pending {
                next_attempt_at: Timestamp(reader.number("next_attempt_at")?),
                claim,
                due_at: Timestamp(reader.number("due_at")?),
            }))
        }
        _ => Err(reader.damaged("status")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::webhook::{Attempt, SendError};

    #[test]
    fn a_delivery_survives_the_table_in_every_state() {
        let pending = |claim| State::Pending(Pending { next_attempt_at: Timestamp(9), claim, due_at: Timestamp(10) });
        let attempts = vec![
            Attempt { at_ms: 7, duration_ms: 8, status: Some(500), error: None },
            Attempt { at_ms: 9, duration_ms: 8, status: None, error: Some(SendError::AddressRefused) },
        ];
        let states = [
            pending(None),
            pending(Some(Claim { by: "w".into(), until: Timestamp(11) })),
            State::Delivered,
            State::Failed(Failed::EndpointDeleted),
        ];
        for state in states {
            let each = Delivery {
                key: DeliveryKey {
                    project_id: "proj_1".into(),
                    endpoint_id: "we_1".into(),
                    delivery_id: "wh_1".into(),
                },
                event_id: "evt_1".into(),
                event_type: "response.completed".into(),
                body: "{}".into(),
                created_at: Timestamp(7),
                state,
                tries: 2,
                attempts: attempts.clone(),
                revision: "r".into(),
                expires_at: 12,
                traceparent: Some("00-1".into()),
            };
            let stored = item(&each);
            assert_eq!(stored.contains_key("due_at"), each.pending().is_some());
            assert_eq!(delivery(&stored).unwrap(), each);
        }
    }
}
