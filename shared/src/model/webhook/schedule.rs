//! The times of a delivery's attempts: the schedule that Standard Webhooks recommends.

use sha2::{Digest as _, Sha256};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// Milliseconds before each attempt, from the failure of the one before.
const DELAYS: [u64; 10] =
    [0, 5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR];

/// Attempts of a delivery before it is a dead letter.
pub const MAX_ATTEMPTS: u32 = DELAYS.len() as u32;

/// The longest that a receiver can delay an attempt, in milliseconds.
const MAX_RETRY_AFTER: u64 = 24 * HOUR;

/// Milliseconds from the failure of attempt number `tried` (from 1) to the next one; `None` after the last.
///
/// Up to a tenth is added, so that deliveries that failed together are not repeated together. The receiver's
/// `Retry-After` lengthens the wait, up to a day.
#[must_use]
pub fn delay_after(tried: u32, delivery_id: &str, retry_after_ms: Option<u64>) -> Option<u64> {
    let delay = *DELAYS.get(usize::try_from(tried).ok()?)?;
    let jitter = delay * u64::from(spread(delivery_id, tried)) / (10 * u64::from(u16::MAX));
    Some((delay + jitter).max(retry_after_ms.unwrap_or(0).min(MAX_RETRY_AFTER)))
}

/// A number that looks random and is always the same for an attempt of a delivery.
fn spread(delivery_id: &str, tried: u32) -> u16 {
    let hash = Sha256::new().chain_update(delivery_id.as_bytes()).chain_update(tried.to_le_bytes()).finalize();
    u16::from_le_bytes([hash[0], hash[1]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_delay_is_up_to_a_tenth_longer_and_always_the_same() {
        for id in ["wh_a", "wh_b", "wh_c"] {
            for (tried, delay) in (1..).zip(&DELAYS[1..]) {
                let found = delay_after(tried, id, None).unwrap();
                assert!((*delay..=delay + delay / 10).contains(&found), "{id} {tried}: {found}");
                assert_eq!(delay_after(tried, id, None), Some(found));
            }
        }
        assert_ne!(delay_after(5, "wh_a", None), delay_after(5, "wh_b", None));
        assert_eq!(delay_after(MAX_ATTEMPTS, "wh_a", None), None);
    }

    #[test]
    fn a_receiver_lengthens_the_delay_and_never_shortens_it() {
        let plain = delay_after(4, "wh_a", None);
        assert_eq!(delay_after(4, "wh_a", Some(1_000)), plain);
        assert_eq!(delay_after(1, "wh_a", Some(90_000)), Some(90_000));
        assert_eq!(delay_after(1, "wh_a", Some(u64::MAX)), Some(24 * HOUR));
        assert_eq!(delay_after(MAX_ATTEMPTS, "wh_a", Some(1_000)), None);
    }
}
