//! The exchanges of tenants with the service: when each request began and ended, and which answers were refusals.

use serde_json::Value;
use shared::model::clock::Timestamp;

use crate::reply::Reply;

/// A request of a tenant for a model, or for the events of a response.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    pub(crate) tenant: usize,
    pub(crate) started: Timestamp,
    pub(crate) end: Option<ExchangeEnd>,
}

/// The end of an exchange, as its client saw it.
#[derive(Debug, Clone)]
pub(crate) struct ExchangeEnd {
    pub(crate) at: Timestamp,
    /// The answer arrived to its end. Otherwise the call may still be open.
    pub(crate) is_whole: bool,
    pub(crate) refusal: Option<Refusal>,
}

/// An answer that is an error.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Refusal {
    /// The limit that the message names: `...: limit 12, used ...`.
    pub(crate) fn limit(&self) -> Option<u64> {
        let (_, rest) = self.message.split_once(": limit ")?;
        rest.split([',', '.']).next()?.parse().ok()
    }
}

/// How long a call goes on after its client left: as long as its model may take, and some seconds to settle it.
const LEFT_MS: u64 = 130_000;
/// How long a settlement takes at most if stores are slow, and none of them fails.
const SETTLED_MS: u64 = 5_000;

impl Exchange {
    /// Whether the call may have been open at some time between two times, if no store failed and no process died.
    pub(crate) fn may_be_open(&self, from: Timestamp, to: Timestamp) -> bool {
        let ends_before = self.end.as_ref().is_some_and(|end| {
            let open_for = if end.is_whole { SETTLED_MS } else { LEFT_MS };
            end.at.plus_ms(open_for) < from
        });
        self.started <= to && !ends_before
    }
}

impl ExchangeEnd {
    pub(crate) fn new(at: Timestamp, reply: Option<&Reply>) -> Self {
        let refusal = reply.filter(|reply| reply.status >= 400).map(|reply| {
            let error: Value = reply.json()["error"].clone();
            let text = |pointer: &str| error.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
            // Anthropic's envelope has no code of its own, so it has ours among the details.
            let code = text("/code").or_else(|| text("/details/error_code"));
            Refusal { code: code.unwrap_or_default(), message: text("/message").unwrap_or_default() }
        });
        Self { at, is_whole: reply.is_some_and(|reply| reply.is_whole), refusal }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_limit_of_a_refusal() {
        let limit = |message: &str| Refusal { code: String::new(), message: message.to_owned() }.limit();
        assert_eq!(limit("Too many calls run at the same time: limit 12, running 12, requested 1."), Some(12));
        assert_eq!(limit("Rate limit of the key reached on requests per minute: limit 5, used 5."), Some(5));
        assert_eq!(limit("The provider gave no answer."), None);
    }
}
