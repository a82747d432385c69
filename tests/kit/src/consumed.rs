//! The use of the stores, in the units that AWS bills.

use std::fmt;
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

/// A message is billed as one request for each of these.
const QUEUE_CHUNK: usize = 64 * 1_024;
/// A refusal does not say how much it consumed. `DynamoDB` bills it as a write of the existing item, here a small one.
const REFUSED: f64 = 1.0;

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Units {
    /// Calls of the table.
    pub operations: u64,
    /// As the engine reports them: of the table and its index, twice in transactions.
    pub write_units: f64,
    pub read_units: f64,
    /// Requests of SQS by 64 KB.
    pub queue_requests: u64,
    /// Requests of S3 that write, and that read.
    pub puts: u64,
    pub gets: u64,
}

/// The sum of the units that instances consume; see [`crate::TestApp::instance_metered`].
#[derive(Clone, Default)]
pub struct Consumed(Arc<Mutex<Units>>);

impl Consumed {
    /// Returns the sum so far, and resets it.
    #[must_use]
    pub fn take(&self) -> Units {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    pub(crate) fn of(&self, inner: SharedHttpConnector) -> SharedHttpConnector {
        SharedHttpConnector::new(Metered { inner, consumed: self.clone() })
    }

    fn add(&self, add: impl FnOnce(&mut Units)) {
        add(&mut self.0.lock().unwrap());
    }
}

struct Metered {
    inner: SharedHttpConnector,
    consumed: Consumed,
}

impl fmt::Debug for Metered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("metered store")
    }
}

impl HttpConnector for Metered {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").map(str::to_owned);
        match target.as_deref().and_then(|target| target.rsplit_once('.')) {
            None if request.method() == "GET" => self.consumed.add(|units| units.gets += 1),
            None if request.method() == "PUT" => self.consumed.add(|units| units.puts += 1),
            None => {} // S3 does not bill deletions.
            Some(("AmazonSQS", _)) => {
                let bytes = request.body().bytes().unwrap_or_default().len();
                self.consumed.add(|units| units.queue_requests += bytes.div_ceil(QUEUE_CHUNK) as u64);
            }
            Some((_, operation)) => {
                let reads = matches!(operation, "GetItem" | "BatchGetItem" | "TransactGetItems" | "Query" | "Scan");
                ask_for_capacity(&mut request);
                let (call, consumed) = (self.inner.call(request), self.consumed.clone());
                return HttpConnectorFuture::new(async move {
                    let response = call.await?;
                    let answer = response.body().bytes().expect("the embedded table has whole answers");
                    let capacity = if response.status().is_success() { capacity_units(answer) } else { REFUSED };
                    consumed.add(|units| {
                        units.operations += 1;
                        *(if reads { &mut units.read_units } else { &mut units.write_units }) += capacity;
                    });
                    Ok(response)
                });
            }
        }
        self.inner.call(request)
    }
}

fn ask_for_capacity(request: &mut HttpRequest) {
    let mut body: Value = serde_json::from_slice(request.body().bytes().unwrap_or_default()).expect("the body is JSON");
    body["ReturnConsumedCapacity"] = json!("TOTAL");
    let body = body.to_string();
    request.headers_mut().insert("content-length", body.len().to_string());
    *request.body_mut() = SdkBody::from(body);
}

/// Of one table, or of each table of a transaction.
fn capacity_units(answer: &[u8]) -> f64 {
    let answer: Value = serde_json::from_slice(answer).expect("the answer is JSON");
    let of = |capacity: &Value| capacity["CapacityUnits"].as_f64().unwrap_or_default();
    match &answer["ConsumedCapacity"] {
        Value::Array(tables) => tables.iter().map(of).sum(),
        table => of(table),
    }
}
