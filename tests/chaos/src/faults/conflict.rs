//! A transaction on the same item is under way.

use async_trait::async_trait;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use rand::rngs::StdRng;

use super::StoreFault;
use crate::connector::{Answer, Call};

pub(super) struct InTheWay;

#[async_trait]
impl StoreFault for InTheWay {
    fn name(&self) -> &'static str {
        "a transaction is in the way"
    }

    fn rate(&self) -> u32 {
        20
    }

    fn fits(&self, call: &Call) -> bool {
        matches!(call.operation.as_str(), "UpdateItem" | "PutItem" | "DeleteItem" | "TransactWriteItems")
    }

    async fn strike(&self, call: Call, _: StdRng) -> Answer {
        let error = if call.operation == "TransactWriteItems" {
            r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","message":"[TransactionConflict]","CancellationReasons":[{"Code":"TransactionConflict"}]}"#
        } else {
            r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionConflictException","message":"not now"}"#
        };
        refused(400, error)
    }
}

/// An error of a service.
pub(super) fn refused(status: u16, body: &str) -> Answer {
    let status = status.try_into().map_err(|error| ConnectorError::other(Box::new(error), None))?;
    Ok(HttpResponse::new(status, SdkBody::from(body)))
}
