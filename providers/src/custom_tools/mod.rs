//! Custom tools, whose input is a text, at providers that know only functions.
//!
//! Such a tool is offered as a function with one string. A call of the function becomes a call of the tool again. A model
//! follows a grammar as well as it can: it is part of the description.

mod answer;
mod input;
mod request;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use shared::model::long_work::long_work;
use shared::model::provider::{Failure, Provider, ProviderRequest, Reply, Whole};
use shared::model::provider_batch::ProviderBatches;

/// The member of the function's arguments that has the input of the tool.
const INPUT: &str = "input";

/// A provider whose models know only functions.
pub(crate) struct FunctionsOnly(pub(crate) Arc<dyn Provider>);

#[async_trait]
impl Provider for FunctionsOnly {
    async fn send(&self, call: &ProviderRequest) -> Result<Reply, Failure> {
        let Some((body, tools)) = long_work(call.body.bytes(), || request::with_functions(&call.body)) else {
            return self.0.send(call).await;
        };
        match self.0.send(&ProviderRequest { body, ..call.clone() }).await? {
            Reply::Whole(whole) => {
                let body = long_work(whole.body.len(), || answer::whole(&whole.body, &tools));
                Ok(Reply::from(Whole { body: body.unwrap_or(whole.body), ..*whole }))
            }
            Reply::Stream(events) => {
                let mut chunks = answer::Chunks::new(tools);
                Ok(Reply::Stream(events.map(move |event| event.map(|event| chunks.event(event))).boxed()))
            }
        }
    }

    fn batches(&self) -> Option<&dyn ProviderBatches> {
        self.0.batches()
    }
}
