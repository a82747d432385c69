//! The answer to an invocation while it arrives: JSON, or a prelude, eight zero bytes and the chunks of a body.

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

/// The bytes that end the prelude of a streamed answer.
const DELIMITER: [u8; 8] = [0; 8];

/// An answer while it arrives. To drop it is to be a client that left: Lambda reads the rest and discards it.
pub struct Answer {
    headers: HeaderMap,
    parts: mpsc::UnboundedReceiver<Part>,
    verdict: oneshot::Sender<Verdict>,
    /// The part of the body that arrived together with the prelude.
    early: VecDeque<Chunk>,
    trailers: HeaderMap,
}

/// A chunk of a body, and the time at which it arrived.
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
    /// The trailers in which a runtime reports that a stream broke off. Without a break there are none.
    pub trailers: HeaderMap,
}

impl Whole {
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns a header, or an empty text if it is missing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Answer {
    /// Accepts an answer that is no error.
    ///
    /// # Errors
    /// [`Failure::Invocation`] with the text of the error, if the function posted one.
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

    /// Waits for status and headers of a streamed answer. Must be called before the body is read.
    ///
    /// # Errors
    /// [`Failure::Malformed`] if the answer has no prelude.
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
                return parse_prelude(&head[..end]);
            }
        }
    }

    /// Waits for the next chunk of the body; `None` at its end. The function learns that its answer was accepted only
    /// from [`Answer::accept`], or when the answer is dropped.
    ///
    /// # Errors
    /// [`Failure::Malformed`] if the function breaks off.
    pub async fn chunk(&mut self) -> Result<Option<Chunk>, Failure> {
        match self.early.pop_front() {
            Some(chunk) => Ok(Some(chunk)),
            None => self.next_part().await,
        }
    }

    /// Reads the rest of the body.
    ///
    /// # Errors
    /// [`Failure::Malformed`] if the function breaks off.
    pub async fn rest(&mut self) -> Result<Bytes, Failure> {
        let mut rest = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            rest.extend_from_slice(&chunk.bytes);
        }
        Ok(rest.freeze())
    }

    /// Answers the function with 202, as Lambda does.
    pub fn accept(self) {
        let _ = self.verdict.send(Verdict::Accept);
    }

    /// Breaks the connection on which the answer arrives.
    pub fn cut(self) {
        let _ = self.verdict.send(Verdict::Cut);
    }

    /// Reads the whole answer of a worker or a timer.
    ///
    /// # Errors
    /// [`Failure::Malformed`] if it is not JSON, or breaks off.
    pub async fn json(mut self) -> Result<Value, Failure> {
        let body = self.rest().await?;
        self.accept();
        serde_json::from_slice(&body).map_err(|error| Failure::Malformed(error.to_string()))
    }

    /// Reads the whole answer of a function that serves requests, streamed or not.
    ///
    /// # Errors
    /// [`Failure::Malformed`] if it is no such answer, or breaks off.
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
        parse_buffered(&body)
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

fn parse_prelude(json: &[u8]) -> Result<Prelude, Failure> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Wire {
        status_code: u16,
        headers: serde_json::Map<String, Value>,
    }
    let wire: Wire = serde_json::from_slice(json).map_err(|error| Failure::Malformed(error.to_string()))?;
    Ok(Prelude { status: wire.status_code, headers: parse_headers(&wire.headers) })
}

fn parse_buffered(json: &[u8]) -> Result<Whole, Failure> {
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
    let headers = parse_headers(&wire.multi_value_headers);
    Ok(Whole { is_streamed: false, status: wire.status_code, headers, body, trailers: HeaderMap::new() })
}

/// Reads headers, whose values are texts or lists of texts.
fn parse_headers(wire: &serde_json::Map<String, Value>) -> HeaderMap {
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
