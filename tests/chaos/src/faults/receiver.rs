//! What webhook receivers do instead of answering 200.

use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use shared::model::webhook::{Answer, SendError};

/// What a receiver does with one post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    Take,
    Fail,
    /// Wants it later.
    Later,
    Refuse,
    /// Takes it, but the answer does not arrive.
    TakeSilently,
    TimeOut,
}

const TURNS: [Turn; 5] = [Turn::Fail, Turn::Later, Turn::Refuse, Turn::TakeSilently, Turn::TimeOut];

pub(crate) fn drawn(rate: u32, rng: &mut StdRng) -> Turn {
    if rng.random_ratio(rate, 1_000) { TURNS[rng.random_range(0..TURNS.len())] } else { Turn::Take }
}

impl Turn {
    pub(crate) fn takes(self) -> bool {
        matches!(self, Self::Take | Self::TakeSilently)
    }

    pub(crate) async fn answer(self) -> Result<Answer, SendError> {
        let status = |status, retry_after| Ok(Answer { status, retry_after });
        match self {
            Self::Take => status(200, None),
            Self::Fail => status(500, None),
            Self::Later => status(503, Some("120".to_owned())),
            Self::Refuse => Err(SendError::NotConnected),
            Self::TakeSilently => Err(SendError::ConnectionBroken),
            Self::TimeOut => {
                tokio::time::sleep(Duration::from_secs(15)).await;
                Err(SendError::TimedOut)
            }
        }
    }
}
