//! Services that take their time, or more of it than the client waits.

use std::time::Duration;

use async_trait::async_trait;
use aws_smithy_runtime_api::client::result::ConnectorError;
use rand::RngExt as _;
use rand::rngs::StdRng;

use super::StoreFault;
use crate::connector::{Answer, Call};

pub(super) struct Slow;

#[async_trait]
impl StoreFault for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn rate(&self) -> u32 {
        25
    }

    fn is_harmless(&self) -> bool {
        true
    }

    fn fits(&self, _: &Call) -> bool {
        true
    }

    async fn strike(&self, call: Call, mut rng: StdRng) -> Answer {
        let wait = Duration::from_millis(rng.random_range(50..2_000));
        if rng.random_bool(0.5) {
            tokio::time::sleep(wait).await;
            return call.perform().await;
        }
        let answer = call.perform().await;
        tokio::time::sleep(wait).await;
        answer
    }
}

pub(super) struct TimedOut;

#[async_trait]
impl StoreFault for TimedOut {
    fn name(&self) -> &'static str {
        "no answer in time"
    }

    fn rate(&self) -> u32 {
        5
    }

    fn fits(&self, _: &Call) -> bool {
        true
    }

    async fn strike(&self, call: Call, mut rng: StdRng) -> Answer {
        if rng.random_bool(0.5) {
            call.perform().await?;
        }
        tokio::time::sleep(Duration::from_millis(rng.random_range(3_000..45_000))).await;
        Err(ConnectorError::timeout("no answer in time".into()))
    }
}

/// Longer than any lease of a run: the process seems dead, and is not.
pub(super) struct Stuck;

#[async_trait]
impl StoreFault for Stuck {
    fn name(&self) -> &'static str {
        "stuck for longer than a lease"
    }

    fn rate(&self) -> u32 {
        4
    }

    fn fits(&self, _: &Call) -> bool {
        true
    }

    async fn strike(&self, call: Call, mut rng: StdRng) -> Answer {
        tokio::time::sleep(Duration::from_millis(rng.random_range(31_000..130_000))).await;
        call.perform().await
    }
}
