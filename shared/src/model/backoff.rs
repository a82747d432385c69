//! How long to wait before trying again: the waits grow, and each is drawn by chance so that callers that met spread out.

use std::time::Duration;

use rand::RngExt as _;

use super::rng;

/// Waits that double from `first_ms` up to `most_ms`. Each is drawn between half of it and all of it.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    first_ms: u64,
    most_ms: u64,
}

impl Backoff {
    #[must_use]
    pub const fn new(first_ms: u64, most_ms: u64) -> Self {
        Self { first_ms, most_ms }
    }

    /// The wait after `tried` failed tries.
    #[must_use]
    pub fn delay(&self, tried: u32) -> Duration {
        let most = self.first_ms.saturating_mul(1 << tried.min(16)).min(self.most_ms);
        Duration::from_millis(rng::rng().random_range(most / 2..=most))
    }

    pub async fn wait(&self, tried: u32) {
        tokio::time::sleep(self.delay(tried)).await;
    }
}

/// Writers that change the same item at the same moment.
const CONTENTION: Backoff = Backoff::new(4, 128);

/// Waits before another try at an item that another writer changed first. The first two tries go at once.
pub async fn pause(tried: u32) {
    if let Some(waits) = tried.checked_sub(2) {
        CONTENTION.wait(waits).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let backoff = Backoff::new(20, 500);
        for (tried, most) in [(0, 20), (1, 40), (4, 320), (5, 500), (u32::MAX, 500)] {
            let wait = backoff.delay(tried);
            assert!((most / 2..=most).contains(&u64::try_from(wait.as_millis()).unwrap()), "{tried}: {wait:?}");
        }
    }
}
