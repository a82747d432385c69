//! What queues do with messages that were sent: deliver them twice, late, never, or in another order.

use async_trait::async_trait;
use aws_smithy_types::body::SdkBody;
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::StoreFault;
use crate::connector::{Answer, Call};

fn is_send(call: &Call) -> bool {
    call.operation == "SendMessage"
}

pub(super) struct Twice;

#[async_trait]
impl StoreFault for Twice {
    fn name(&self) -> &'static str {
        "comes twice"
    }

    fn rate(&self) -> u32 {
        80
    }

    fn is_harmless(&self) -> bool {
        true
    }

    fn fits(&self, call: &Call) -> bool {
        is_send(call)
    }

    async fn strike(&self, call: Call, _: StdRng) -> Answer {
        if let Some(copy) = call.again() {
            copy.perform().await?;
        }
        call.perform().await
    }
}

pub(super) struct Late;

#[async_trait]
impl StoreFault for Late {
    fn name(&self) -> &'static str {
        "comes late"
    }

    fn rate(&self) -> u32 {
        80
    }

    fn is_harmless(&self) -> bool {
        true
    }

    fn fits(&self, call: &Call) -> bool {
        is_send(call)
    }

    async fn strike(&self, mut call: Call, mut rng: StdRng) -> Answer {
        let sent = call.request.body().bytes().and_then(|body| serde_json::from_slice::<Value>(body).ok());
        if let Some(mut sent) = sent {
            sent["DelaySeconds"] = json!(rng.random_range(1..=900));
            *call.request.body_mut() = SdkBody::from(sent.to_string());
        }
        call.perform().await
    }
}

pub(super) struct Lost;

#[async_trait]
impl StoreFault for Lost {
    fn name(&self) -> &'static str {
        "is lost by the queue"
    }

    fn rate(&self) -> u32 {
        80
    }

    fn is_harmless(&self) -> bool {
        true
    }

    fn fits(&self, call: &Call) -> bool {
        is_send(call)
    }

    async fn strike(&self, call: Call, _: StdRng) -> Answer {
        let sqs = call.sqs.clone();
        let answer = call.perform().await?;
        let taken = answer.body().bytes().and_then(|body| serde_json::from_slice::<Value>(body).ok());
        if let Some(message_id) = taken.as_ref().and_then(|taken| taken["MessageId"].as_str()) {
            sqs.forget(message_id);
        }
        Ok(answer)
    }
}

pub(super) struct Reordered;

#[async_trait]
impl StoreFault for Reordered {
    fn name(&self) -> &'static str {
        "overtakes the others"
    }

    fn rate(&self) -> u32 {
        80
    }

    fn is_harmless(&self) -> bool {
        true
    }

    fn fits(&self, call: &Call) -> bool {
        is_send(call)
    }

    async fn strike(&self, call: Call, _: StdRng) -> Answer {
        let sqs = call.sqs.clone();
        let answer = call.perform().await;
        for queue in embedded::QUEUES {
            let _ = sqs.reverse(queue.name);
        }
        answer
    }
}
