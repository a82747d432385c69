//! Below the AWS SDK: an HTTP connector that counts calls, takes time, and fails or hangs on request.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use tokio::sync::Notify;

/// The fault of one call of the table or of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// The engine never sees it; the service says that it throttles.
    Throttle,
    /// The engine never sees it; DynamoDB says that a transaction on the item is under way. A queue throttles instead.
    Conflict,
    /// The engine never sees it; the connection breaks.
    Lose,
    /// The engine does it; the connection breaks before the answer.
    LoseAnswer,
    /// The engine never sees it, and the call never returns: for a caller that dies before it. See [`Faults::or_die`].
    Hang,
    /// The engine does it, and the call never returns: for a caller that dies after it.
    HangAfter,
}

type Decide = Box<dyn FnMut(&str) -> Fault + Send>;

/// Decides the fault of each call from the operation's name: `UpdateItem`, `SendMessage` and the like.
#[derive(Clone, Default)]
pub struct Faults(Arc<State>);

#[derive(Default)]
struct State {
    now: Mutex<Now>,
    hang: Notify,
}

#[derive(Default)]
struct Now {
    decide: Option<Decide>,
    /// A call hangs since the faults were set.
    hangs: bool,
}

impl Faults {
    pub fn set(&self, decide: impl FnMut(&str) -> Fault + Send + 'static) {
        *self.0.now.lock().unwrap() = Now { decide: Some(Box::new(decide)), hangs: false };
    }

    /// The call number `n` from now on, counted from 0, gets this fault; the others none.
    pub fn at(&self, n: usize, fault: Fault) {
        let mut calls = 0..;
        self.set(move |_| if calls.next() == Some(n) { fault } else { Fault::None });
    }

    pub fn clear(&self) {
        *self.0.now.lock().unwrap() = Now::default();
    }

    /// Runs `work` to its end and returns its output. If one of its calls hangs, `work` is dropped there, as if its process
    /// died, and the result is `None`. Tasks that it has spawned go on.
    pub async fn or_die<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.hang() => None,
            done = work => Some(done),
        }
    }

    /// Whether a call hangs since the faults were set.
    #[must_use]
    pub fn hangs(&self) -> bool {
        self.0.now.lock().unwrap().hangs
    }

    /// Waits until a call hangs; returns at once if one does since the faults were set.
    pub async fn hang(&self) {
        let hang = self.0.hang.notified();
        tokio::pin!(hang);
        // From here on no hang is missed.
        hang.as_mut().enable();
        if !self.0.now.lock().unwrap().hangs {
            hang.await;
        }
    }

    fn next(&self, operation: &str) -> Fault {
        self.0.now.lock().unwrap().decide.as_mut().map_or(Fault::None, |decide| decide(operation))
    }

    async fn hang_here<T>(&self) -> T {
        self.0.now.lock().unwrap().hangs = true;
        self.0.hang.notify_waiters();
        std::future::pending().await
    }
}

/// The operations that were sent to the table and the queues, in order.
#[derive(Clone, Default, Debug)]
pub struct StoreLog(Arc<Mutex<Vec<String>>>);

impl StoreLog {
    /// Returns the operations so far, and empties the log.
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
        let of_queue = target.starts_with("AmazonSQS.");
        let operation = target.rsplit_once('.').map_or(target, |(_, operation)| operation).to_owned();
        let fault = self.faults.next(&operation);
        self.log.0.lock().unwrap().push(operation);
        let (inner, faults, latency) = (self.inner.clone(), self.faults.clone(), self.latency);
        HttpConnectorFuture::new(async move {
            if !latency.is_zero() {
                tokio::time::sleep(latency).await;
            }
            match fault {
                Fault::None => inner.call(request).await,
                Fault::Throttle | Fault::Conflict if of_queue => Ok(refused("sqs#RequestThrottled")),
                Fault::Throttle => Ok(refused("dynamodb.v20120810#ProvisionedThroughputExceededException")),
                Fault::Conflict => Ok(refused("dynamodb.v20120810#TransactionConflictException")),
                Fault::Lose => Err(broken()),
                Fault::LoseAnswer => {
                    inner.call(request).await?;
                    Err(broken())
                }
                Fault::Hang => faults.hang_here().await,
                Fault::HangAfter => {
                    inner.call(request).await?;
                    faults.hang_here().await
                }
            }
        })
    }
}

fn refused(exception: &str) -> HttpResponse {
    let body = format!(r#"{{"__type":"com.amazonaws.{exception}","message":"not now"}}"#);
    HttpResponse::new(400.try_into().unwrap(), SdkBody::from(body))
}

fn broken() -> ConnectorError {
    ConnectorError::io("the connection broke".into())
}
