//! The W3C trace context header. Reading is strict, because any client can send the header.

use std::collections::HashMap;

use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;

const TRACEPARENT: &str = "traceparent";

/// Returns the current context as a part of the trace in the header. A malformed header counts as absent.
#[must_use]
pub fn continue_trace(header: Option<&str>) -> Context {
    let Some(header) = header.filter(|header| is_well_formed(header)) else { return Context::current() };
    let carrier = HashMap::from([(TRACEPARENT.to_owned(), header.to_owned())]);
    TraceContextPropagator::new().extract_with_context(&Context::current(), &carrier)
}

/// Returns the header that makes the recipient of a request a part of the context's trace. Returns `None` if the context
/// has no trace.
pub(in crate::app) fn traceparent(context: &Context) -> Option<String> {
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(context, &mut carrier);
    carrier.remove(TRACEPARENT)
}

/// Returns the [`traceparent`] of the current context.
#[must_use]
pub fn current_traceparent() -> Option<String> {
    traceparent(&Context::current())
}

/// Returns the header for work that follows from a stored object, given the header that was stored with the object.
///
/// The work belongs to the trace of the request that created the object. It is placed below the current span only if that
/// span is in the same trace: a request that cancels a response, and the sweeper, have traces of their own.
pub(in crate::app) fn traceparent_after(stored: Option<&str>) -> Option<String> {
    match stored {
        Some(stored) if !is_current_trace(stored) => Some(stored.to_owned()),
        _ => current_traceparent(),
    }
}

fn is_current_trace(header: &str) -> bool {
    let trace_id = |context: &Context| context.span().span_context().trace_id();
    trace_id(&continue_trace(Some(header))) == trace_id(&Context::current())
}

/// Checks lengths and digits as the standard defines them. The propagator of the library accepts more.
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
        traceparent(&continue_trace(Some(header)))
    }

    #[test]
    fn continues_a_valid_trace() {
        assert_eq!(passed_on(VALID).as_deref(), Some(VALID));
        assert_eq!(passed_on(&format!("cc{}-what-comes-later", &VALID[2..])).as_deref(), Some(VALID));
    }

    #[test]
    fn does_not_pass_on_a_malformed_header() {
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
    fn follow_up_work_stays_in_the_trace_of_the_stored_header() {
        let other = VALID.replace("0af7", "1111");
        let below = VALID.replace("b7ad", "2222");
        assert_eq!(traceparent_after(Some(VALID)).as_deref(), Some(VALID), "without a current span");
        let guard = continue_trace(Some(&below)).attach();
        assert_eq!(traceparent_after(Some(VALID)), Some(below.clone()), "below the current span of its trace");
        assert_eq!(traceparent_after(Some(&other)), Some(other), "in a span of another trace");
        assert_eq!(traceparent_after(None), Some(below));
        drop(guard);
    }
}
