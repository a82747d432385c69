//! The calls that each function makes of AWS, by their names in IAM.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use serde_json::Value;

/// One kind of call of one function, which a policy allows or does not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AwsCall {
    pub function: String,
    /// As policies name it: `dynamodb:UpdateItem`.
    pub action: String,
    /// `table`, `table/index/due`, `bucket/bodies`, `queue/respond`.
    pub resource: String,
}

/// The calls that were made, each kind once.
#[derive(Clone, Default)]
pub struct AwsCalls(Arc<Mutex<BTreeSet<AwsCall>>>);

impl AwsCalls {
    #[must_use]
    pub fn all(&self) -> BTreeSet<AwsCall> {
        self.0.lock().unwrap().clone()
    }

    /// A connector that remembers the requests of a function.
    pub(crate) fn of(&self, function: &str, inner: SharedHttpConnector) -> SharedHttpConnector {
        SharedHttpConnector::new(Recorded { inner, function: function.to_owned(), calls: self.clone() })
    }
}

struct Recorded {
    inner: SharedHttpConnector,
    function: String,
    calls: AwsCalls,
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "calls of {}", self.function)
    }
}

impl HttpConnector for Recorded {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let call = |(action, resource)| AwsCall { function: self.function.clone(), action, resource };
        self.calls.0.lock().unwrap().extend(asked(&request).into_iter().map(call));
        self.inner.call(request)
    }
}

/// Action and resource of a request. A transaction has one pair for each of its parts, because policies name the parts.
fn asked(request: &HttpRequest) -> Vec<(String, String)> {
    let body = || serde_json::from_slice(request.body().bytes().unwrap_or_default()).unwrap_or_default();
    match request.headers().get("x-amz-target").and_then(|target| target.rsplit_once('.')) {
        Some(("AmazonSQS", operation)) => vec![(format!("sqs:{operation}"), queue(&body()))],
        Some((_, "TransactWriteItems")) => parts(&body()),
        Some((_, operation)) => vec![(format!("dynamodb:{operation}"), table(&body()))],
        None => vec![object(request.method(), request.uri())],
    }
}

fn parts(transaction: &Value) -> Vec<(String, String)> {
    let items = transaction["TransactItems"].as_array().into_iter().flatten();
    let part = |kind: &String| match kind.as_str() {
        "ConditionCheck" => "dynamodb:ConditionCheckItem".to_owned(),
        kind => format!("dynamodb:{kind}Item"),
    };
    items.filter_map(|item| item.as_object()?.keys().next()).map(|kind| (part(kind), "table".to_owned())).collect()
}

fn table(body: &Value) -> String {
    body["IndexName"].as_str().map_or_else(|| "table".to_owned(), |index| format!("table/index/{index}"))
}

fn queue(body: &Value) -> String {
    let name = body["QueueUrl"].as_str().and_then(|url| url.rsplit('/').next());
    format!("queue/{}", name.unwrap_or_default())
}

/// Of `/bucket/folder/...`.
fn object(method: &str, uri: &str) -> (String, String) {
    let action = match method {
        "PUT" => "s3:PutObject",
        "DELETE" => "s3:DeleteObject",
        _ => "s3:GetObject",
    };
    let path = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    (action.to_owned(), format!("bucket/{}", path.split('/').nth(2).unwrap_or_default()))
}
