//! The start of one attempt: the whole answer or the first event, within its time limits.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use tokio::time::{Instant, timeout_at};

use super::{EventStream, ProviderAnswer};
use crate::app::telemetry::Generation;
use crate::model::catalog::Timeouts;
use crate::model::provider::{Awaited, Event, Failure, Reply};

/// A time limit that begins now: its target's, or the end of the call's time if that is earlier.
struct Limit {
    until: Instant,
    awaited: Awaited,
    /// `None` if the call's time ends earlier.
    of_target: Option<Duration>,
}

impl Limit {
    fn new(awaited: Awaited, of_target: Duration, deadline: Instant) -> Self {
        let until = Instant::now() + of_target;
        Self { until: until.min(deadline), awaited, of_target: (until <= deadline).then_some(of_target) }
    }

    fn failure(&self) -> Failure {
        match self.of_target {
            Some(after) => Failure::TimedOut { awaited: self.awaited, after },
            None => Failure::OutOfTime,
        }
    }
}

/// Waits for the whole answer or the first event. Calls `accept` when a stream begins, before its first event.
pub(super) async fn start(
    reply: impl Future<Output = Result<Reply, Failure>>,
    timeouts: &Timeouts,
    deadline: Instant,
    accept: impl FnOnce(),
) -> Result<ProviderAnswer, Failure> {
    let limit = Limit::new(Awaited::Answer, timeouts.first_byte, deadline);
    let (until, late) = (limit.until, || limit.failure());
    match timeout_at(until, reply).await.map_err(|_| late())?? {
        Reply::Whole(whole) => Ok(ProviderAnswer::Whole(whole)),
        Reply::Stream(mut events) => {
            accept();
            let first = timeout_at(until, events.next()).await.map_err(|_| late())?;
            let first =
                first.ok_or_else(|| Failure::Malformed("the stream ended before its first event".to_owned()))??;
            let rest = with_time_limits(events, timeouts.idle, deadline);
            Ok(ProviderAnswer::Stream(futures_util::stream::iter([Ok(first)]).chain(rest).boxed()))
        }
    }
}

/// Ends a stream with a failure when no event arrives for `idle`, or when the deadline has passed.
fn with_time_limits(
    events: BoxStream<'static, Result<Event, Failure>>,
    idle: Duration,
    deadline: Instant,
) -> EventStream {
    futures_util::stream::unfold(Some(events), move |events| async move {
        let mut events = events?;
        let limit = Limit::new(Awaited::NextEvent, idle, deadline);
        match timeout_at(limit.until, events.next()).await {
            Ok(None) => None,
            Ok(Some(Ok(event))) => Some((Ok(event), Some(events))),
            Ok(Some(Err(failure))) => Some((Err(failure), None)),
            Err(_) => Some((Err(limit.failure()), None)),
        }
    })
    .boxed()
}

/// Records the attempt on its span: at once, or as the stream goes on.
pub(super) fn trace(
    started: Result<ProviderAnswer, Failure>,
    generation: Generation,
) -> Result<ProviderAnswer, Failure> {
    match started {
        Ok(ProviderAnswer::Whole(whole)) => {
            generation.complete(&whole);
            Ok(ProviderAnswer::Whole(whole))
        }
        Ok(ProviderAnswer::Stream(events)) => Ok(ProviderAnswer::Stream(generation.observe(events))),
        Err(failure) => {
            generation.fail(&failure);
            Err(failure)
        }
    }
}
