//! Deliveries of events to webhook endpoints: one item each, in the due index while it is pending.

use aws_sdk_dynamodb::types::AttributeValue;

use super::change::WriteOutcome;
use super::due::due_shard;
use super::error::StoreError;
use super::item::{Item, Reader, insert, insert_present, number, text};
use super::keys;
use super::table::Table;
use crate::model::clock::Timestamp;
use crate::model::message::DeliveryKey;
use crate::model::webhook::{AttemptClaim, Delivery, DeliveryFailure, DeliveryState, PendingAttempt};

/// The condition under which [`DeliveryRecords::save`] stores a changed delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard<'a> {
    /// The table still has the revision that the caller read.
    Revision(&'a str),
    /// The worker with this name still has the claim, whatever else changed.
    Claim(&'a str),
}

/// The deliveries of all projects.
#[derive(Clone, Debug)]
pub struct DeliveryRecords(pub(super) Table);

impl DeliveryRecords {
    /// Stores a new delivery. `Refused`: a delivery with its id exists.
    pub async fn create(&self, delivery: &Delivery) -> Result<WriteOutcome, StoreError> {
        self.0.put_new(to_item(delivery)).await
    }

    /// Stores a changed delivery. `Refused`: the guard does not hold.
    pub async fn save(&self, delivery: &Delivery, guard: Guard<'_>) -> Result<WriteOutcome, StoreError> {
        // Without the guard, two workers could overwrite each other's attempts. The second half of each condition is for
        // the SDK, which repeats writes whose answer was lost.
        let (condition, expected) = match guard {
            Guard::Revision(revision) => ("revision = :expected OR revision = :mine", revision),
            Guard::Claim(by) => ("claimed_by = :expected OR revision = :mine", by),
        };
        let values = [(":expected", text(expected)), (":mine", text(&delivery.revision))];
        self.0.put_if(to_item(delivery), condition, values).await
    }

    /// Returns a delivery, unless it has expired by `now`.
    pub async fn get(&self, key: &DeliveryKey, now: Timestamp) -> Result<Option<Delivery>, StoreError> {
        let item = self.0.get(keys::delivery(key)).await?;
        let delivery = item.map(|item| read_delivery(&item)).transpose()?;
        Ok(delivery.filter(|delivery| delivery.expires_at > now.seconds()))
    }

    /// Returns up to `limit` deliveries to an endpoint, newest first: those older than `after`, and those with `status`.
    ///
    /// A rare status is expensive: the query also reads the deliveries with another status between them.
    pub async fn list(
        &self,
        project_id: &str,
        endpoint_id: &str,
        status: Option<&str>,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<Delivery>, StoreError> {
        let condition = if after.is_some() { "pk = :pk AND sk < :after" } else { "pk = :pk" };
        let mut pages = self
            .0
            .query_where(&keys::delivery_partition(project_id, endpoint_id), condition)
            .expression_attribute_values(":now", number(now.seconds()))
            .scan_index_forward(false);
        if let Some(after) = after {
            pages = pages.expression_attribute_values(":after", text(after));
        }
        pages = match status {
            Some(status) => pages
                .filter_expression("expires_at > :now AND #status = :status")
                .expression_attribute_values(":status", text(status))
                .expression_attribute_names("#status", "status"),
            None => pages.filter_expression("expires_at > :now").limit(i32::try_from(limit).unwrap_or(i32::MAX)),
        };
        let mut found = Vec::new();
        let mut items = pages.into_paginator().items().send();
        while found.len() < limit
            && let Some(item) = Box::pin(items.next()).await
        {
            found.push(read_delivery(&item.map_err(StoreError::table("query the deliveries"))?)?);
        }
        Ok(found)
    }
}

fn to_item(delivery: &Delivery) -> Item {
    let key = keys::delivery(&delivery.key);
    let due_shard = due_shard(&key.sk);
    let mut item = key.with([
        ("project_id", text(&delivery.key.project_id)),
        ("endpoint_id", text(&delivery.key.endpoint_id)),
        ("event_id", text(&delivery.event_id)),
        ("event_type", text(&delivery.event_type)),
        ("body", text(&delivery.body)),
        ("created_at", number(delivery.created_at.0)),
        ("status", text(delivery.state.name())),
        ("tries", number(delivery.tries)),
        ("attempts", text(serde_json::to_string(&delivery.attempts).unwrap_or_default())),
        ("revision", text(&delivery.revision)),
        ("expires_at", number(delivery.expires_at)),
    ]);
    insert_present(&mut item, [("traceparent", delivery.traceparent.as_ref().map(text))]);
    insert(&mut item, state_attributes(&delivery.state, due_shard));
    item
}

/// Returns the attributes of a pending or a failed delivery. An item without `due_at` is not in the due index.
fn state_attributes(state: &DeliveryState, due_shard: String) -> Vec<(&'static str, AttributeValue)> {
    match state {
        DeliveryState::Delivered => Vec::new(),
        DeliveryState::Failed(reason) => vec![("failed", text(reason.name()))],
        DeliveryState::Pending(pending) => {
            let mut attributes = vec![
                ("next_attempt_at", number(pending.next_attempt_at.0)),
                ("due_shard", text(due_shard)),
                ("due_at", number(pending.due_at.0)),
            ];
            if let Some(AttemptClaim { by, until }) = &pending.claim {
                attributes.extend([("claimed_by", text(by)), ("claimed_until", number(until.0))]);
            }
            attributes
        }
    }
}

fn read_delivery(item: &Item) -> Result<Delivery, StoreError> {
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
        state: read_state(&reader)?,
        tries: reader.number("tries")?,
        attempts,
        revision: reader.text("revision")?,
        expires_at: reader.number("expires_at")?,
        traceparent: reader.maybe_text("traceparent"),
    })
}

fn read_state(reader: &Reader<'_>) -> Result<DeliveryState, StoreError> {
    match reader.text("status")?.as_str() {
        "delivered" => Ok(DeliveryState::Delivered),
        "failed" => {
            let reason = DeliveryFailure::parse(&reader.text("failed")?).ok_or_else(|| reader.damaged("failed"))?;
            Ok(DeliveryState::Failed(reason))
        }
        "pending" => {
            let claim = match reader.maybe_text("claimed_by") {
                None => None,
                Some(by) => Some(AttemptClaim { by, until: Timestamp(reader.number("claimed_until")?) }),
            };
            Ok(DeliveryState::Pending(PendingAttempt {
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
    use crate::model::webhook::{DeliveryAttempt, SendError};

    #[test]
    fn a_delivery_reads_back_in_every_state() {
        let pending = |claim| {
            DeliveryState::Pending(PendingAttempt { next_attempt_at: Timestamp(9), claim, due_at: Timestamp(10) })
        };
        let attempts = vec![
            DeliveryAttempt { at_ms: 7, duration_ms: 8, status: Some(500), error: None },
            DeliveryAttempt { at_ms: 9, duration_ms: 8, status: None, error: Some(SendError::AddressRefused) },
        ];
        let states = [
            pending(None),
            pending(Some(AttemptClaim { by: "w".into(), until: Timestamp(11) })),
            DeliveryState::Delivered,
            DeliveryState::Failed(DeliveryFailure::EndpointDeleted),
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
            let stored = to_item(&each);
            assert_eq!(stored.contains_key("due_at"), each.pending().is_some());
            assert_eq!(read_delivery(&stored).unwrap(), each);
        }
    }
}
