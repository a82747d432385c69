//! OpenAI's Batch API, which Groq, Together and others have, too.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use shared::model::clock::Timestamp;
use shared::model::form::{Upload, Uploads};
use shared::model::object::Object;
use shared::model::provider::Failure;
use shared::model::provider_batch::{BatchRefusal, BatchState, EndedBatch, NewBatch, ProviderBatches, RequestEnd};

use super::{OpenAi, form};
use crate::answer::to_bytes;
use crate::http::{self, Method, Sent};

const CONNECT: Duration = Duration::from_secs(10);
/// The member of a batch's metadata that has its tag.
const TAG: &str = "weir_tag";
/// Batches of a page, and the most pages that are looked through for one whose submission had no answer. The newest are first.
const PAGE: usize = 100;
const PAGES: usize = 50;
/// By how much the provider's clock may be behind, in seconds.
const SKEW: u64 = 300;
/// A file that was just uploaded may be unknown for a moment: the waits before the batch is tried again.
const RETRIES: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

/// A line of the file with requests.
#[derive(Serialize)]
struct Line<'a> {
    custom_id: &'a str,
    method: &'static str,
    url: &'a str,
    body: &'a RawValue,
}

#[derive(Deserialize)]
struct Batch {
    id: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    input_file_id: Option<String>,
    #[serde(default)]
    output_file_id: Option<String>,
    #[serde(default)]
    error_file_id: Option<String>,
    #[serde(default)]
    errors: Value,
    #[serde(default)]
    metadata: Value,
    #[serde(default)]
    created_at: u64,
}

#[derive(Deserialize)]
struct Page {
    data: Vec<Batch>,
    #[serde(default)]
    has_more: bool,
}

/// A line of a file with results.
#[derive(Deserialize)]
struct ResultLine {
    custom_id: String,
    #[serde(default)]
    response: Option<Answered>,
    #[serde(default)]
    error: Value,
}

#[derive(Deserialize)]
struct Answered {
    status_code: u16,
    body: Box<RawValue>,
}

impl Batch {
    fn state(self) -> BatchState {
        let is_over = matches!(self.status.as_str(), "completed" | "expired" | "cancelled");
        if self.status == "failed" {
            return BatchState::Refused(BatchRefusal { input: self.input_file_id, ..refusal(&self.errors) });
        }
        if !is_over {
            return BatchState::Running;
        }
        let results = [self.output_file_id, self.error_file_id].into_iter().flatten().collect();
        BatchState::Ended(EndedBatch { id: self.id, results, input: self.input_file_id })
    }
}

/// Why a batch has failed: its file was not taken.
fn refusal(errors: &Value) -> BatchRefusal {
    let first = &errors["data"][0];
    let code = first["code"].as_str().unwrap_or("unknown");
    // The provider has too many tokens waiting. Its message names the operator's account.
    BatchRefusal { is_full: code == "token_limit_exceeded", reason: code.to_owned(), input: None }
}

impl TryFrom<ResultLine> for RequestEnd {
    type Error = Failure;

    fn try_from(line: ResultLine) -> Result<Self, Failure> {
        let answer = match (line.response, &line.error) {
            (Some(Answered { status_code, body }), _) => {
                Some((status_code, Bytes::from(String::from(Box::from(body)))))
            }
            (None, error) if matches!(error["code"].as_str(), Some("batch_expired" | "batch_cancelled")) => None,
            // It may have been run: its error is that of a call.
            (None, error) => Some((500, to_bytes(&json!({"error": error})))),
        };
        Ok(Self { id: line.custom_id, answer })
    }
}

fn download(path: &str) -> Sent<'_> {
    Sent { method: Method::GET, path, headers: &[], body: Bytes::new(), connect: CONNECT, traceparent: None }
}

fn read<'de, T: Deserialize<'de>>(json: &'de [u8]) -> Result<T, Failure> {
    serde_json::from_slice(json).map_err(|error| Failure::Malformed(format!("its batches are not OpenAI's: {error}")))
}

impl OpenAi {
    async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, Failure> {
        let sent = Sent { method, path, headers: &[], body, connect: CONNECT, traceparent: None };
        http::whole(self.http.send(&self.server, &sent).await?).await
    }

    /// Uploads the file with the requests. Returns its id.
    async fn upload(&self, batch: &NewBatch) -> Result<String, Failure> {
        let url = format!("/v1{}", batch.path);
        let mut lines = BytesMut::new();
        for (id, body) in &batch.requests {
            let body: &RawValue = read(body)?;
            let line = Line { custom_id: id, method: "POST", url: &url, body };
            lines.put_slice(&to_bytes(&line));
            lines.put_u8(b'\n');
        }
        let content_type = Some("application/jsonl".to_owned());
        let file = Upload {
            field: "file".to_owned(),
            name: format!("{}.jsonl", batch.tag),
            content_type,
            bytes: lines.freeze(),
        };
        let form = form::write(&Object::default().with("purpose", &"batch"), &Uploads::from(vec![file]));
        let headers = [("content-type", form.content_type)];
        let sent = Sent {
            method: Method::POST,
            path: "/files",
            headers: &headers,
            body: form.body,
            connect: CONNECT,
            traceparent: None,
        };
        let answer = http::whole(self.http.send(&self.server, &sent).await.map_err(not_begun)?).await;
        let file: Batch = read(&answer.map_err(not_begun)?)?;
        Ok(file.id)
    }
}

/// A failure before the batch was made: nothing can be billed.
fn not_begun(failure: Failure) -> Failure {
    match failure {
        Failure::Interrupted(cause) => Failure::Unreachable(cause),
        Failure::Unavailable { .. } | Failure::Malformed(_) => Failure::Unreachable(failure.summary().into()),
        other => other,
    }
}

#[async_trait]
impl ProviderBatches for OpenAi {
    async fn submit(&self, batch: &NewBatch) -> Result<String, Failure> {
        let file = self.upload(batch).await?;
        let made = json!({
            "input_file_id": file,
            "endpoint": format!("/v1{}", batch.path),
            "completion_window": "24h",
            "metadata": {TAG: batch.tag},
        });
        let made = to_bytes(&made);
        let mut answer = self.ask(Method::POST, "/batches", made.clone()).await;
        for wait in RETRIES {
            if !matches!(answer, Err(Failure::Refused { status: 400 | 404, .. })) {
                break;
            }
            tokio::time::sleep(wait).await;
            answer = self.ask(Method::POST, "/batches", made.clone()).await;
        }
        if let Err(Failure::Refused { .. } | Failure::Throttled { .. }) = &answer {
            self.forget(&file).await;
        }
        Ok(read::<Batch>(&answer?)?.id)
    }

    fn can_find(&self) -> bool {
        true
    }

    async fn find(&self, tag: &str, since: Timestamp) -> Result<Option<String>, Failure> {
        let mut after = String::new();
        for _ in 0..PAGES {
            let page = self.ask(Method::GET, &format!("/batches?limit={PAGE}{after}"), Bytes::new()).await?;
            let page: Page = read(&page)?;
            if let Some(batch) = page.data.iter().find(|batch| batch.metadata[TAG] == tag) {
                return Ok(Some(batch.id.clone()));
            }
            let is_older = |batch: &&Batch| batch.created_at + SKEW < since.seconds();
            match page.data.last().filter(|_| page.has_more).filter(|last| !is_older(last)) {
                Some(last) => after = format!("&after={}", last.id),
                None => return Ok(None),
            }
        }
        // It may be among those that were not looked at.
        Err(Failure::Malformed(format!("its list has more than {} newer batches", PAGE * PAGES)))
    }

    async fn state(&self, id: &str) -> Result<BatchState, Failure> {
        let batch: Batch = read(&self.ask(Method::GET, &format!("/batches/{id}"), Bytes::new()).await?)?;
        Ok(batch.state())
    }

    async fn cancel(&self, id: &str) -> Result<(), Failure> {
        self.ask(Method::POST, &format!("/batches/{id}/cancel"), Bytes::new()).await.map(drop)
    }

    async fn results(&self, ended: &EndedBatch) -> Result<BoxStream<'static, Result<RequestEnd, Failure>>, Failure> {
        let mut lines: BoxStream<'static, Result<String, Failure>> = stream::empty().boxed();
        // The first file is opened now, so that its absence is an error of this call; the next one, when this one is read.
        for (n, file) in ended.results.iter().enumerate() {
            let (path, server, http) = (format!("/files/{file}/content"), self.server.clone(), Arc::clone(&self.http));
            let open = async move { http.send(&server, &download(&path)).await.map(http::json_lines) };
            let next = match n {
                0 => open.await?,
                _ => stream::once(open).try_flatten().boxed(),
            };
            lines = lines.chain(next).boxed();
        }
        Ok(lines.and_then(async |line| read::<ResultLine>(line.as_bytes())?.try_into()).boxed())
    }

    async fn delete(&self, ended: &EndedBatch) -> Result<(), Failure> {
        for file in ended.results.iter().chain(&ended.input) {
            self.ask(Method::DELETE, &format!("/files/{file}"), Bytes::new()).await?;
        }
        Ok(())
    }
}

impl OpenAi {
    /// Deletes a file that no batch has.
    async fn forget(&self, file: &str) {
        if let Err(failure) = self.ask(Method::DELETE, &format!("/files/{file}"), Bytes::new()).await {
            tracing::warn!(error = failure.summary(), "file of a refused batch not deleted at the provider");
        }
    }
}
