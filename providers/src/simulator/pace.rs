//! How long a simulated call takes and whether it fails.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use shared::model::catalog::SimulatorConfig;
use shared::model::provider::Failure;

/// The longest time to a first token: longer than any caller waits.
const MAX_LATENCY: Duration = Duration::from_secs(3_600);

/// The random times of one call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pace {
    latency: Duration,
    per_token: Duration,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Answers,
    Fails,
    IsThrottled,
}

impl Pace {
    /// Draws from the request's fingerprint and the number of the attempt, so that a run can be repeated.
    pub(super) fn draw(config: &SimulatorConfig, fingerprint: &str, attempt: u64) -> Self {
        let seed = u64::from_str_radix(fingerprint.get(..16).unwrap_or("0"), 16).unwrap_or(0);
        let mut rng = StdRng::seed_from_u64(seed ^ attempt.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let drawn = rng.random::<f64>();
        let fate = match drawn {
            drawn if drawn < config.failure_rate => Fate::Fails,
            drawn if drawn < config.failure_rate + config.throttle_rate => Fate::IsThrottled,
            _ => Fate::Answers,
        };
        let spread = (config.latency_sigma * normal(&mut rng)).exp();
        let latency = Duration::from_millis(config.latency_ms).mul_f64(spread.min(1e6)).min(MAX_LATENCY);
        let per_token = if config.tokens_per_second > 0.0 { 1.0 / config.tokens_per_second } else { 0.0 };
        Self { latency, per_token: Duration::try_from_secs_f64(per_token).unwrap_or(MAX_LATENCY), fate }
    }

    /// Waits until the first token.
    ///
    /// # Errors
    /// `Unavailable` and `Throttled` for the configured shares of the calls, after the same wait.
    pub(super) async fn wait_for_first_token(&self) -> Result<(), Failure> {
        sleep(self.latency).await;
        match self.fate {
            Fate::Answers => Ok(()),
            Fate::Fails => {
                let message = "the simulator was told to fail".to_owned();
                Err(Failure::Unavailable { status: 503, message, retry_after: None })
            }
            Fate::IsThrottled => {
                let message = "the simulator was told to throttle".to_owned();
                Err(Failure::Throttled { message, retry_after: None })
            }
        }
    }

    /// Waits for the time that writing `tokens` tokens takes.
    pub(super) async fn wait_for_tokens(&self, tokens: u32) {
        sleep(self.per_token * tokens).await;
    }
}

async fn sleep(duration: Duration) {
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
}

/// A number from the standard normal distribution, by the method of Box and Muller.
fn normal(rng: &mut StdRng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(config: &SimulatorConfig) -> Vec<Pace> {
        (0..2_000).map(|attempt| Pace::draw(config, "0123456789abcdef", attempt)).collect()
    }

    #[test]
    fn the_median_and_the_share_of_failures_are_those_asked_for() {
        let config = SimulatorConfig {
            latency_ms: 400,
            latency_sigma: 0.5,
            failure_rate: 0.25,
            throttle_rate: 0.1,
            ..Default::default()
        };
        let mut drawn = draws(&config);
        assert_eq!(drawn, draws(&config));
        let count = |fate| drawn.iter().filter(|pace| pace.fate == fate).count();
        let (failed, throttled) = (count(Fate::Fails), count(Fate::IsThrottled));
        assert!((400..600).contains(&failed) && (150..250).contains(&throttled), "{failed}, {throttled}");
        drawn.sort_by_key(|pace| pace.latency);
        let at = |share: usize| drawn[drawn.len() * share / 100].latency.as_millis();
        assert!((370..430).contains(&at(50)), "{}", at(50));
        // One standard deviation above the median: 400 ms x e^0.5.
        assert!((610..710).contains(&at(84)), "{}", at(84));
    }

    #[test]
    fn without_settings_nothing_waits_and_nothing_fails() {
        let pace = Pace::draw(&SimulatorConfig::default(), "ffffffffffffffff", 9);
        assert_eq!(pace, Pace { latency: Duration::ZERO, per_token: Duration::ZERO, fate: Fate::Answers });
    }
}
