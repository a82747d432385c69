//! Errors of the chat call that answers a response, in the names of the response's request.

use crate::app::error::Error;
use crate::dialects::openai_responses::{message_in_request, path_in_request};
use crate::model::invalid::Invalid;
use crate::model::provider::{Failure, ProviderRefusal};

/// The error of a chat call as the caller of the response understands it: its `param` and the names that its message quotes
/// are those of the request.
pub(in crate::app) fn in_request(error: Error) -> Error {
    let path = |param: Option<String>| param.map(|chat| path_in_request(&chat));
    match error {
        Error::Invalid(Invalid { message, param, code }) => {
            Error::Invalid(Invalid { message: message_in_request(&message), param: path(param), code })
        }
        Error::Provider { tried, source: Failure::Refused { status, refusal } } => {
            let ProviderRefusal { message, kind, param, code } = refusal;
            let refusal = ProviderRefusal { message: message_in_request(&message), kind, param: path(param), code };
            Error::Provider { tried, source: Failure::Refused { status, refusal } }
        }
        Error::Provider { tried, source: Failure::Unsupported { what, param } } => {
            let source = Failure::Unsupported { what: message_in_request(&what), param: path(param) };
            Error::Provider { tried, source }
        }
        other => other,
    }
}
