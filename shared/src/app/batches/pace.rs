//! How many lines of batches a process runs at the same time: more while the provider takes them, half as many when it throttles.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Lines of a model at the same time, at first and at most.
const FIRST: f64 = 64.0;
const MOST: f64 = 1_024.0;
/// Throttled lines that were sent together say one thing.
const ONE_CAUSE: Duration = Duration::from_secs(1);
/// Whoever would wait for longer comes back later instead: a function that waits costs money.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// The pace of each model.
#[derive(Clone, Default)]
pub(in crate::app) struct Paces(Arc<Mutex<HashMap<String, Arc<Pace>>>>);

impl Paces {
    pub(super) fn of(&self, model: &str) -> Arc<Pace> {
        let mut paces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(paces.entry(model.to_owned()).or_default())
    }
}

/// The pace of one model.
#[derive(Default)]
pub(super) struct Pace {
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    limit: f64,
    running: u32,
    slowed_at: Option<Instant>,
    /// Nothing is sent before.
    pause_until: Option<Instant>,
}

impl Default for State {
    fn default() -> Self {
        Self { limit: FIRST, running: 0, slowed_at: None, pause_until: None }
    }
}

/// The model takes nothing before so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ComeBack(pub(super) Duration);

impl Pace {
    /// Waits for the turn of a line.
    ///
    /// # Errors
    /// If the provider wants a long pause, or the turn does not come before `until`.
    pub(super) async fn turn(&self, until: Instant) -> Result<Turn<'_>, ComeBack> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // From here on no change is missed.
            changed.as_mut().enable();
            let now = Instant::now();
            if now >= until {
                return Err(ComeBack(Duration::ZERO));
            }
            let pause = match self.try_turn(now) {
                None => return Ok(Turn { pace: self }),
                Some(pause) => pause,
            };
            let wakes_at = pause.map_or(until, |pause| now + pause);
            if pause.is_some_and(|pause| pause > LONGEST_WAIT) || wakes_at > until {
                return Err(ComeBack(pause.unwrap_or_default()));
            }
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep_until(wakes_at) => {}
            }
        }
    }

    /// Takes a turn. `Some`: there is none now, and none before this pause is over, if it is known.
    fn try_turn(&self, now: Instant) -> Option<Option<Duration>> {
        self.with(|state| {
            if let Some(pause) = state.pause_until.map(|until| until - now).filter(|pause| !pause.is_zero()) {
                return Some(Some(pause));
            }
            if f64::from(state.running) >= state.limit {
                return Some(None);
            }
            state.running += 1;
            None
        })
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The turn of a line, until it is dropped.
pub(super) struct Turn<'a> {
    pace: &'a Pace,
}

impl Turn<'_> {
    /// The provider took the line.
    pub(super) fn succeeded(self) {
        self.pace.with(|state| state.limit = (state.limit + 1.0 / state.limit).min(MOST));
    }

    /// The provider wants fewer lines, or none for some time.
    pub(super) fn throttled(self, pause: Duration) {
        let now = Instant::now();
        self.pace.with(|state| {
            state.pause_until = state.pause_until.max(Some(now + pause));
            if state.slowed_at.is_none_or(|slowed_at| now - slowed_at >= ONE_CAUSE) {
                state.slowed_at = Some(now);
                state.limit = (state.limit / 2.0).max(1.0);
            }
        });
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.pace.with(|state| state.running -= 1);
        self.pace.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttled_model_gets_half_as_many_lines_and_then_more_again() {
        let paces = Paces::default();
        let pace = paces.of("m");
        let mut turns = Vec::new();
        for _ in 0..64 {
            turns.push(pace.turn(soon()).await.unwrap());
        }
        assert!(pace.turn(Instant::now()).await.is_err(), "64 are running");
        // Lines that were sent together are throttled together: one cause.
        turns.drain(..10).for_each(|turn| turn.throttled(Duration::from_secs(2)));
        drop(turns);
        let begun = Instant::now();
        let turns = futures_util::future::join_all((0..32).map(|_| pace.turn(soon()))).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(2));
        assert!(pace.turn(Instant::now() + Duration::from_secs(1)).await.is_err(), "32 are running");
        for turn in turns {
            turn.unwrap().succeeded();
        }
        let turns: Vec<_> = futures_util::future::join_all((0..32).map(|_| pace.turn(soon()))).await;
        assert!(pace.turn(Instant::now() + Duration::from_secs(1)).await.is_ok(), "33 may run");
        drop(turns);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_a_long_pause() {
        let pace = Pace::default();
        pace.turn(soon()).await.unwrap().throttled(Duration::from_secs(90));
        let asked = pace.turn(soon() + Duration::from_secs(600)).await.err();
        assert_eq!(asked, Some(ComeBack(Duration::from_secs(90))));
        tokio::time::sleep(Duration::from_secs(91)).await;
        assert!(pace.turn(soon()).await.is_ok());
    }
}
