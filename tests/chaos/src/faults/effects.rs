//! Effects of faults that the simulated providers, the simulated receivers and the platform carry out themselves.

use std::time::Duration;

use shared::model::provider::{Failure, ProviderRefusal, Symptom};
use shared::model::webhook::{ReceiverAnswer, SendError};

/// A fault of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProviderFault {
    Throttle,
    Unavailable,
    Unreachable,
    Refuse,
    /// It answers 500. Only hostile prompts provoke that.
    Crash,
    /// No byte ever arrives.
    Silence,
    /// The connection breaks; that of a stream after one of its events, possibly the last.
    Cut,
    /// A stream stops after one of its events and does not end. A whole answer never arrives.
    Stall,
    /// The answer lacks its usage.
    NoUsage,
    /// The stream sends its finish reason and its usage twice.
    EndTwice,
    /// The calling process dies while it waits.
    CallerDies,
    /// The calling process dies after one of the stream's events, or while it waits for a whole answer.
    ReaderDies,
}

impl ProviderFault {
    /// Returns the failure that the caller gets before any event, if the fault is one.
    pub(crate) fn failure(self, is_stream: bool) -> Option<Failure> {
        let message = "not now".to_owned();
        match self {
            Self::Throttle => Some(Failure::Throttled { message, retry_after: Some(Duration::from_millis(300)) }),
            Self::Unavailable => Some(Failure::Unavailable { status: 503, message, retry_after: None }),
            Self::Crash => Some(Failure::Unavailable { status: 500, message, retry_after: None }),
            Self::Unreachable => Some(Failure::Unreachable("refused".into())),
            Self::Cut if !is_stream => Some(Failure::Interrupted("cut".into())),
            Self::Refuse => {
                let refusal = ProviderRefusal { message, ..ProviderRefusal::default() };
                Some(Failure::Refused { status: 400, refusal })
            }
            _ => None,
        }
    }

    /// Whether the answer is less than a whole one.
    pub(crate) fn is_failure(self) -> bool {
        !matches!(self, Self::NoUsage | Self::EndTwice)
    }

    /// What the caller's breaker may learn about the target. It repeats `docs/models.md` and not the code.
    pub(crate) fn symptom(self, is_stream: bool) -> Symptom {
        match self {
            Self::Unavailable | Self::Unreachable => Symptom::Outage,
            _ if self.is_silent(is_stream) => Symptom::Stall,
            _ => Symptom::None,
        }
    }

    /// Whether the caller waits for a first byte that never arrives.
    pub(crate) fn is_silent(self, is_stream: bool) -> bool {
        self == Self::Silence || (self == Self::Stall && !is_stream)
    }

    /// Whether the calling process dies before a first byte arrives.
    pub(crate) fn kills_waiting_caller(self, is_stream: bool) -> bool {
        self == Self::CallerDies || (self == Self::ReaderDies && !is_stream)
    }
}

/// A fault of a webhook receiver, which otherwise accepts each event with 200.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReceiverFault {
    Fail,
    /// It answers 503 with `retry-after`.
    PutOff,
    Refuse,
    /// It accepts the event, but its answer does not arrive.
    LoseAnswer,
    TimeOut,
}

impl ReceiverFault {
    pub(crate) fn accepts(self) -> bool {
        self == Self::LoseAnswer
    }

    pub(crate) async fn answer(self) -> Result<ReceiverAnswer, SendError> {
        match self {
            Self::Fail => Ok(ReceiverAnswer { status: 500, retry_after: None }),
            Self::PutOff => Ok(ReceiverAnswer { status: 503, retry_after: Some("120".to_owned()) }),
            Self::Refuse => Err(SendError::NotConnected),
            Self::LoseAnswer => Err(SendError::ConnectionBroken),
            Self::TimeOut => {
                tokio::time::sleep(Duration::from_secs(15)).await;
                Err(SendError::TimedOut)
            }
        }
    }
}

/// A fault of the platform, which otherwise gives each batch of messages to one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BatchFault {
    /// Two workers get the same messages.
    Twice,
    /// The worker handles the messages, but the queue does not delete them: they are delivered again.
    NotDeleted,
    /// The worker dies after 1.5 seconds.
    WorkerDies,
}

/// A fault of the platform, which otherwise invokes the sweeper once each minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimerFault {
    /// Two sweepers run at the same time.
    Twice,
    /// The timer does not fire.
    Skipped,
}
