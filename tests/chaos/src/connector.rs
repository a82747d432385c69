//! The connector below the AWS SDK: each call takes a few milliseconds, and some calls meet a fault.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use embedded::Sqs;
use http_body_util::BodyExt as _;
use rand::RngExt as _;

use crate::faults;
use crate::process::ProcessHandle;
use crate::sim::{Sim, Site};

/// The store that a call goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Table,
    Bucket,
    Queue,
}

pub(crate) type Answer = Result<HttpResponse, ConnectorError>;

/// The connection of one process to one store.
pub(crate) struct Connector {
    pub(crate) service: Service,
    pub(crate) inner: SharedHttpConnector,
    pub(crate) sim: Arc<Sim>,
    pub(crate) process: ProcessHandle,
    pub(crate) sqs: Sqs,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {}", self.service, self.process)
    }
}

/// One call of a store.
pub(crate) struct Call {
    pub(crate) service: Service,
    /// `UpdateItem`, `SendMessage`, `PUT` and the like.
    pub(crate) operation: String,
    pub(crate) request: HttpRequest,
    /// The process that makes the call.
    pub(crate) process: ProcessHandle,
    /// The queue engine, for faults that change queues directly.
    pub(crate) sqs: Sqs,
    sim: Arc<Sim>,
    inner: SharedHttpConnector,
}

impl Call {
    /// Makes the call without a fault.
    pub(crate) async fn perform(self) -> Answer {
        match self.service {
            // The bucket's engine has threads of its own, which finish sooner or later. Blocking here keeps other tasks
            // from running meanwhile, so that the run stays reproducible. `unconstrained` switches off tokio's budget
            // for tasks: tokio wakes a task without budget after the other tasks ran, and here they cannot.
            Service::Bucket => {
                futures_executor::block_on(tokio::task::unconstrained(call_and_read(&self.inner, self.request)))
            }
            Service::Table if faults::is_write(&self) => {
                let body = self.request.body().try_clone();
                let answer = self.inner.call(self.request).await;
                // The same poll performs the call and counts it, so nobody reads the meter between them.
                let body = body.as_ref().and_then(SdkBody::bytes).unwrap_or_default();
                self.sim.meter_writes.note(body);
                if answer.as_ref().is_ok_and(|answer| answer.status().is_success()) {
                    self.sim.item_writes.note(body);
                }
                answer
            }
            Service::Table | Service::Queue => self.inner.call(self.request).await,
        }
    }

    /// Waits until other calls have written to one of the items that this one writes, so many times.
    pub(crate) async fn wait_for_other_writes(&self, writes: u32) {
        self.sim.item_writes.wait_for(writes, self.request.body().bytes().unwrap_or_default()).await;
    }

    /// Copies the call.
    #[must_use]
    pub(crate) fn duplicate(&self) -> Option<Self> {
        let (operation, process, sqs) = (self.operation.clone(), self.process.clone(), self.sqs.clone());
        let (request, sim, inner) = (self.request.try_clone()?, Arc::clone(&self.sim), self.inner.clone());
        Some(Self { service: self.service, operation, request, process, sqs, sim, inner })
    }
}

/// Makes a call and reads its answer to the end.
async fn call_and_read(inner: &SharedHttpConnector, request: HttpRequest) -> Answer {
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
        let (service, sqs, inner) = (self.service, self.sqs.clone(), self.inner.clone());
        let (sim, process) = (Arc::clone(&self.sim), self.process.clone());
        let call = Call { service, operation, request, process: process.clone(), sqs, sim: Arc::clone(&sim), inner };
        HttpConnectorFuture::new(async move { process.run(call_with_faults(&sim, call)).await })
    }
}

/// Seeds the SDK's generator of waiting times when a call ends or is dropped. Without it, the next waiting time would
/// depend on how many were drawn before, and thus on the order of a hash map.
struct ReseedSdk(u64);

impl Drop for ReseedSdk {
    fn drop(&mut self) {
        fastrand::seed(self.0);
    }
}

async fn call_with_faults(sim: &Sim, call: Call) -> Answer {
    let mut site_call = sim.begin_call(Site::Store);
    let point = site_call.point;
    let _reseed = ReseedSdk(site_call.rng.random());
    let fault = site_call.draw(&sim.scenario.store, &call);
    tokio::time::sleep(Duration::from_millis(site_call.rng.random_range(1..=6))).await;
    let (process, operation) = (call.process.clone(), call.operation.clone());
    let answer = match fault {
        None => call.perform().await,
        Some(fault) => {
            sim.record_fault(point, format_args!("{} at {operation} of {process}", fault.name));
            if call.service == Service::Queue {
                let message = String::from_utf8_lossy(call.request.body().bytes().unwrap_or_default()).into_owned();
                sim.observed().troubled_messages.push(message);
            }
            fault.effect.carry_out(call, site_call.rng).await
        }
    };
    let status = answer.as_ref().map_or(0, |answer| answer.status().as_u16());
    sim.trace.note(format_args!("{point} {process} {operation} {status}"));
    answer
}
