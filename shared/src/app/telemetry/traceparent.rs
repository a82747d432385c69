//! W3C trace context: reading the header, which anybody can send, and writing it.

use std::collections::HashMap;

use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;

const TRACEPARENT: &str = "traceparent";

/// The current context as a part of the trace that a header names. A header that is none is as good as absent.
#[must_use]
pub fn continued(header: Option<&str>) -> Context {
    let Some(header) = header.filter(|header| is_well_formed(header)) else { return Context::current() };
    let carrier = HashMap::from([(TRACEPARENT.to_owned(), header.to_owned())]);
    TraceContextPropagator::new().extract_with_context(&Context::current(), &carrier)
}

/// The header that makes whoever gets it a part of the trace of a context; `None` if it has none.
pub(in crate::app) fn traceparent(context: &Context) -> Option<String> {
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(context, &mut carrier);
    carrier.remove(TRACEPARENT)
}

/// As [`traceparent`], of the current work.
#[must_use]
pub fn current_traceparent() -> Option<String> {
    traceparent(&Context::current())
}

/// The header for what follows from something that was written down with the header `kept`: below the current span if that
/// is of the same trace. A response belongs to the trace of whoever asked for it, not of whoever cancelled or swept it.
pub(in crate::app) fn within(kept: Option<&str>) -> Option<String> {
    let same = |header: &str| {
        let trace_id = continued(Some(header)).span().span_context().trace_id();
        trace_id == Context::current().span().span_context().trace_id()
    };
    match kept {
        Some(kept) if !same(kept) => Some(kept.to_owned()),
        _ => current_traceparent(),
    }
}

/// Lengths and digits as the standard writes them, which the library takes more lightly.
fn is_well_formed(header: &str) -> bool {
    let digits =
        |part: &str, length| part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let mut parts = header.split('-');
    let mut next = |length| parts.next().is_some_and(|part| digits(part, length));
    next(2) && next(32) && next(16) && next(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn passed_on(header: &str) -> Option<String> {
        traceparent(&continued(Some(header)))
    }

    #[test]
    fn a_trace_goes_on() {
        assert_eq!(passed_on(VALID).as_deref(), Some(VALID));
        assert_eq!(passed_on(&format!("cc{}-what-comes-later", &VALID[2..])).as_deref(), Some(VALID));
    }

    #[test]
    fn what_is_no_trace_is_not_passed_on() {
        let wrong = [
            "",
            "00",
            "0x-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nx: y",
        ];
        for header in wrong {
            assert_eq!(passed_on(header), None, "{header:?}");
        }
    }

    #[test]
    fn what_was_written_down_stays_in_its_trace() {
        let other = VALID.replace("0af7", "1111");
        let below = VALID.replace("b7ad", "2222");
        assert_eq!(within(Some(VALID)).as_deref(), Some(VALID), "without a current span");
        let guard = continued(Some(&below)).attach();
        assert_eq!(within(Some(VALID)), Some(below.clone()), "below the current span of its trace");
        assert_eq!(within(Some(&other)), Some(other), "in a span of another trace");
        assert_eq!(within(None), Some(below));
        drop(guard);
    }
}
