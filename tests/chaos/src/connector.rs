//! Below the AWS SDK: every call takes a while, and some of them meet a fault.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use embedded::Sqs;
use http_body_util::BodyExt as _;
use rand::RngExt as _;

use crate::process::Life;
use crate::sim::{Sim, Site};

/// Which store a call goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Table,
    Bucket,
    Queue,
}

pub(crate) type Answer = Result<HttpResponse, ConnectorError>;

/// The way of one process to one store.
pub(crate) struct Connector {
    pub(crate) service: Service,
    pub(crate) inner: SharedHttpConnector,
    pub(crate) sim: Arc<Sim>,
    pub(crate) life: Life,
    pub(crate) sqs: Sqs,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {}", self.service, self.life)
    }
}

/// One call on its way.
pub(crate) struct Call {
    pub(crate) service: Service,
    /// `UpdateItem`, `SendMessage`, `PUT` and the like.
    pub(crate) operation: String,
    pub(crate) request: HttpRequest,
    pub(crate) life: Life,
    /// What the queue's platform can do.
    pub(crate) sqs: Sqs,
    inner: SharedHttpConnector,
}

impl Call {
    /// Does it.
    pub(crate) async fn perform(self) -> Answer {
        match self.service {
            // The bucket's engine works in threads of its own: it is waited for where it stands, so that no other task
            // runs in between, now sooner and now later. Without tokio's budget for tasks: one that has used it up is
            // woken when others have run, which is never.
            Service::Bucket => futures_executor::block_on(tokio::task::unconstrained(whole(&self.inner, self.request))),
            Service::Table | Service::Queue => self.inner.call(self.request).await,
        }
    }

    /// Whether it changes what somebody has left.
    fn writes_meter(&self) -> bool {
        const KEY: &[u8] = b"METER#";
        let body = self.request.body().bytes().unwrap_or_default();
        matches!(self.operation.as_str(), "UpdateItem" | "TransactWriteItems")
            && body.windows(KEY.len()).any(|bytes| bytes == KEY)
    }

    /// Copies the call.
    #[must_use]
    pub(crate) fn duplicate(&self) -> Option<Self> {
        let (operation, life, sqs) = (self.operation.clone(), self.life.clone(), self.sqs.clone());
        let request = self.request.try_clone()?;
        Some(Self { service: self.service, operation, request, life, sqs, inner: self.inner.clone() })
    }
}

/// A call with its answer read to the end.
async fn whole(inner: &SharedHttpConnector, request: HttpRequest) -> Answer {
    let mut answer = inner.call(request).await?;
    let body = std::mem::replace(answer.body_mut(), SdkBody::taken());
    let body = body.collect().await.map_err(ConnectorError::io)?.to_bytes();
    *answer.body_mut() = SdkBody::from(body);
    Ok(answer)
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_else(|| request.method());
        let operation = target.rsplit_once('.').map_or(target, |(_, operation)| operation).to_owned();
        let (service, life, sqs, inner) = (self.service, self.life.clone(), self.sqs.clone(), self.inner.clone());
        let call = Call { service, operation, request, life, sqs, inner };
        let (sim, life) = (Arc::clone(&self.sim), self.life.clone());
        HttpConnectorFuture::new(async move { life.live(make(&sim, call)).await })
    }
}

/// Seeds what the SDK draws its next waiting time from, when a call has ended or was given up: how much others have drawn
/// before, which the order of a hash map may decide, does not matter then.
struct Reseed(u64);

impl Drop for Reseed {
    fn drop(&mut self) {
        fastrand::seed(self.0);
    }
}

async fn make(sim: &Sim, call: Call) -> Answer {
    let mut arrival = sim.arrive(Site::Store);
    let place = arrival.place;
    let _reseed = Reseed(arrival.rng.random());
    let fault = arrival.draw(&sim.weather.store, &call);
    tokio::time::sleep(Duration::from_millis(arrival.rng.random_range(1..=6))).await;
    let (life, operation, writes_meter) = (call.life.clone(), call.operation.clone(), call.writes_meter());
    let answer = match fault {
        None => call.perform().await,
        Some(fault) => {
            sim.inject(place, format_args!("{} at {operation} of {life}", fault.name));
            fault.effect.carry_out(call, arrival.rng).await
        }
    };
    if writes_meter {
        sim.meter_writes.fetch_add(1, Ordering::SeqCst);
    }
    let outcome = answer.as_ref().map_or(0, |answer| answer.status().as_u16());
    sim.trace.note(format_args!("{place} {life} {operation} {outcome}"));
    answer
}
