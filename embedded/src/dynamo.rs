//! Answers the SDK's requests with the embedded DynamoDB engine.

use std::fmt;
use std::path::Path;

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use dynoxide::Database;
use dynoxide::errors::DynoxideError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::OpenError;

pub(crate) fn in_memory() -> Result<SharedHttpConnector, OpenError> {
    Ok(connector(Database::memory().map_err(open_error)?))
}

pub(crate) fn in_file(path: &Path) -> Result<SharedHttpConnector, OpenError> {
    Ok(connector(Database::new(&path.to_string_lossy()).map_err(open_error)?))
}

/// Serves an in-memory engine over HTTP until the process ends. Benchmarks use it to put the store into another
/// process.
///
/// # Errors
/// If the engine does not open or the listener fails.
pub async fn serve_dynamo(listener: tokio::net::TcpListener) -> Result<(), OpenError> {
    let database = Database::memory().map_err(open_error)?;
    let served = dynoxide::server::serve_with_shutdown(listener, database, std::future::pending()).await;
    served.map_err(|reason| OpenError::Engine { engine: "DynamoDB", source: reason.into() })
}

fn open_error(source: DynoxideError) -> OpenError {
    OpenError::Engine { engine: "DynamoDB", source: source.to_string().into() }
}

fn connector(database: Database) -> SharedHttpConnector {
    SharedHttpConnector::new(Engine(database))
}

struct Engine(Database);

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("embedded DynamoDB")
    }
}

impl HttpConnector for Engine {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit_once('.').map_or(target, |(_, operation)| operation);
        let Some(body) = request.body().bytes() else {
            let streamed = ConnectorError::user("the embedded DynamoDB takes no streamed body".into());
            return HttpConnectorFuture::ready(Err(streamed));
        };
        let (status, json) = match dispatch(&self.0, operation, body) {
            Ok(json) => (200, json),
            Err(error) => (error.status_code(), error.to_json()),
        };
        HttpConnectorFuture::ready(respond(status, json))
    }
}

fn respond(status: u16, json: String) -> Result<HttpResponse, ConnectorError> {
    let status = status.try_into().map_err(|error| ConnectorError::other(Box::new(error), None))?;
    let mut response = HttpResponse::new(status, SdkBody::from(json));
    response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
    Ok(response)
}

/// The operations that weir uses. The engine has more.
fn dispatch(database: &Database, operation: &str, body: &[u8]) -> Result<String, DynoxideError> {
    match operation {
        "GetItem" => run(body, |request| database.get_item(request)),
        "PutItem" => run(body, |request| database.put_item(request)),
        "UpdateItem" => run(body, |request| database.update_item(request)),
        "DeleteItem" => run(body, |request| database.delete_item(request)),
        "Query" => run(body, |request| database.query(request)),
        "BatchGetItem" => run(body, |request| database.batch_get_item(request)),
        "TransactWriteItems" => run(body, |request| database.transact_write_items(request)),
        "SearchVectors" => run(body, |request| database.search_vectors(request)),
        "CreateTable" => run(body, |request| database.create_table(request)),
        "DescribeTable" => run(body, |request| database.describe_table(request)),
        "UpdateTimeToLive" => run(body, |request| database.update_time_to_live(request)),
        "Scan" => run(body, |request| database.scan(request)),
        other => Err(DynoxideError::ValidationException(format!("{other} is not wired in the embedded DynamoDB"))),
    }
}

fn run<Q, A>(body: &[u8], operation: impl FnOnce(Q) -> Result<A, DynoxideError>) -> Result<String, DynoxideError>
where
    Q: DeserializeOwned,
    A: Serialize,
{
    let request =
        serde_json::from_slice(body).map_err(|error| DynoxideError::SerializationException(error.to_string()))?;
    let answer = operation(request)?;
    serde_json::to_string(&answer).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}
