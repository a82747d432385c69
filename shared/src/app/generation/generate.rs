//! From the chunks of a provider to the events of a response.

use futures_util::StreamExt as _;

use super::{EventSink, RunLost};
use crate::app::dispatch::{EventStream, ProviderAnswer, UsageMeter};
use crate::dialects::openai_responses::EventBuilder;
use crate::model::provider::{Event, Failure};

/// How a provider's stream went. The usage meter knows the usage.
pub(in crate::app) enum Generated {
    /// To its end.
    Whole,
    /// It broke.
    Broken(Failure),
    /// The run may not go on.
    Lost(RunLost),
}

/// Turns the provider's chunks into events until its stream ends, or the run is lost.
pub(in crate::app) async fn generate(
    mut events: EventStream,
    used: &UsageMeter,
    builder: &mut EventBuilder,
    sink: &mut EventSink<'_>,
) -> Generated {
    loop {
        let step = tokio::select! {
            biased;
            event = events.next() => match event {
                None => return builder.failure().map_or(Generated::Whole, Generated::Broken),
                Some(Err(failure)) => return Generated::Broken(failure),
                Some(Ok(event)) => match take(&event, used, builder, sink) {
                    Err(failure) => return Generated::Broken(failure),
                    Ok(events) => sink.emit(&events).await,
                },
            },
            () = sink.heartbeat_due() => sink.heartbeat().await,
        };
        if let Err(lost) = step {
            return Generated::Lost(lost);
        }
    }
}

fn take(
    event: &Event,
    used: &UsageMeter,
    builder: &mut EventBuilder,
    sink: &mut EventSink<'_>,
) -> Result<Vec<crate::dialects::openai_responses::ResponseEvent>, Failure> {
    used.observe(event);
    sink.note_output(used.received_bytes());
    builder.chunk(&event.data)
}

/// The stream of an answer that was requested as one.
///
/// # Errors
/// `Malformed` if the provider answered with a whole body.
pub(in crate::app) fn expect_stream(answer: ProviderAnswer) -> Result<EventStream, Failure> {
    match answer {
        ProviderAnswer::Stream(events) => Ok(events),
        ProviderAnswer::Whole(_) => Err(Failure::Malformed("it answered a streamed call with a whole body".to_owned())),
    }
}
