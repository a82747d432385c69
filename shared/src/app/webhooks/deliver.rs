//! One attempt of a delivery, and what the sweep does for those that wait for one.

use std::time::Duration;

use opentelemetry::trace::{SpanBuilder, SpanKind, Status as SpanStatus, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use tokio::time::Instant;

use crate::app::telemetry::{Telemetry, TelemetryEvent, tell, traceparent};
use crate::app::{Error, Gateway};
use crate::data::{Guard, MAX_DELAY};
use crate::model::clock::Timestamp;
use crate::model::id;
use crate::model::message::DeliveryKey;
use crate::model::retry_after::retry_after_ms;
use crate::model::webhook::{
    Answer, Attempt, Delivery, Endpoint, Failed, LONGEST_MESSAGE_DELAY_MS, Post, Receivers, SendError, State, Status,
};

// What the model leaves to messages is what a queue can keep back.
const _: () = assert!(LONGEST_MESSAGE_DELAY_MS == MAX_DELAY.as_secs() * 1_000);

impl Gateway {
    /// Makes one attempt of a delivery if one is due, and records what came of it.
    ///
    /// Anybody may call this at any time: of those who do at once, one makes the attempt. Who dies between the attempt
    /// and its record leaves it to be made again, under the same id, when the claim has ended.
    ///
    /// # Errors
    /// `Internal` if the table failed or this function has no way to receivers. A receiver's failure is none.
    pub async fn deliver(&self, key: &DeliveryKey) -> Result<(), Error> {
        let receivers = self.receivers()?;
        let (table, now) = (&self.stores.table, self.clock.now());
        let (delivery, endpoint) =
            tokio::join!(table.delivery(key, now), table.endpoint(&key.project_id, &key.endpoint_id));
        let Some(delivery) = delivery?.filter(|delivery| delivery.is_due(now)) else { return Ok(()) };
        let revision = delivery.revision.clone();
        let endpoint = match deliverable(&delivery, endpoint?) {
            Ok(endpoint) => endpoint,
            Err(reason) => {
                let failed = delivery.failed(reason);
                if table.save_delivery(&failed, Guard::Revision(&revision)).await? {
                    log(&failed);
                }
                return Ok(());
            }
        };

        let by = id::random(16);
        let claimed = delivery.claimed(by.clone(), now);
        if !table.save_delivery(&claimed, Guard::Revision(&revision)).await? {
            return Ok(()); // Somebody was faster.
        }
        let (attempt, wait) = self.try_receiver(&**receivers, &claimed, &endpoint).await;
        let now = self.clock.now();
        let answered = claimed.answered(attempt, wait, now);
        if !table.save_delivery(&answered, Guard::Claim(&by)).await? {
            return Ok(()); // The claim ended before the answer came: it is somebody else's.
        }
        log(&answered);
        self.after_attempt(&answered, &endpoint, now).await
    }

    async fn try_receiver(
        &self,
        receivers: &dyn Receivers,
        delivery: &Delivery,
        endpoint: &Endpoint,
    ) -> (Attempt, Option<u64>) {
        let begun = self.clock.now();
        let span = Telemetry::current().span(|| {
            let method = [KeyValue::new("http.request.method", "POST")];
            SpanBuilder::from_name("POST").with_kind(SpanKind::Client).with_attributes(method)
        });
        let id = delivery.key.delivery_id.clone();
        let post = Post {
            url: endpoint.url.clone(),
            timestamp: begun.seconds(),
            signature: endpoint.secrets.signature(&id, begun, &delivery.body),
            id,
            body: delivery.body.clone(),
            traceparent: traceparent(&span),
        };
        let stopwatch = Instant::now();
        let answer = receivers.post(&post).await;
        end_span(&span, answer.as_ref());
        let duration_ms = u64::try_from(stopwatch.elapsed().as_millis()).unwrap_or(u64::MAX);
        let attempt = Attempt { at_ms: begun.0, duration_ms, status: None, error: None };
        match answer {
            Ok(answer) => {
                let wait = answer.retry_after.and_then(|value| retry_after_ms(&value, self.clock.now()));
                (Attempt { status: Some(answer.status), ..attempt }, wait)
            }
            Err(error) => (Attempt { error: Some(error), ..attempt }, None),
        }
    }

    /// What a recorded attempt leads to: a message for the next one if it is near, or the end of an endpoint.
    async fn after_attempt(&self, delivery: &Delivery, endpoint: &Endpoint, now: Timestamp) -> Result<(), Error> {
        match &delivery.state {
            State::Failed(Failed::Gone) => self.disable_gone(endpoint).await,
            State::Pending(pending) => {
                let delay = Duration::from_millis(now.until(pending.next_attempt_at));
                if delay <= MAX_DELAY {
                    self.wake_delivery(delivery, delay).await;
                }
                Ok(())
            }
            State::Delivered | State::Failed(_) => Ok(()),
        }
    }

    /// Sends a message for a delivery that is due. Of sweepers that find it at once, one does.
    pub(in crate::app) async fn sweep_delivery(&self, key: &DeliveryKey, now: Timestamp) -> Result<(), Error> {
        let Some(delivery) = self.stores.table.delivery(key, now).await? else { return Ok(()) };
        let revision = delivery.revision.clone();
        let Some(swept) = delivery.swept(now) else { return Ok(()) };
        if self.stores.table.save_delivery(&swept, Guard::Revision(&revision)).await? {
            self.wake_delivery(&swept, Duration::ZERO).await;
        }
        Ok(())
    }
}

/// Ends the span of a request to a receiver. Its URL is left out: its query may hold a secret.
fn end_span(span: &Context, answer: Result<&Answer, &SendError>) {
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

/// The endpoint to send to, or why the delivery has failed before it was sent.
fn deliverable(delivery: &Delivery, endpoint: Option<Endpoint>) -> Result<Endpoint, Failed> {
    let endpoint = endpoint.ok_or(Failed::EndpointDeleted)?;
    match endpoint.status {
        Status::Disabled(_) => Err(Failed::EndpointDisabled),
        Status::Enabled if delivery.is_spent() => Err(Failed::Exhausted),
        Status::Enabled => Ok(endpoint),
    }
}

/// One line per attempt. The URL is left out: its query may hold a secret.
fn log(delivery: &Delivery) {
    let outcome = match &delivery.state {
        State::Delivered => "delivered",
        State::Pending(_) => "retried",
        State::Failed(_) => "dead",
    };
    tell(&TelemetryEvent::JobEnded { outcome });
    let last = delivery.attempts.last();
    let failed = match &delivery.state {
        State::Failed(reason) => Some(reason.name()),
        State::Pending(_) | State::Delivered => None,
    };
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
