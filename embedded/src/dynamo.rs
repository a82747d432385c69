//! Answers the SDK's requests with the embedded DynamoDB engine.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use dynoxide::Database;
use dynoxide::errors::DynoxideError;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{NowMs, OpenError, folder, schema};

/// An engine in memory, with the table.
pub(crate) fn in_memory(now: NowMs) -> Result<Database, OpenError> {
    let database = Database::memory_with_clock(Arc::new(EngineClock(now))).map_err(|error| failure(&error))?;
    create_table(&database)?;
    Ok(database)
}

/// The engine of a file, with the table.
///
/// A new file is made under another name, because a process may be killed between the table and its index. The next start
/// makes it again.
pub(crate) fn in_file(path: &Path) -> Result<Database, OpenError> {
    if !path.exists() {
        let unfinished = path.with_extension("unfinished");
        for leftover in with_logs(&unfinished) {
            remove(&leftover)?;
        }
        create_table(&open(&unfinished)?)?;
        std::fs::rename(&unfinished, path).map_err(folder("name", path))?;
    }
    open(path)
}

/// A database file and the two files with what `SQLite` has not moved into it yet.
fn with_logs(path: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|end| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        name.into()
    })
}

fn remove(path: &Path) -> Result<(), OpenError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(folder("delete", path)(error)),
        _ => Ok(()),
    }
}

fn open(path: &Path) -> Result<Database, OpenError> {
    Database::new(&uri(path))
        .map_err(|error| OpenError::Database { path: path.to_owned(), source: error.to_string().into() })
}

/// The address of a file that no other process may open meanwhile. A tool that locks the file would stop every call.
fn uri(path: &Path) -> String {
    let path = path.to_string_lossy();
    if !cfg!(unix) {
        return path.into_owned();
    }
    format!("file:{}?vfs=unix-excl", utf8_percent_encode(&path, IN_PATHS))
}

/// What has a meaning in an address, and what is no ASCII character.
const IN_PATHS: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b'?').add(b'#');

/// Creates the table of an engine that has none.
fn create_table(database: &Database) -> Result<(), OpenError> {
    for (operation, request) in schema::requests() {
        dispatch(database, operation, request.to_string().as_bytes()).map_err(|error| failure(&error))?;
    }
    Ok(())
}

/// Serves an engine in memory over HTTP until the process ends. Benchmarks use it to put the store into another process.
///
/// # Errors
/// If the engine does not open or the listener fails.
pub async fn serve_dynamo(listener: tokio::net::TcpListener, now: NowMs) -> Result<(), OpenError> {
    let database = in_memory(now)?;
    let served = dynoxide::server::serve_with_shutdown(listener, database, std::future::pending()).await;
    served.map_err(|reason| OpenError::Engine { engine: "DynamoDB", source: reason.into() })
}

pub(crate) fn failure(error: &DynoxideError) -> OpenError {
    OpenError::Engine { engine: "DynamoDB", source: error.to_string().into() }
}

pub(crate) fn connector(database: Database) -> SharedHttpConnector {
    SharedHttpConnector::new(Engine(database))
}

/// The clock by which items in memory expire. The engine has one of its own for files.
struct EngineClock(NowMs);

impl dynoxide::storage_backend::Clock for EngineClock {
    fn now_unix_secs(&self) -> u64 {
        (self.0)() / 1_000
    }

    fn now_unix_secs_f64(&self) -> f64 {
        Duration::from_millis((self.0)()).as_secs_f64()
    }
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
