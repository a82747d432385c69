//! A batch of reads of which only some are answered; the client has to ask for the rest.

use async_trait::async_trait;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::StoreFault;
use crate::connector::{Answer, Call};

pub(super) struct Unprocessed;

#[async_trait]
impl StoreFault for Unprocessed {
    fn name(&self) -> &'static str {
        "answered in part"
    }

    fn rate(&self) -> u32 {
        100
    }

    fn is_harmless(&self) -> bool {
        true
    }

    fn fits(&self, call: &Call) -> bool {
        call.operation == "BatchGetItem"
    }

    async fn strike(&self, mut call: Call, mut rng: StdRng) -> Answer {
        let Some((first, rest)) = halves(&call.request, &mut rng) else { return call.perform().await };
        *call.request.body_mut() = SdkBody::from(first.to_string());
        let answer = call.perform().await?;
        Ok(with_unprocessed(&answer, rest).unwrap_or(answer))
    }
}

/// The request for the first keys, and what is left over.
fn halves(request: &HttpRequest, rng: &mut StdRng) -> Option<(Value, Value)> {
    let mut first: Value = serde_json::from_slice(request.body().bytes()?).ok()?;
    let mut rest = first["RequestItems"].clone();
    let keys = first["RequestItems"]["weir"]["Keys"].as_array_mut()?;
    let most = keys.len().checked_sub(1).filter(|most| *most > 0)?;
    let left = keys.split_off(rng.random_range(1..=most));
    rest["weir"]["Keys"] = json!(left);
    Some((first, rest))
}

fn with_unprocessed(answer: &HttpResponse, rest: Value) -> Option<HttpResponse> {
    let mut body: Value = serde_json::from_slice(answer.body().bytes()?).ok()?;
    body["UnprocessedKeys"] = rest;
    let mut partial = HttpResponse::new(answer.status(), SdkBody::from(body.to_string()));
    partial.headers_mut().insert("content-type", "application/x-amz-json-1.0");
    Some(partial)
}
