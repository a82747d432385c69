//! One attempt at a response: the provider is called, its chunks become events, the events go where they go.

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use tokio::time::Instant;

use super::emit::{EventSink, Stopped};
use crate::app::dispatch::{Begun, Dispatched, Order};
use crate::app::error::Error;
use crate::app::gateway::Gateway;
use crate::dialects::openai_responses::EventBuilder;
use crate::model::catalog::Model;
use crate::model::object::Object;
use crate::model::provider::{Endpoint, Event, Failure};
use crate::model::tokens::{Bound, Usage};

/// What an attempt is made of.
pub(super) struct Attempt<'a> {
    pub(super) model: &'a Model,
    /// The chat call.
    pub(super) chat: &'a Object,
    pub(super) bound: Bound,
    pub(super) deadline: Instant,
}

/// A provider's stream that has begun.
pub(super) struct Flow {
    pub(super) events: BoxStream<'static, Result<Event, Failure>>,
    pub(super) provider: String,
    pub(super) attempts: u32,
}

/// How a stream went.
pub(super) enum Flowed {
    /// To its end.
    Done(Usage),
    /// It broke; what was used until then is bounded, not known.
    Broke(Failure, Usage),
    /// The run may not go on; what was used until then.
    Stopped(Stopped, Usage),
}

/// Why a stream did not begin.
pub(super) enum NotBegun {
    Refused(Box<Error>),
    Stopped(Stopped),
}

impl Gateway {
    /// Calls the provider until its stream begins; the run's lease is kept meanwhile.
    pub(super) async fn begin_flow(&self, attempt: &Attempt<'_>, sink: &mut EventSink) -> Result<Flow, NotBegun> {
        let order = Order {
            endpoint: Endpoint::ChatCompletions,
            model: attempt.model,
            body: attempt.chat,
            stream: true,
            deadline: attempt.deadline,
        };
        let mut dispatch = std::pin::pin!(self.dispatch(&order));
        loop {
            tokio::select! {
                biased;
                dispatched = &mut dispatch => return flow(dispatched.map_err(refused)?),
                () = sink.quiet() => sink.beat(self).await.map_err(NotBegun::Stopped)?,
            }
        }
    }

    /// Turns the provider's chunks into events until its stream ends, or is left.
    pub(super) async fn flow(
        &self,
        attempt: &Attempt<'_>,
        mut stream: BoxStream<'static, Result<Event, Failure>>,
        builder: &mut EventBuilder,
        sink: &mut EventSink,
    ) -> Flowed {
        let (mut usage, mut received) = (None, 0);
        loop {
            let stepped = tokio::select! {
                biased;
                event = stream.next() => match event {
                    None => return Flowed::Done(usage.unwrap_or_else(|| at_most(attempt.bound, received))),
                    Some(Err(failure)) => return Flowed::Broke(failure, usage.unwrap_or_else(|| at_most(attempt.bound, received))),
                    Some(Ok(event)) => {
                        received += event.data.len() as u64;
                        usage = event.usage.or(usage);
                        sink.received(received);
                        match builder.chunk(&event.data) {
                            Ok(events) => sink.emit(self, &events).await,
                            Err(failure) => return Flowed::Broke(failure, usage.unwrap_or_else(|| at_most(attempt.bound, received))),
                        }
                    }
                },
                () = sink.quiet() => sink.beat(self).await,
            };
            if let Err(stopped) = stepped {
                return Flowed::Stopped(stopped, usage.unwrap_or_else(|| at_most(attempt.bound, received)));
            }
        }
    }
}

/// What a stream that was not counted has used, as far as it can be seen: all of its input, and a token for every byte that
/// came. Reasoning that a provider hides leaves no bytes; see decision 5.
pub(super) fn at_most(bound: Bound, received: u64) -> Usage {
    Usage { input: bound.input, output: received.min(bound.output), ..Usage::default() }
}

fn refused(error: Error) -> NotBegun {
    NotBegun::Refused(Box::new(error))
}

fn flow(dispatched: Dispatched) -> Result<Flow, NotBegun> {
    let Dispatched { begun, provider, attempts } = dispatched;
    match begun {
        Begun::Stream(events) => Ok(Flow { events, provider, attempts }),
        Begun::Whole(_) => {
            let source = Failure::Malformed("it answered a streamed call with a whole body".to_owned());
            Err(refused(Error::Provider { provider: provider.into(), attempts, source }))
        }
    }
}
