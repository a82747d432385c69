//! What goes wrong. A new kind of fault at a store is a file here and a line in [`STORE`].

mod conflict;
mod cut;
mod death;
mod latency;
mod messages;
mod pages;
mod partial;
pub(crate) mod provider;
pub(crate) mod receiver;
mod throttle;

use async_trait::async_trait;
use aws_smithy_runtime_api::client::result::ConnectorError;
use rand::rngs::StdRng;

use crate::connector::{Answer, Call};

/// A kind of fault at a call of a store.
#[async_trait]
pub(crate) trait StoreFault: Sync {
    fn name(&self) -> &'static str;

    /// Of a thousand calls, where the weather has it at all.
    fn rate(&self) -> u32;

    /// Whether the call is done once and answered truly all the same.
    fn is_harmless(&self) -> bool {
        false
    }

    /// Whether it can happen to this call.
    fn fits(&self, call: &Call) -> bool;

    /// It happens.
    async fn strike(&self, call: Call, rng: StdRng) -> Answer;
}

/// All of them.
pub(crate) const STORE: &[&dyn StoreFault] = &[
    &throttle::Throttled,
    &conflict::InTheWay,
    &cut::BeforeTheCall,
    &cut::AfterTheCall,
    &latency::Slow,
    &latency::TimedOut,
    &latency::Stuck,
    &partial::Unprocessed,
    &pages::ShortPage,
    &messages::Twice,
    &messages::Late,
    &messages::Lost,
    &messages::Reordered,
    &death::BeforeTheCall,
    &death::AfterTheCall,
];

fn broken() -> ConnectorError {
    ConnectorError::io("the connection broke".into())
}
