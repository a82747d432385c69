//! Processes that die at a call, before or after it took effect.

use async_trait::async_trait;
use rand::rngs::StdRng;

use super::StoreFault;
use crate::connector::{Answer, Call};

pub(super) struct BeforeTheCall;

#[async_trait]
impl StoreFault for BeforeTheCall {
    fn name(&self) -> &'static str {
        "the process dies before"
    }

    fn rate(&self) -> u32 {
        5
    }

    fn fits(&self, _: &Call) -> bool {
        true
    }

    async fn strike(&self, call: Call, _: StdRng) -> Answer {
        call.life.end();
        std::future::pending().await
    }
}

pub(super) struct AfterTheCall;

#[async_trait]
impl StoreFault for AfterTheCall {
    fn name(&self) -> &'static str {
        "the process dies after"
    }

    fn rate(&self) -> u32 {
        5
    }

    fn fits(&self, _: &Call) -> bool {
        true
    }

    async fn strike(&self, call: Call, _: StdRng) -> Answer {
        let life = call.life.clone();
        let _ = call.perform().await;
        life.end();
        std::future::pending().await
    }
}
