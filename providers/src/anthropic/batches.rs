//! Anthropic's Message Batches API.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared::model::clock::Timestamp;
use shared::model::provider::{Endpoint, Failure};
use shared::model::provider_batch::{BatchState, EndedBatch, NewBatch, ProviderBatches, RequestEnd};

use super::Anthropic;
use crate::answer::to_bytes;
use crate::http::{self, Method, Sent};

const CONNECT: Duration = Duration::from_secs(10);
const PATH: &str = "/messages/batches";

#[derive(Serialize)]
struct Create<'a> {
    requests: Vec<Request<'a>>,
}

#[derive(Serialize)]
struct Request<'a> {
    custom_id: &'a str,
    params: &'a RawValue,
}

#[derive(Deserialize)]
struct Batch {
    id: String,
    #[serde(default)]
    processing_status: String,
}

/// A line of the results.
#[derive(Deserialize)]
struct ResultLine {
    custom_id: String,
    result: RequestResult,
}

/// A request that has neither was canceled, or expired.
#[derive(Deserialize)]
struct RequestResult {
    #[serde(default)]
    message: Option<Box<RawValue>>,
    #[serde(default)]
    error: Option<Box<RawValue>>,
}

/// The body of an error.
#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorType,
}

#[derive(Deserialize)]
struct ErrorType {
    #[serde(rename = "type")]
    kind: String,
}

impl From<ResultLine> for RequestEnd {
    fn from(line: ResultLine) -> Self {
        let text = |json: Box<RawValue>| Bytes::from(String::from(Box::from(json)));
        let RequestResult { message, error } = line.result;
        let failed = error.map(|error| (status_of(&error), text(error)));
        let answer = message.map(|message| (200, text(message))).or(failed);
        Self { id: line.custom_id, answer }
    }
}

/// The status that the error of a call has.
fn status_of(error: &RawValue) -> u16 {
    let kind = serde_json::from_str(error.get()).map(|ErrorBody { error }| error.kind).unwrap_or_default();
    match kind.as_str() {
        "invalid_request_error" => 400,
        "authentication_error" => 401,
        "billing_error" => 402,
        "permission_error" => 403,
        "not_found_error" => 404,
        "request_too_large" => 413,
        "rate_limit_error" => 429,
        "timeout_error" => 504,
        "overloaded_error" => 529,
        _ => 500,
    }
}

fn read<'de, T: Deserialize<'de>>(json: &'de [u8]) -> Result<T, Failure> {
    let malformed = |error| Failure::Malformed(format!("its batches are not Anthropic's: {error}"));
    serde_json::from_slice(json).map_err(malformed)
}

impl Anthropic {
    async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, Failure> {
        let sent = Sent { method, path, headers: &[], body, connect: CONNECT, traceparent: None };
        http::whole(self.http.send(&self.server, &sent).await?).await
    }
}

#[async_trait]
impl ProviderBatches for Anthropic {
    async fn submit(&self, batch: &NewBatch) -> Result<String, Failure> {
        if batch.path != Endpoint::Messages.path() {
            let what = format!("Anthropic has no batches of {}", batch.path);
            return Err(Failure::Unsupported { what, param: None });
        }
        let requests = batch.requests.iter().map(|(id, body)| Ok(Request { custom_id: id, params: read(body)? }));
        let body = to_bytes(&Create { requests: requests.collect::<Result<_, Failure>>()? });
        let made: Batch = read(&self.ask(Method::POST, PATH, body).await?)?;
        Ok(made.id)
    }

    fn can_find(&self) -> bool {
        false
    }

    async fn find(&self, _: &str, _: Timestamp) -> Result<Option<String>, Failure> {
        // Anthropic's batches have no metadata, and their requests are told only with their results.
        Err(Failure::Unsupported { what: "Anthropic's batches cannot be found by a name".to_owned(), param: None })
    }

    async fn state(&self, id: &str) -> Result<BatchState, Failure> {
        let batch: Batch = read(&self.ask(Method::GET, &format!("{PATH}/{id}"), Bytes::new()).await?)?;
        Ok(match batch.processing_status.as_str() {
            "ended" => BatchState::Ended(EndedBatch { id: batch.id, ..EndedBatch::default() }),
            _ => BatchState::Running,
        })
    }

    async fn cancel(&self, id: &str) -> Result<(), Failure> {
        self.ask(Method::POST, &format!("{PATH}/{id}/cancel"), Bytes::new()).await.map(drop)
    }

    async fn results(&self, ended: &EndedBatch) -> Result<BoxStream<'static, Result<RequestEnd, Failure>>, Failure> {
        // The answer names a URL, too. The key goes to no other server than the configured one.
        let path = format!("{PATH}/{}/results", ended.id);
        let sent = Sent {
            method: Method::GET,
            path: &path,
            headers: &[],
            body: Bytes::new(),
            connect: CONNECT,
            traceparent: None,
        };
        let lines = http::json_lines(self.http.send(&self.server, &sent).await?);
        Ok(lines.and_then(async |line| read::<ResultLine>(line.as_bytes()).map(RequestEnd::from)).boxed())
    }

    async fn delete(&self, ended: &EndedBatch) -> Result<(), Failure> {
        self.ask(Method::DELETE, &format!("{PATH}/{}", ended.id), Bytes::new()).await.map(drop)
    }
}
