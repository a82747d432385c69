//! What providers do instead of answering.

use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use shared::model::provider::{Failure, Refusal};

use crate::weather::Weather;

/// What a provider does with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    Answer,
    Throttle,
    Unavailable,
    Unreachable,
    Refuse,
    /// Nothing ever comes.
    Silence,
    /// The stream breaks after one of its events, be it the last.
    Cut,
    /// The stream stops after one of its events and does not end.
    Stall,
    /// How the stream ends, and what was used, is said twice.
    Twice,
    /// The answer does not say what was used.
    Uncounted,
    /// The process that asked dies while it waits.
    CallerDies,
    /// The process that asked dies after one of the stream's events.
    DiesMidStream,
}

const TURNS: [Turn; 12] = [
    Turn::Throttle,
    Turn::Unavailable,
    Turn::Unreachable,
    Turn::Refuse,
    Turn::Silence,
    Turn::Cut,
    Turn::Cut,
    Turn::Stall,
    Turn::Uncounted,
    Turn::CallerDies,
    Turn::Twice,
    Turn::DiesMidStream,
];

pub(crate) fn drawn(weather: &Weather, is_stream: bool, rng: &mut StdRng) -> Turn {
    if !rng.random_ratio(weather.provider, 1_000) {
        return Turn::Answer;
    }
    match TURNS[rng.random_range(0..TURNS.len())] {
        Turn::CallerDies | Turn::DiesMidStream if weather.is_calm => Turn::Answer,
        // A whole answer has no parts.
        Turn::Twice if !is_stream => Turn::Answer,
        Turn::DiesMidStream if !is_stream => Turn::CallerDies,
        turn => turn,
    }
}

impl Turn {
    /// The failure that it is, if nothing comes before it.
    pub(crate) fn failure(self, is_stream: bool) -> Option<Failure> {
        let message = "not now".to_owned();
        match self {
            Self::Throttle => Some(Failure::Throttled { message, retry_after: Some(Duration::from_millis(300)) }),
            Self::Unavailable => Some(Failure::Unavailable { status: 503, message, retry_after: None }),
            Self::Unreachable => Some(Failure::Unreachable("refused".into())),
            Self::Cut if !is_stream => Some(Failure::Unreachable("cut".into())),
            Self::Refuse => {
                let refusal = Refusal { message, ..Refusal::default() };
                Some(Failure::Refused { status: 400, refusal })
            }
            _ => None,
        }
    }
}
