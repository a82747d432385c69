//! Webhooks: endpoints, telling them of events, and deliveries.
//!
//! What must happen is in the table, in the due index: messages only make it happen soon. So a message that is lost, late
//! or doubled changes nothing but the time, and a delivery ends as delivered or as failed.

mod announce;
mod deliver;
mod deliveries;
mod endpoints;

pub use deliveries::DeliveryStatus;
pub use endpoints::{EndpointChange, NewEndpoint};
