//! Making the attempts of deliveries, and resuming deliveries whose message was lost.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::{SpanBuilder, SpanKind, Status as SpanStatus, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use rand::RngExt as _;
use tokio::time::Instant;

use super::edit::change_endpoint;
use super::require_receivers;
use crate::app::error::Error;
use crate::app::slots::Slots;
use crate::app::telemetry::{self, Telemetry, TelemetryEvent};
use crate::app::worker_queues::WorkerQueues;
use crate::data::{DeliveryRecords, EndpointRecords, Guard, MAX_DELAY, ProjectRecords, Stores};
use crate::model::clock::{Clock, Timestamp};
use crate::model::id;
use crate::model::message::DeliveryKey;
use crate::model::retry_after::retry_after_ms;
use crate::model::rng;
use crate::model::slot::{Slot, SlotKind};
use crate::model::webhook::{
    Delivery, DeliveryAttempt, DeliveryFailure, DeliveryState, DisabledReason, EndpointStatus,
    LONGEST_MESSAGE_DELAY_MS, Post, ReceiverAnswer, Receivers, SendError, WebhookEndpoint,
};

// `Delivery` relies on messages for delays up to this length, so a queue must accept them.
const _: () = assert!(LONGEST_MESSAGE_DELAY_MS == MAX_DELAY.as_secs() * 1_000);

/// The deliveries of a project that are attempted at the same time.
pub(super) const CONCURRENT_DELIVERIES: u64 = 10;

/// How long a delivery waits at most that finds no free slot of its project.
const SLOT_WAIT_MS: u64 = 10_000;

/// Delivers events to webhook endpoints.
pub struct Deliverer {
    endpoints: EndpointRecords,
    deliveries: DeliveryRecords,
    projects: ProjectRecords,
    queues: WorkerQueues,
    slots: Slots,
    receivers: Option<Arc<dyn Receivers>>,
    clock: Clock,
}

impl Deliverer {
    /// Without `receivers`, the deliverer can resume deliveries but cannot make attempts.
    pub(in crate::app) fn new(stores: &Stores, clock: Clock, receivers: Option<Arc<dyn Receivers>>) -> Self {
        Self {
            endpoints: stores.webhook_endpoints(),
            deliveries: stores.deliveries(),
            projects: stores.projects(),
            queues: WorkerQueues(stores.queues.clone()),
            slots: Slots::new(stores.slots(), clock.clone()),
            receivers,
            clock,
        }
    }

    /// Makes one attempt of a delivery if one is due, and records the result.
    ///
    /// This can be called at any time. Of concurrent calls for one delivery, only one makes the attempt. If a worker dies
    /// between the attempt and its record, another worker repeats the attempt under the same `webhook-id` when the claim
    /// has expired.
    ///
    /// # Errors
    /// - `Internal` if this function has no connection to receivers.
    ///
    /// A failure of the receiver is not an error.
    pub async fn deliver(&self, key: &DeliveryKey) -> Result<(), Error> {
        let receivers = require_receivers(self.receivers.as_deref())?;
        let now = self.clock.now();
        let (delivery, endpoint, project) = tokio::join!(
            self.deliveries.get(key, now),
            self.endpoints.get(&key.project_id, &key.endpoint_id),
            self.projects.get(&key.project_id)
        );
        let Some(delivery) = delivery?.filter(|delivery| delivery.is_due(now)) else { return Ok(()) };
        let is_archived = project?.is_some_and(|project| project.archived_at.is_some());
        match deliverable_endpoint(&delivery, endpoint?, is_archived) {
            Ok(endpoint) => self.attempt_in_slot(receivers, delivery, &endpoint, now).await,
            Err(reason) => self.fail(delivery, reason).await,
        }
    }

    /// Ends a delivery without an attempt.
    async fn fail(&self, delivery: Delivery, reason: DeliveryFailure) -> Result<(), Error> {
        let revision = delivery.revision.clone();
        let failed = delivery.fail(reason);
        // The write is refused if the delivery changed since it was read. The decision is outdated then.
        if self.deliveries.save(&failed, Guard::Revision(&revision)).await?.is_written() {
            record_progress(&failed);
        }
        Ok(())
    }

    /// Makes an attempt in a slot of the project, so that receivers that hang do not keep all workers. If no slot is free,
    /// the delivery waits.
    async fn attempt_in_slot(
        &self,
        receivers: &dyn Receivers,
        delivery: Delivery,
        endpoint: &WebhookEndpoint,
        now: Timestamp,
    ) -> Result<(), Error> {
        // Of a message that comes twice, each worker takes a slot of its own, until the claim refuses one of them.
        let slot = Slot::new(&delivery.key.project_id, SlotKind::Delivery, id::random(12));
        if !self.slots.take(&slot, CONCURRENT_DELIVERIES).await? {
            return self.wait_for_slot(delivery, now).await;
        }
        self.slots.keep(&slot, self.attempt(receivers, delivery, endpoint, now)).await
    }

    async fn wait_for_slot(&self, delivery: Delivery, now: Timestamp) -> Result<(), Error> {
        let wait = Duration::from_millis(rng::rng().random_range(SLOT_WAIT_MS / 2..=SLOT_WAIT_MS));
        let revision = delivery.revision.clone();
        let waiting = delivery.wait(wait, now);
        // The write is refused if another worker claimed the delivery.
        if self.deliveries.save(&waiting, Guard::Revision(&revision)).await?.is_written() {
            self.queues.wake_for_delivery(&waiting, wait).await;
        }
        Ok(())
    }

    /// Claims a delivery, sends it, and records the result.
    async fn attempt(
        &self,
        receivers: &dyn Receivers,
        delivery: Delivery,
        endpoint: &WebhookEndpoint,
        now: Timestamp,
    ) -> Result<(), Error> {
        let by = id::random(16);
        let revision = delivery.revision.clone();
        let claimed = delivery.claim(by.clone(), now);
        // The write is refused if another worker claimed the delivery first. Both would send it otherwise.
        if !self.deliveries.save(&claimed, Guard::Revision(&revision)).await?.is_written() {
            return Ok(());
        }
        let (attempt, wait) = self.send(receivers, &claimed, endpoint).await;
        let now = self.clock.now();
        let answered = claimed.record(attempt, wait, now);
        // The write is refused if the claim expired and another worker took over: its record must not be overwritten.
        if !self.deliveries.save(&answered, Guard::Claim(&by)).await?.is_written() {
            return Ok(());
        }
        record_progress(&answered);
        self.follow_up(&answered, endpoint, now).await
    }

    /// Sends a delivery to its receiver. Returns the attempt, and the milliseconds that the receiver asks to wait.
    async fn send(
        &self,
        receivers: &dyn Receivers,
        delivery: &Delivery,
        endpoint: &WebhookEndpoint,
    ) -> (DeliveryAttempt, Option<u64>) {
        let begun = self.clock.now();
        let span = begin_span();
        let id = delivery.key.delivery_id.clone();
        let post = Post {
            url: endpoint.url.clone(),
            timestamp: begun.seconds(),
            signature: endpoint.secrets.signature(&id, begun, &delivery.body),
            id,
            body: delivery.body.clone(),
            traceparent: telemetry::traceparent(&span),
        };
        let stopwatch = Instant::now();
        let answer = receivers.post(&post).await;
        end_span(&span, answer.as_ref());
        let duration_ms = u64::try_from(stopwatch.elapsed().as_millis()).unwrap_or(u64::MAX);
        let attempt = DeliveryAttempt { at_ms: begun.0, duration_ms, status: None, error: None };
        match answer {
            Ok(answer) => {
                let wait = answer.retry_after.and_then(|value| retry_after_ms(&value, self.clock.now()));
                (DeliveryAttempt { status: Some(answer.status), ..attempt }, wait)
            }
            Err(error) => (DeliveryAttempt { error: Some(error), ..attempt }, None),
        }
    }

    /// Acts on a recorded attempt: sends the message for the next attempt if a queue can delay it for so long, or
    /// disables an endpoint that is gone.
    async fn follow_up(&self, delivery: &Delivery, endpoint: &WebhookEndpoint, now: Timestamp) -> Result<(), Error> {
        match &delivery.state {
            DeliveryState::Failed(DeliveryFailure::Gone) => self.disable_gone(endpoint).await,
            DeliveryState::Pending(pending) => {
                let delay = Duration::from_millis(now.until(pending.next_attempt_at));
                if delay <= MAX_DELAY {
                    self.queues.wake_for_delivery(delivery, delay).await;
                }
                Ok(())
            }
            DeliveryState::Delivered | DeliveryState::Failed(_) => Ok(()),
        }
    }

    /// Disables an endpoint that answered 410, unless its URL was changed since.
    async fn disable_gone(&self, gone: &WebhookEndpoint) -> Result<(), Error> {
        let now = self.clock.now();
        let disable = |mut endpoint: WebhookEndpoint| {
            if endpoint.url == gone.url {
                endpoint.status = EndpointStatus::Disabled(DisabledReason::Gone);
                endpoint.updated_at = now.seconds();
            }
            Ok(endpoint)
        };
        match change_endpoint(&self.endpoints, &gone.project_id, &gone.id, disable).await {
            Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Sends the message for a delivery that is due at `now`. Of concurrent sweeps, only one sends it.
    pub(in crate::app) async fn resume(&self, key: &DeliveryKey, now: Timestamp) -> Result<(), Error> {
        let Some(delivery) = self.deliveries.get(key, now).await? else { return Ok(()) };
        let revision = delivery.revision.clone();
        let Some(swept) = delivery.postpone(now) else { return Ok(()) };
        // The write is refused if another sweep was faster, or if the delivery went on. Neither needs a message.
        if self.deliveries.save(&swept, Guard::Revision(&revision)).await?.is_written() {
            self.queues.wake_for_delivery(&swept, Duration::ZERO).await;
        }
        Ok(())
    }
}

/// Returns the endpoint to send to, or the reason why the delivery fails without an attempt.
fn deliverable_endpoint(
    delivery: &Delivery,
    endpoint: Option<WebhookEndpoint>,
    is_archived: bool,
) -> Result<WebhookEndpoint, DeliveryFailure> {
    if is_archived {
        return Err(DeliveryFailure::ProjectArchived);
    }
    let endpoint = endpoint.ok_or(DeliveryFailure::EndpointDeleted)?;
    match endpoint.status {
        EndpointStatus::Disabled(_) => Err(DeliveryFailure::EndpointDisabled),
        EndpointStatus::Enabled if delivery.is_spent() => Err(DeliveryFailure::Exhausted),
        EndpointStatus::Enabled => Ok(endpoint),
    }
}

/// Begins the span of a request to a receiver.
fn begin_span() -> Context {
    Telemetry::current().span(|| {
        let method = [KeyValue::new("http.request.method", "POST")];
        SpanBuilder::from_name("POST").with_kind(SpanKind::Client).with_attributes(method)
    })
}

/// Ends the span of a request to a receiver. The span does not have the URL, because its query may contain a secret.
fn end_span(span: &Context, answer: Result<&ReceiverAnswer, &SendError>) {
    let span = span.span();
    let error = match answer {
        Ok(answer) => {
            span.set_attribute(KeyValue::new("http.response.status_code", i64::from(answer.status)));
            (answer.status >= 400).then(|| answer.status.to_string())
        }
        Err(error) => Some(error.name().to_owned()),
    };
    if let Some(error) = error {
        span.set_attribute(KeyValue::new("error.type", error.clone()));
        span.set_status(SpanStatus::error(error));
    }
    span.end();
}

/// Records the new state of a delivery as a telemetry event and as one log line. The line does not have the URL, because
/// its query may contain a secret.
fn record_progress(delivery: &Delivery) {
    let (outcome, failed) = match &delivery.state {
        DeliveryState::Delivered => ("delivered", None),
        DeliveryState::Pending(_) => ("retried", None),
        DeliveryState::Failed(reason) => ("dead", Some(reason.name())),
    };
    telemetry::record(&TelemetryEvent::JobEnded { outcome });
    let last = delivery.attempts.last();
    tracing::info!(
        project.id = delivery.key.project_id,
        endpoint.id = delivery.key.endpoint_id,
        delivery.id = delivery.key.delivery_id,
        event.kind = delivery.event_type,
        attempt = delivery.tries,
        receiver.status = last.and_then(|attempt| attempt.status),
        receiver.error = last.and_then(|attempt| attempt.error).map(|error| error.name()),
        duration_ms = last.map(|attempt| attempt.duration_ms),
        outcome = delivery.state.name(),
        failed,
        "webhook delivery"
    );
}
