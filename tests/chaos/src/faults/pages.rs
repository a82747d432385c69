//! A query that is answered in pages of a few items; the client has to ask for the rest.

use async_trait::async_trait;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::StoreFault;
use crate::connector::{Answer, Call};

pub(super) struct ShortPage;

#[async_trait]
impl StoreFault for ShortPage {
    fn name(&self) -> &'static str {
        "answered with a short page"
    }

    fn rate(&self) -> u32 {
        100
    }

    fn is_harmless(&self) -> bool {
        true
    }

    /// Whoever names a limit may take the one page for what was asked.
    fn fits(&self, call: &Call) -> bool {
        call.operation == "Query" && query(&call.request).is_some_and(|query| query["Limit"].is_null())
    }

    async fn strike(&self, mut call: Call, mut rng: StdRng) -> Answer {
        if let Some(mut query) = query(&call.request) {
            query["Limit"] = json!(rng.random_range(1..=3));
            *call.request.body_mut() = SdkBody::from(query.to_string());
        }
        call.perform().await
    }
}

fn query(request: &HttpRequest) -> Option<Value> {
    serde_json::from_slice(request.body().bytes()?).ok()
}
