//! Webhooks: events that a project subscribes to, the endpoints that want them, and their deliveries.

mod delivery;
mod endpoint;
mod event;
mod receivers;
mod schedule;
mod secret;

pub use delivery::{Attempt, Claim, Delivery, Failed, LONGEST_MESSAGE_DELAY_MS, Pending, State};
pub use endpoint::{Description, DisabledReason, Endpoint, EventTypes, MAX_ENDPOINTS, Status};
pub use event::{EventType, WebhookEvent};
pub use receivers::{Answer, Post, Receivers, RefusedUrl, SendError};
pub use schedule::{MAX_ATTEMPTS, delay_after};
pub use secret::{MAX_RETIRED, ROTATION_MS, SigningSecret, SigningSecrets};
