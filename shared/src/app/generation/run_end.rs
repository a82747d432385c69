//! How a run of a response ends, and the error that a failed response shows.

use bytes::Bytes;

use super::{EventLog, LOST_AFTER_MS};
use crate::app::error::Error;
use crate::data::{ResponseEnd, ResponseRecord};
use crate::dialects::openai_responses::{
    Bill, EventBuilder, Item, ResponseEvent, Status, StoredRequest, failed_response, output_items,
};
use crate::model::clock::Timestamp;
use crate::model::money::MicroUsd;
use crate::model::object::Object;
use crate::model::provider::Failure;
use crate::model::tokens::Usage;

/// The end of a run.
pub(in crate::app) struct RunEnd {
    pub(in crate::app) status: Status,
    pub(in crate::app) response: Object,
    pub(in crate::app) events: Vec<ResponseEvent>,
    pub(in crate::app) usage: Usage,
    pub(in crate::app) cost: MicroUsd,
}

impl RunEnd {
    /// The end of a run whose response is deleted at once.
    pub(in crate::app) fn discarded() -> Self {
        let (response, events) = (Object::default(), Vec::new());
        Self { status: Status::Failed, response, events, usage: Usage::default(), cost: MicroUsd(0) }
    }

    /// The end of a run whose stream came whole.
    pub(in crate::app) fn complete(builder: EventBuilder, usage: Usage, cost: MicroUsd, now: Timestamp) -> Self {
        let (events, response, status) = builder.complete(&Bill { usage, cost: Some(cost) }, now);
        Self { status, response, events, usage, cost }
    }

    /// The end of a run that failed.
    pub(in crate::app) fn fail(
        builder: EventBuilder,
        code: &str,
        message: &str,
        billed: Option<(Usage, MicroUsd)>,
    ) -> Self {
        let bill = billed.map(|(usage, cost)| Bill { usage, cost: Some(cost) });
        let (events, response) = builder.fail(code, message, bill.as_ref());
        let (usage, cost) = billed.unwrap_or_default();
        Self { status: Status::Failed, response, events, usage, cost }
    }

    /// The end as the record stores it: with the events that the log has not written yet.
    pub(in crate::app) fn to_stored(
        &self,
        log: &mut EventLog,
        finished_at: Timestamp,
        due_at: Option<Timestamp>,
    ) -> ResponseEnd {
        let (events, first_sequence, next_sequence) = log.take_rest();
        ResponseEnd {
            status: self.status,
            response: self.response.to_bytes(),
            events,
            first_sequence,
            next_sequence,
            usage: self.usage,
            cost: self.cost,
            finished_at,
            due_at,
        }
    }
}

/// The end of a response that failed without a stream of its own.
pub(in crate::app) fn failed_end(
    record: &ResponseRecord,
    skeleton: &Object,
    message: &str,
    (usage, cost): (Usage, MicroUsd),
    now: Timestamp,
) -> ResponseEnd {
    let response = failed_response(skeleton, "server_error", message);
    ResponseEnd {
        status: Status::Failed,
        events: ResponseEvent::failed(record.next_sequence, &response).sse(),
        response: response.to_bytes(),
        first_sequence: record.next_sequence,
        next_sequence: record.next_sequence + 1,
        usage,
        cost,
        finished_at: now,
        due_at: Some(now.plus_ms(LOST_AFTER_MS)),
    }
}

/// Reads the stored request of a response.
pub(in crate::app) fn read_request(stored: &[u8]) -> Result<StoredRequest, Error> {
    StoredRequest::read(stored).map_err(Error::internal("read the request of a response"))
}

/// Reads the output items of a stored response.
pub(in crate::app) fn read_output(response: &[u8]) -> Result<Vec<Item>, Error> {
    output_items(response).map_err(Error::internal("read a response"))
}

/// The response before anything was generated, from its stored request; empty if that cannot be read.
pub(in crate::app) fn skeleton_of(stored: Option<&Bytes>) -> Object {
    stored.and_then(|stored| StoredRequest::read(stored).ok()).map(|request| request.skeleton).unwrap_or_default()
}

/// The record after its end was written.
pub(in crate::app) fn finished_record(record: &ResponseRecord, end: &ResponseEnd) -> ResponseRecord {
    ResponseRecord {
        status: end.status,
        next_sequence: end.next_sequence,
        finished_at: Some(end.finished_at),
        usage: end.usage,
        cost: end.cost,
        due_at: end.due_at,
        ..record.clone()
    }
}

/// The error that a failed response shows: OpenAI's code, and a message.
pub(in crate::app) fn describe(error: &Error) -> (&'static str, String) {
    match error {
        Error::Provider { source: Failure::Refused { refusal, .. }, .. } => ("invalid_prompt", refusal.message.clone()),
        Error::Provider { provider, attempts, source } => {
            let code = if matches!(source, Failure::Throttled { .. }) { "rate_limit_exceeded" } else { "server_error" };
            (code, format!("The provider `{provider}` gave no answer after {attempts} attempts: {source}."))
        }
        Error::Internal { .. } | Error::Unavailable { .. } => {
            ("server_error", "The server had an error while making the response.".to_owned())
        }
        other => ("server_error", other.to_string()),
    }
}
