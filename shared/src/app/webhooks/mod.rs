//! Webhooks: endpoints that receive the events of a project, and the deliveries to them.
//!
//! The due index of the table decides which deliveries need an attempt. Messages only make an attempt happen sooner. A
//! message that is lost, late or duplicated therefore changes only the time of an attempt, and every delivery ends as
//! delivered or as failed.

mod announce;
mod deliver;
mod deliveries;
mod edit;
mod endpoints;
mod sample;

use std::sync::Arc;

use super::error::Error;
use super::slots::Slots;
use super::worker_queues::WorkerQueues;
use crate::data::{DeliveryRecords, EndpointRecords, Stores};
use crate::model::clock::Clock;
use crate::model::webhook::Receivers;

pub use announce::Announcer;
pub use deliver::Deliverer;
pub use endpoints::{EndpointChange, NewEndpoint};

/// Operations of a project on its webhook endpoints and on the deliveries to them.
pub struct Webhooks {
    endpoints: EndpointRecords,
    deliveries: DeliveryRecords,
    queues: WorkerQueues,
    slots: Slots,
    receivers: Option<Arc<dyn Receivers>>,
    clock: Clock,
}

impl Webhooks {
    /// Without `receivers`, operations that check a URL fail.
    pub(super) fn new(stores: &Stores, clock: Clock, receivers: Option<Arc<dyn Receivers>>) -> Self {
        Self {
            endpoints: stores.webhook_endpoints(),
            deliveries: stores.deliveries(),
            queues: WorkerQueues(stores.queues.clone()),
            slots: Slots::new(stores.slots(), clock.clone()),
            receivers,
            clock,
        }
    }
}

/// Returns the connection to receivers.
///
/// # Errors
/// `Internal` if this function has none.
fn require_receivers(receivers: Option<&dyn Receivers>) -> Result<&dyn Receivers, Error> {
    receivers.ok_or_else(|| Error::internal("reach receivers")("this function has no way to them"))
}
