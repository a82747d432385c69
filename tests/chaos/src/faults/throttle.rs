//! A service wants fewer calls.

use async_trait::async_trait;
use rand::rngs::StdRng;

use super::StoreFault;
use crate::connector::{Answer, Call, Service};
use crate::faults::conflict::refused;

pub(super) struct Throttled;

#[async_trait]
impl StoreFault for Throttled {
    fn name(&self) -> &'static str {
        "throttled"
    }

    fn rate(&self) -> u32 {
        15
    }

    fn fits(&self, _: &Call) -> bool {
        true
    }

    async fn strike(&self, call: Call, _: StdRng) -> Answer {
        match call.service {
            Service::Table => refused(400, &error("dynamodb.v20120810#ProvisionedThroughputExceededException")),
            Service::Queue => refused(400, &error("sqs#RequestThrottled")),
            Service::Bucket => refused(503, "<Error><Code>SlowDown</Code><Message>not now</Message></Error>"),
        }
    }
}

fn error(exception: &str) -> String {
    format!(r#"{{"__type":"com.amazonaws.{exception}","message":"not now"}}"#)
}
