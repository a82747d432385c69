//! Webhooks: events that a project subscribes to, the endpoints that want them, and their deliveries.

mod delivery;
mod endpoint;
mod event;
mod receivers;
mod schedule;
mod secret;

pub use delivery::{
    AttemptClaim, Delivery, DeliveryAttempt, DeliveryFailure, DeliveryState, DeliveryStatus, LONGEST_MESSAGE_DELAY_MS,
    PendingAttempt,
};
pub use endpoint::{DisabledReason, EndpointStatus, EventTypes, MAX_ENDPOINTS, WebhookEndpoint};
pub use event::{EventType, WebhookEvent};
pub use receivers::{Post, ReceiverAnswer, Receivers, RefusedUrl, SendError};
pub use schedule::{MAX_ATTEMPTS, delay_after};
pub use secret::{MAX_RETIRED, ROTATION_MS, SigningSecret, SigningSecrets};
