//! The answer to an invocation, as it comes: JSON, or a prelude, eight zeros and the chunks of a body.

use std::collections::VecDeque;
use std::time::Instant;

use base64::Engine as _;
use bytes::{Bytes, BytesMut};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::Failure;
use crate::api::{Part, Posted, Verdict};

/// What ends the prelude of a streamed answer.
const DELIMITER: [u8; 8] = [0; 8];

/// An answer on its way. Whoever drops it is a client that left: Lambda takes the rest, and nobody gets it.
pub struct Answer {
    headers: HeaderMap,
    parts: mpsc::UnboundedReceiver<Part>,
    verdict: oneshot::Sender<Verdict>,
    /// What came with the prelude.
    early: VecDeque<Chunk>,
    trailers: HeaderMap,
}

/// A part of a body, and when it was here.
#[derive(Debug, Clone)]
pub struct Chunk {
    pub at: Instant,
    pub bytes: Bytes,
}

/// Status and headers.
#[derive(Debug, Clone)]
pub struct Prelude {
    pub status: u16,
    pub headers: HeaderMap,
}

/// A whole answer of a function that serves requests.
#[derive(Debug, Clone)]
pub struct Whole {
    pub is_streamed: bool,
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// By which a runtime says that a stream broke off; none otherwise.
    pub trailers: HeaderMap,
}

impl Whole {
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header, or nothing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Answer {
    /// # Errors
    /// If it is an error; its text is read.
    pub(crate) async fn of(posted: Posted) -> Result<Self, Failure> {
        let Posted { is_error, headers, parts, verdict } = posted;
        let mut answer = Self { headers, parts, verdict, early: VecDeque::new(), trailers: HeaderMap::new() };
        if !is_error {
            return Ok(answer);
        }
        let text = answer.rest().await?;
        let _ = answer.verdict.send(Verdict::Accept);
        Err(Failure::Invocation(String::from_utf8_lossy(&text).into_owned()))
    }

    #[must_use]
    pub fn is_streamed(&self) -> bool {
        self.headers.get("lambda-runtime-function-response-mode").is_some_and(|mode| mode == "streaming")
    }

    /// Status and headers of a streamed answer, as soon as they are here. To be asked first.
    ///
    /// # Errors
    /// If it is no streamed answer.
    pub async fn prelude(&mut self) -> Result<Prelude, Failure> {
        let mut head = BytesMut::new();
        loop {
            let Some(chunk) = self.next_part().await? else {
                return Err(Failure::Malformed(format!("no prelude in {:?}", String::from_utf8_lossy(&head))));
            };
            head.extend_from_slice(&chunk.bytes);
            if let Some(end) = head.windows(DELIMITER.len()).position(|window| window == DELIMITER) {
                let bytes = head.split_off(end + DELIMITER.len()).freeze();
                if !bytes.is_empty() {
                    self.early.push_back(Chunk { bytes, ..chunk });
                }
                return prelude(&head[..end]);
            }
        }
    }

    /// The next chunk of the body; `None` at its end. The function is not told that its answer was taken before
    /// [`Answer::accept`] or the answer is dropped.
    ///
    /// # Errors
    /// If the function breaks off.
    pub async fn chunk(&mut self) -> Result<Option<Chunk>, Failure> {
        match self.early.pop_front() {
            Some(chunk) => Ok(Some(chunk)),
            None => self.next_part().await,
        }
    }

    /// What is left of the body.
    ///
    /// # Errors
    /// If the function breaks off.
    pub async fn rest(&mut self) -> Result<Bytes, Failure> {
        let mut rest = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            rest.extend_from_slice(&chunk.bytes);
        }
        Ok(rest.freeze())
    }

    /// Tells the function that its answer was taken.
    pub fn accept(self) {
        let _ = self.verdict.send(Verdict::Accept);
    }

    /// Breaks the connection on which the answer comes.
    pub fn cut(self) {
        let _ = self.verdict.send(Verdict::Cut);
    }

    /// The whole answer of a worker or a timer.
    ///
    /// # Errors
    /// If it is no JSON.
    pub async fn json(mut self) -> Result<Value, Failure> {
        let body = self.rest().await?;
        self.accept();
        serde_json::from_slice(&body).map_err(|error| Failure::Malformed(error.to_string()))
    }

    /// The whole answer of a function that serves requests, streamed or not.
    ///
    /// # Errors
    /// If it is none.
    pub async fn whole(mut self) -> Result<Whole, Failure> {
        if self.is_streamed() {
            let Prelude { status, headers } = self.prelude().await?;
            let body = self.rest().await?;
            let trailers = std::mem::take(&mut self.trailers);
            self.accept();
            return Ok(Whole { is_streamed: true, status, headers, body, trailers });
        }
        let body = self.rest().await?;
        self.accept();
        buffered(&body)
    }

    async fn next_part(&mut self) -> Result<Option<Chunk>, Failure> {
        loop {
            match self.parts.recv().await {
                None => return Ok(None),
                Some(Part::Data { at, bytes }) => return Ok(Some(Chunk { at, bytes })),
                Some(Part::Trailers(trailers)) => self.trailers = trailers,
                Some(Part::Broken(error)) => return Err(Failure::Malformed(format!("it broke off: {error}"))),
            }
        }
    }
}

fn prelude(json: &[u8]) -> Result<Prelude, Failure> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Wire {
        status_code: u16,
        headers: serde_json::Map<String, Value>,
    }
    let wire: Wire = serde_json::from_slice(json).map_err(|error| Failure::Malformed(error.to_string()))?;
    Ok(Prelude { status: wire.status_code, headers: headers(&wire.headers) })
}

fn buffered(json: &[u8]) -> Result<Whole, Failure> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Wire {
        status_code: u16,
        multi_value_headers: serde_json::Map<String, Value>,
        #[serde(default)]
        body: Option<String>,
        #[serde(default)]
        is_base64_encoded: bool,
    }
    let wire: Wire = serde_json::from_slice(json).map_err(|error| Failure::Malformed(error.to_string()))?;
    let text = wire.body.unwrap_or_default();
    let body = if wire.is_base64_encoded {
        let decoded = base64::engine::general_purpose::STANDARD.decode(&text);
        decoded.map_err(|error| Failure::Malformed(error.to_string()))?.into()
    } else {
        text.into()
    };
    let headers = headers(&wire.multi_value_headers);
    Ok(Whole { is_streamed: false, status: wire.status_code, headers, body, trailers: HeaderMap::new() })
}

/// Headers, whose values are texts or lists of texts.
fn headers(wire: &serde_json::Map<String, Value>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in wire {
        let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        for value in values.iter().filter_map(Value::as_str) {
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
                headers.append(name, value);
            }
        }
    }
    headers
}
