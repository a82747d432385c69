//! How a run of a response ends, and the error that a failed response shows.

use bytes::Bytes;

use super::{EventLog, LOST_AFTER_MS};
use crate::app::error::Error;
use crate::data::{ResponseEnd, ResponseRecord};
use crate::dialects::openai_responses::{
    EventBuilder, Item, ResponseEvent, StoredRequest, failed_response, output_items,
};
use crate::model::clock::Timestamp;
use crate::model::object::Object;
use crate::model::provider::{Failure, PROMPT_TOO_LONG, ProviderRefusal};
use crate::model::response::Status;
use crate::model::tokens::Charge;

/// The end of a run.
pub(in crate::app) struct RunEnd {
    pub(in crate::app) status: Status,
    pub(in crate::app) response: Object,
    pub(in crate::app) events: Vec<ResponseEvent>,
    pub(in crate::app) charge: Charge,
}

impl RunEnd {
    /// The end of a run whose response is deleted at once.
    pub(in crate::app) fn discarded() -> Self {
        Self { status: Status::Failed, response: Object::default(), events: Vec::new(), charge: Charge::default() }
    }

    /// The end of a run whose stream came whole.
    pub(in crate::app) fn complete(builder: EventBuilder, charge: Charge, now: Timestamp) -> Self {
        let (events, response, status) = builder.complete(&charge, now);
        Self { status, response, events, charge }
    }

    /// The end of a run that failed.
    pub(in crate::app) fn fail(builder: EventBuilder, code: &str, message: &str, charge: Option<Charge>) -> Self {
        let (events, response) = builder.fail(code, message, charge.as_ref());
        Self { status: Status::Failed, response, events, charge: charge.unwrap_or_default() }
    }

    /// The end as the record stores it: with the events that the log has not written yet.
    pub(in crate::app) fn to_stored(&self, log: &mut EventLog, finished_at: Timestamp) -> ResponseEnd {
        let (events, first_sequence, next_sequence) = log.take_rest();
        ResponseEnd {
            status: self.status,
            response: self.response.to_bytes(),
            events,
            first_sequence,
            next_sequence,
            charge: self.charge,
            finished_at,
            due_at: None,
        }
    }
}

/// The end of a response that failed without a stream of its own.
pub(in crate::app) fn failed_end(
    record: &ResponseRecord,
    skeleton: &Object,
    message: &str,
    charge: Charge,
    now: Timestamp,
) -> ResponseEnd {
    let response = failed_response(skeleton, "server_error", message);
    ResponseEnd {
        status: Status::Failed,
        events: ResponseEvent::failed(record.next_sequence, &response).sse(),
        response: response.to_bytes(),
        first_sequence: record.next_sequence,
        next_sequence: record.next_sequence + 1,
        charge,
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

/// The error that a failed response shows: OpenAI's code, and a message.
pub(in crate::app) fn describe(error: &Error) -> (&'static str, String) {
    match error {
        Error::Provider { source: Failure::Refused { status, refusal }, .. } => {
            (code_of_refusal(*status, refusal), refusal.message.clone())
        }
        Error::Provider { source, .. } => {
            let code = if matches!(source, Failure::Throttled { .. }) { "rate_limit_exceeded" } else { "server_error" };
            (code, error.no_answer().unwrap_or_default())
        }
        Error::Internal { .. } | Error::Unavailable { .. } => {
            ("server_error", "The server had an error while making the response.".to_owned())
        }
        other => ("server_error", other.to_string()),
    }
}

/// Agents look for the code of a prompt that is too long. The operator's account or model is missing with 402 to 404, and the prompt is
/// not wrong. Every other refusal has the code that OpenAI has for it.
fn code_of_refusal(status: u16, refusal: &ProviderRefusal) -> &'static str {
    match status {
        _ if refusal.code.as_deref() == Some(PROMPT_TOO_LONG) => PROMPT_TOO_LONG,
        402..=404 => "server_error",
        _ => "invalid_prompt",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::error::Attempts;

    #[track_caller]
    fn check(status: u16, code: Option<&str>, expected: &str) {
        let refusal =
            ProviderRefusal { message: "No.".to_owned(), code: code.map(str::to_owned), ..Default::default() };
        let error = Error::Provider { tried: Attempts::free("first", 1), source: Failure::Refused { status, refusal } };
        assert_eq!(describe(&error), (expected, "No.".to_owned()));
    }

    #[test]
    fn a_prompt_that_is_too_long_has_its_own_code() {
        check(400, Some("context_length_exceeded"), "context_length_exceeded");
        check(400, Some("content_filter"), "invalid_prompt");
        check(400, None, "invalid_prompt");
    }

    #[test]
    fn what_the_operators_account_lacks_is_not_the_fault_of_the_prompt() {
        for status in [402, 403, 404] {
            check(status, None, "server_error");
        }
    }
}
