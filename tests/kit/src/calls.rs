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
    /// `table`, `table/index/due`, `queue/respond`; `bucket/bodies` for an object there, `bucket/bodies/day/*/uploads` for one in a folder
    /// with a name, whatever its project; `list/` and the same for the prefix of a list.
    pub resource: String,
}

/// A write of one function to an item of the table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableWrite {
    pub function: String,
    /// As policies name it: `dynamodb:UpdateItem`.
    pub action: String,
    /// The partition key, which policies know as `dynamodb:LeadingKeys`.
    pub partition: String,
}

/// The calls that were made, each kind once, and the writes to the table among them.
#[derive(Clone, Default)]
pub struct AwsCalls(Arc<Mutex<Made>>);

#[derive(Default)]
struct Made {
    calls: BTreeSet<AwsCall>,
    writes: BTreeSet<TableWrite>,
}

impl AwsCalls {
    #[must_use]
    pub fn all(&self) -> BTreeSet<AwsCall> {
        self.0.lock().unwrap().calls.clone()
    }

    #[must_use]
    pub fn table_writes(&self) -> BTreeSet<TableWrite> {
        self.0.lock().unwrap().writes.clone()
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
        let write = |(action, partition)| TableWrite { function: self.function.clone(), action, partition };
        let (asked, written) = (asked(&request), written(&request));
        let mut made = self.calls.0.lock().unwrap();
        made.calls.extend(asked.into_iter().map(call));
        made.writes.extend(written.into_iter().map(write));
        drop(made);
        self.inner.call(request)
    }
}

/// Service and operation of a request, which one of S3 does not name.
fn target(request: &HttpRequest) -> Option<(&str, &str)> {
    request.headers().get("x-amz-target")?.rsplit_once('.')
}

fn body(request: &HttpRequest) -> Value {
    serde_json::from_slice(request.body().bytes().unwrap_or_default()).unwrap_or_default()
}

/// Action and resource of a request. A transaction has one pair for each of its parts, because policies name the parts.
fn asked(request: &HttpRequest) -> Vec<(String, String)> {
    match target(request) {
        Some(("AmazonSQS", operation)) => vec![(format!("sqs:{operation}"), queue(&body(request)))],
        Some((_, "TransactWriteItems")) => {
            parts(&body(request)).into_iter().map(|(action, _)| (action, "table".to_owned())).collect()
        }
        Some((_, operation)) => vec![(format!("dynamodb:{operation}"), table(&body(request)))],
        None => vec![object(request.method(), request.uri())],
    }
}

/// Action and partition of each write to the table.
///
/// # Panics
/// If a request writes in a way that is not known here, such as in batches.
fn written(request: &HttpRequest) -> Vec<(String, String)> {
    const READS: [&str; 6] = ["BatchGetItem", "GetItem", "Query", "Scan", "SearchVectors", "TransactGetItems"];
    let Some((service, operation)) = target(request) else { return Vec::new() };
    match operation {
        _ if service == "AmazonSQS" || READS.contains(&operation) => Vec::new(),
        "TransactWriteItems" => {
            let parts = parts(&body(request)).into_iter();
            let writes = parts.filter(|(action, _)| action != "dynamodb:ConditionCheckItem");
            writes.map(|(action, part)| (action, partition(&part))).collect()
        }
        "PutItem" | "UpdateItem" | "DeleteItem" => {
            vec![(format!("dynamodb:{operation}"), partition(&body(request)))]
        }
        other => panic!("{other} is neither a known read nor a known write"),
    }
}

/// The action of each part of a transaction, and the part.
fn parts(transaction: &Value) -> Vec<(String, Value)> {
    let action = |kind: &str| match kind {
        "ConditionCheck" => "dynamodb:ConditionCheckItem".to_owned(),
        kind => format!("dynamodb:{kind}Item"),
    };
    let items = transaction["TransactItems"].as_array().into_iter().flatten();
    let parts = items.filter_map(|item| item.as_object()?.iter().next());
    parts.map(|(kind, part)| (action(kind), part.clone())).collect()
}

/// The partition key of the item that is written.
fn partition(write: &Value) -> String {
    let key = [&write["Key"], &write["Item"]].into_iter().find_map(|key| key["pk"]["S"].as_str());
    key.unwrap_or_else(|| panic!("{write} writes no item with a `pk`")).to_owned()
}

fn table(body: &Value) -> String {
    body["IndexName"].as_str().map_or_else(|| "table".to_owned(), |index| format!("table/index/{index}"))
}

fn queue(body: &Value) -> String {
    let name = body["QueueUrl"].as_str().and_then(|url| url.rsplit('/').next());
    format!("queue/{}", name.unwrap_or_default())
}

/// Of `/bucket/folder/...`; a list is of `/bucket/?list-type=2&prefix=...`.
fn object(method: &str, uri: &str) -> (String, String) {
    let path = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let path = path.splitn(3, '/').nth(2).unwrap_or_default();
    if let Some(query) = path.split_once("list-type=2").map(|_| path) {
        let prefix = query.split(['?', '&']).find_map(|pair| pair.strip_prefix("prefix=")).unwrap_or_default();
        return ("s3:ListBucket".to_owned(), format!("list/{}", folder(&prefix.replace("%2F", "/"))));
    }
    let action = match method {
        // The parts of an upload, its begin and its completion need what a whole object needs.
        "DELETE" if uri.contains("uploadId=") => "s3:AbortMultipartUpload",
        "PUT" | "POST" => "s3:PutObject",
        "DELETE" => "s3:DeleteObject",
        _ => "s3:GetObject",
    };
    (action.to_owned(), format!("bucket/{}", folder(path.split('?').next().unwrap_or_default())))
}

/// The folder of a key as a policy can name it: up to the name that comes after the project, if one does; else the first folder.
fn folder(key: &str) -> String {
    const NAMED: [&str; 3] = ["batches", "files", "uploads"];
    let segments: Vec<&str> = key.split('/').collect();
    match segments.iter().position(|segment| NAMED.contains(segment)) {
        Some(at) if at > 1 => format!("{}/*/{}", segments[..at - 1].join("/"), segments[at]),
        _ => segments[0].to_owned(),
    }
}
