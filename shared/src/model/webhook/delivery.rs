//! A delivery: one event on its way to one endpoint, and every step it can take.
//!
//! Each step returns the delivery to store, under a new revision. The table stores it only if no other process changed
//! the delivery first. A delivery is pending until it ends as delivered or failed; only its owner can start it again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::endpoint::WebhookEndpoint;
use super::event::WebhookEvent;
use super::receivers::SendError;
use super::schedule::{MAX_ATTEMPTS, delay_after};
use crate::model::clock::Timestamp;
use crate::model::id;
use crate::model::message::DeliveryKey;

/// How long a worker has for an attempt: 15 seconds are the receiver's, the rest is for a slow table.
const LEASE_MS: u64 = 60_000;

/// How long a message may take before the sweeper sends another.
const NET_MS: u64 = 60_000;

/// More than the longest wait between two attempts.
const LONGEST_WAIT_MS: u64 = 36 * 3_600_000;

/// The longest delay of an SQS message. The sweeper starts attempts that are further away.
pub const LONGEST_MESSAGE_DELAY_MS: u64 = 900_000;

/// The latest attempts that a delivery lists.
const KEPT_ATTEMPTS: usize = 10;

/// A delivery is kept until this long after its last attempt began, however short the retention of its project is: until
/// then it is to be delivered, or to be sent again. It holds ids, and nothing of a prompt or an answer.
const SHORTEST_SECONDS: u64 = 2 * 86_400;

/// One event on its way to one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub key: DeliveryKey,
    pub event_id: String,
    /// Name of the event's type.
    pub event_type: String,
    /// The signed body, byte for byte the same in every attempt.
    pub body: String,
    /// When the event happened.
    pub created_at: Timestamp,
    pub state: DeliveryState,
    /// Attempts that were begun since it was made or last sent again.
    pub tries: u32,
    /// The last of them, oldest first, with those before it was sent again.
    pub attempts: Vec<DeliveryAttempt>,
    /// A random word of the last change.
    pub revision: String,
    /// Unix seconds.
    pub expires_at: u64,
    /// W3C trace context of the call that caused the event.
    pub traceparent: Option<String>,
}

/// The state of a delivery, without its details.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryStatus {
    Pending,
    Delivered,
    Failed,
}

impl DeliveryStatus {
    pub const ALL: [Self; 3] = [Self::Pending, Self::Delivered, Self::Failed];

    /// `pending`, `delivered` or `failed`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryState {
    Pending(PendingAttempt),
    Delivered,
    /// A dead letter, until its owner sends it again.
    Failed(DeliveryFailure),
}

/// The next attempt of a delivery that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingAttempt {
    pub next_attempt_at: Timestamp,
    /// The worker that makes an attempt now.
    pub claim: Option<AttemptClaim>,
    /// When the sweeper looks at it if nothing happens before.
    pub due_at: Timestamp,
}

/// A worker's right to make an attempt and to record its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptClaim {
    /// A random word that only this worker knows.
    pub by: String,
    /// When another worker may take over.
    pub until: Timestamp,
}

/// Why a delivery failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryFailure {
    /// No attempt of the schedule succeeded.
    Exhausted,
    /// The receiver answered 410 Gone.
    Gone,
    EndpointDisabled,
    EndpointDeleted,
    ProjectArchived,
}

impl DeliveryFailure {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Exhausted => "attempts_exhausted",
            Self::Gone => "gone",
            Self::EndpointDisabled => "endpoint_disabled",
            Self::EndpointDeleted => "endpoint_deleted",
            Self::ProjectArchived => "project_archived",
        }
    }

    /// The reason with that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let all = [Self::Exhausted, Self::Gone, Self::EndpointDisabled, Self::EndpointDeleted, Self::ProjectArchived];
        all.into_iter().find(|reason| reason.name() == name)
    }
}

/// The result of one attempt: a status or an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryAttempt {
    /// Unix milliseconds at which it began.
    pub at_ms: u64,
    pub duration_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<SendError>,
}

impl DeliveryState {
    /// `pending`, `delivered` or `failed`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pending(_) => "pending",
            Self::Delivered => "delivered",
            Self::Failed(_) => "failed",
        }
    }
}

impl Delivery {
    /// The delivery of an event to an endpoint. Its id is derived from both, so an event that is announced twice is
    /// delivered once.
    #[must_use]
    pub fn new(
        event: &WebhookEvent,
        endpoint: &WebhookEndpoint,
        traceparent: Option<&str>,
        kept_seconds: u64,
        now: Timestamp,
    ) -> Self {
        let delivery_id = id::derive_ordered("wh_", event.created_at, &[&event.id, &endpoint.id]);
        Self {
            key: DeliveryKey { project_id: endpoint.project_id.clone(), endpoint_id: endpoint.id.clone(), delivery_id },
            event_id: event.id.clone(),
            event_type: event.event_type.name().to_owned(),
            body: event.body(),
            created_at: event.created_at,
            state: DeliveryState::Pending(first_attempt(now)),
            tries: 0,
            attempts: Vec::new(),
            revision: id::random(16),
            expires_at: now.seconds() + kept_seconds.max(SHORTEST_SECONDS),
            traceparent: traceparent.map(str::to_owned),
        }
    }

    #[must_use]
    pub fn pending(&self) -> Option<&PendingAttempt> {
        match &self.state {
            DeliveryState::Pending(pending) => Some(pending),
            DeliveryState::Delivered | DeliveryState::Failed(_) => None,
        }
    }

    /// Whether an attempt is due and no worker makes one.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.pending().is_some_and(|pending| {
            let waits = now.is_before(pending.next_attempt_at, LONGEST_WAIT_MS);
            let is_claimed = pending.claim.as_ref().is_some_and(|claim| now.is_before(claim.until, LEASE_MS));
            !waits && !is_claimed
        })
    }

    /// Whether no attempt is left: the worker of the last one died.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.tries >= MAX_ATTEMPTS
    }

    /// A worker begins an attempt. The attempt counts even if the worker dies, so a delivery that kills its workers ends.
    #[must_use]
    pub fn claim(mut self, by: String, now: Timestamp) -> Self {
        let until = now.plus_ms(LEASE_MS);
        self.tries += 1;
        self.revision = id::random(16);
        self.state = DeliveryState::Pending(PendingAttempt {
            next_attempt_at: now,
            claim: Some(AttemptClaim { by, until }),
            due_at: until,
        });
        self
    }

    /// Records an attempt that ended at `now`. `retry_after_ms` is the receiver's own wish.
    #[must_use]
    pub fn record(mut self, attempt: DeliveryAttempt, retry_after_ms: Option<u64>, now: Timestamp) -> Self {
        let next = delay_after(self.tries, &self.key.delivery_id, retry_after_ms);
        self.revision = id::random(16);
        let state = match (attempt.status, next) {
            (Some(200..=299), _) => DeliveryState::Delivered,
            (Some(410), _) => DeliveryState::Failed(DeliveryFailure::Gone),
            (_, None) => DeliveryState::Failed(DeliveryFailure::Exhausted),
            (_, Some(delay)) => {
                let next_attempt_at = now.plus_ms(delay);
                let net = if delay <= LONGEST_MESSAGE_DELAY_MS { NET_MS } else { 0 };
                DeliveryState::Pending(PendingAttempt {
                    next_attempt_at,
                    claim: None,
                    due_at: next_attempt_at.plus_ms(net),
                })
            }
        };
        if let DeliveryState::Pending(pending) = &state {
            self.expires_at = self.expires_at.max(pending.next_attempt_at.seconds() + SHORTEST_SECONDS);
        }
        self.state = state;
        self.attempts.push(attempt);
        let surplus = self.attempts.len().saturating_sub(KEPT_ATTEMPTS);
        self.attempts.drain(..surplus);
        self
    }

    /// Postpones the next attempt without counting one.
    #[must_use]
    pub fn wait(mut self, wait: Duration, now: Timestamp) -> Self {
        let next_attempt_at = now.plus_ms(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        self.revision = id::random(16);
        self.state = DeliveryState::Pending(PendingAttempt {
            next_attempt_at,
            claim: None,
            due_at: next_attempt_at.plus_ms(NET_MS),
        });
        self
    }

    /// Ends the delivery without an attempt.
    #[must_use]
    pub fn fail(mut self, reason: DeliveryFailure) -> Self {
        self.revision = id::random(16);
        self.state = DeliveryState::Failed(reason);
        self
    }

    /// Starts the delivery again for its owner, by a new schedule and under the same id.
    #[must_use]
    pub fn restart(mut self, kept_seconds: u64, now: Timestamp) -> Self {
        self.revision = id::random(16);
        self.tries = 0;
        self.state = DeliveryState::Pending(first_attempt(now));
        self.expires_at = self.expires_at.max(now.seconds() + kept_seconds.max(SHORTEST_SECONDS));
        self
    }

    /// Notes that the sweeper sends a message. If the message is lost, the delivery is due again. `None` if it is not due.
    #[must_use]
    pub fn postpone(mut self, now: Timestamp) -> Option<Self> {
        let DeliveryState::Pending(pending) = &mut self.state else { return None };
        if now.is_before(pending.due_at, LONGEST_WAIT_MS) {
            return None;
        }
        pending.due_at = now.plus_ms(NET_MS);
        self.revision = id::random(16);
        Some(self)
    }
}

fn first_attempt(now: Timestamp) -> PendingAttempt {
    PendingAttempt { next_attempt_at: now, claim: None, due_at: now.plus_ms(NET_MS) }
}

#[cfg(test)]
mod tests {
    use super::super::{EndpointStatus, EventType, SigningSecrets};
    use super::*;

    const NOW: Timestamp = Timestamp(1_795_366_800_000);

    fn delivery() -> Delivery {
        let endpoint = WebhookEndpoint {
            id: "we_1".into(),
            project_id: "proj_1".into(),
            url: "https://example.com/".into(),
            event_types: vec![EventType::ResponseCompleted],
            name: "Orders".into(),
            created_at: 7,
            updated_at: 7,
            status: EndpointStatus::Enabled,
            secrets: SigningSecrets::generate(),
            revision: "r".into(),
        };
        Delivery::new(
            &WebhookEvent::new(EventType::ResponseCompleted, "resp_1", Timestamp(7)),
            &endpoint,
            None,
            30 * 86_400,
            NOW,
        )
    }

    fn status(status: u16) -> DeliveryAttempt {
        DeliveryAttempt { at_ms: NOW.0, duration_ms: 1, status: Some(status), error: None }
    }

    fn answered(code: u16, retry_after_ms: Option<u64>) -> Delivery {
        delivery().claim("w".into(), NOW).record(status(code), retry_after_ms, NOW)
    }

    #[test]
    fn one_event_makes_one_delivery_per_endpoint() {
        assert_eq!(delivery().key, delivery().key);
    }

    #[test]
    fn a_claim_keeps_others_out_until_its_end() {
        let claimed = delivery().claim("w".into(), NOW);
        assert!(delivery().is_due(NOW) && !claimed.is_due(NOW.plus_ms(LEASE_MS - 1)));
        assert!(claimed.is_due(NOW.plus_ms(LEASE_MS)));
        assert!(claimed.clone().postpone(NOW.plus_ms(LEASE_MS - 1)).is_none());
        assert!(claimed.postpone(NOW.plus_ms(LEASE_MS)).is_some());
    }

    #[test]
    fn a_clock_that_is_set_back_makes_no_delivery_wait() {
        let before = Timestamp(NOW.0 - 2 * 86_400_000);
        for waiting in [delivery().claim("w".into(), NOW), answered(503, Some(3_600_000))] {
            assert!(waiting.is_due(before) && waiting.clone().postpone(before).is_some() && !waiting.is_due(NOW));
        }
    }

    #[test]
    fn only_a_2xx_is_delivered() {
        for code in [200, 204, 299] {
            assert_eq!(answered(code, None).state, DeliveryState::Delivered, "{code}");
        }
        for code in [100, 199, 300, 301, 302, 400, 404, 429, 500, 503] {
            assert!(answered(code, None).pending().is_some(), "{code}");
        }
        assert_eq!(answered(410, None).state, DeliveryState::Failed(DeliveryFailure::Gone));
    }

    #[test]
    fn the_sweeper_is_a_net_for_messages_and_starts_what_no_message_can() {
        let near = answered(500, None);
        let pending = near.pending().unwrap();
        assert_eq!(pending.next_attempt_at.until(pending.due_at), NET_MS);
        let far = answered(503, Some(LONGEST_MESSAGE_DELAY_MS + 1));
        let pending = far.pending().unwrap();
        assert_eq!((pending.next_attempt_at, pending.due_at), (NOW.plus_ms(900_001), NOW.plus_ms(900_001)));
    }

    /// Two days after its last attempt a dead letter can still be sent again, also where nothing is kept.
    #[test]
    fn a_delivery_outlives_its_attempts_whatever_the_retention_of_its_project() {
        let (mut now, mut delivery) = (NOW, Delivery { expires_at: NOW.seconds() + SHORTEST_SECONDS, ..delivery() });
        while let Some(pending) = delivery.pending().cloned() {
            now = pending.next_attempt_at;
            assert!(delivery.expires_at >= now.seconds() + SHORTEST_SECONDS, "{} tries", delivery.tries);
            delivery = delivery.claim("w".into(), now).record(status(500), None, now);
        }
        assert_eq!(delivery.expires_at, now.seconds() + SHORTEST_SECONDS);
    }

    #[test]
    fn the_last_attempt_decides_and_another_start_begins_anew() {
        let mut delivery = delivery();
        for _ in 1..MAX_ATTEMPTS {
            delivery = delivery.claim("w".into(), NOW).record(status(500), None, NOW);
            assert!(delivery.pending().is_some());
        }
        let delivery = delivery.claim("w".into(), NOW).record(status(500), None, NOW);
        assert_eq!(delivery.state, DeliveryState::Failed(DeliveryFailure::Exhausted));
        let again = delivery.clone().restart(30 * 86_400, NOW).claim("w".into(), NOW).record(status(200), None, NOW);
        assert_eq!((again.state, again.key, again.body), (DeliveryState::Delivered, delivery.key, delivery.body));
        assert_eq!((again.tries, again.attempts.len()), (1, KEPT_ATTEMPTS));
        assert_eq!(again.attempts.last(), Some(&status(200)));
    }

    #[test]
    fn workers_that_die_use_attempts_up() {
        let mut delivery = delivery();
        for _ in 0..MAX_ATTEMPTS {
            assert!(!delivery.is_spent());
            delivery = delivery.claim("w".into(), NOW);
        }
        assert!(delivery.is_spent());
    }
}
