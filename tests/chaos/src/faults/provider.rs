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
    /// The stream breaks in the middle.
    Cut,
    /// The stream stops in the middle and does not end.
    Stall,
    /// The answer does not say what was used.
    Uncounted,
    /// The process that asked dies while it waits.
    CallerDies,
}

const TURNS: [Turn; 10] = [
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
];

pub(crate) fn drawn(weather: &Weather, chance: &mut StdRng) -> Turn {
    if !chance.random_ratio(weather.provider, 1_000) {
        return Turn::Answer;
    }
    match TURNS[chance.random_range(0..TURNS.len())] {
        Turn::CallerDies if weather.is_calm => Turn::Answer,
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
