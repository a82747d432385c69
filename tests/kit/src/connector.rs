//! Below the AWS SDK: an HTTP connector that counts calls, takes time, and fails as told.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;

/// What happens to one call of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// The engine never sees it; DynamoDB says that it throttles.
    Throttle,
    /// The engine never sees it; DynamoDB says that a transaction on the item is under way.
    Conflict,
    /// The engine never sees it; the connection breaks.
    Lose,
    /// The engine does it; the connection breaks before the answer.
    LoseAnswer,
}

type Decide = Box<dyn FnMut(&str) -> Fault + Send>;

/// Decides the fault of each call from the operation's name, `UpdateItem` and the like.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<Option<Decide>>>);

impl Faults {
    pub fn set(&self, decide: impl FnMut(&str) -> Fault + Send + 'static) {
        *self.0.lock().unwrap() = Some(Box::new(decide));
    }

    pub fn clear(&self) {
        *self.0.lock().unwrap() = None;
    }

    fn next(&self, operation: &str) -> Fault {
        self.0.lock().unwrap().as_mut().map_or(Fault::None, |decide| decide(operation))
    }
}

/// The operations that reached the store, in order.
#[derive(Clone, Default, Debug)]
pub struct StoreLog(Arc<Mutex<Vec<String>>>);

impl StoreLog {
    /// The operations so far; the log starts anew.
    #[must_use]
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

pub(crate) struct Instrumented {
    pub(crate) inner: SharedHttpConnector,
    pub(crate) faults: Faults,
    pub(crate) log: StoreLog,
    /// Time that each call takes.
    pub(crate) latency: Duration,
}

impl fmt::Debug for Instrumented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("instrumented store")
    }
}

impl HttpConnector for Instrumented {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit_once('.').map_or(target, |(_, operation)| operation).to_owned();
        let fault = self.faults.next(&operation);
        self.log.0.lock().unwrap().push(operation);
        let (inner, latency) = (self.inner.clone(), self.latency);
        HttpConnectorFuture::new(async move {
            if !latency.is_zero() {
                tokio::time::sleep(latency).await;
            }
            match fault {
                Fault::None => inner.call(request).await,
                Fault::Throttle => Ok(refused("ProvisionedThroughputExceededException")),
                Fault::Conflict => Ok(refused("TransactionConflictException")),
                Fault::Lose => Err(broken()),
                Fault::LoseAnswer => {
                    inner.call(request).await?;
                    Err(broken())
                }
            }
        })
    }
}

fn refused(exception: &str) -> HttpResponse {
    let body = format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{exception}","message":"not now"}}"#);
    HttpResponse::new(400.try_into().unwrap(), SdkBody::from(body))
}

fn broken() -> ConnectorError {
    ConnectorError::io("the connection broke".into())
}
