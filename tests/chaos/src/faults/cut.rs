//! Connections that break, before the service got the call or after it did it.

use async_trait::async_trait;
use rand::rngs::StdRng;

use super::{StoreFault, broken};
use crate::connector::{Answer, Call};

pub(super) struct BeforeTheCall;

#[async_trait]
impl StoreFault for BeforeTheCall {
    fn name(&self) -> &'static str {
        "cut before it took effect"
    }

    fn rate(&self) -> u32 {
        15
    }

    fn fits(&self, _: &Call) -> bool {
        true
    }

    async fn strike(&self, _: Call, _: StdRng) -> Answer {
        Err(broken())
    }
}

pub(super) struct AfterTheCall;

#[async_trait]
impl StoreFault for AfterTheCall {
    fn name(&self) -> &'static str {
        "cut after it took effect"
    }

    fn rate(&self) -> u32 {
        25
    }

    fn fits(&self, _: &Call) -> bool {
        true
    }

    async fn strike(&self, call: Call, _: StdRng) -> Answer {
        call.perform().await?;
        Err(broken())
    }
}
