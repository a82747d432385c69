//! Streams: events go to the client as they come, and are kept for those who follow or replay them.

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use serde_json::value::RawValue;
use tokio::time::{Duration, Instant};

use super::answer::{Answer, ResponseSender};
use super::bound;
use super::dispatch::ErrorChain;
use super::gateway::Gateway;
use super::idempotency::finished;
use super::run::{Job, Running};
use crate::data::Finished;
use crate::dialects::openai_chat::LEGACY_MAX_TOKENS;
use crate::model::object::Object;
use crate::model::provider::{Endpoint, Event, Failure};
use crate::model::tokens::Usage;

pub(super) const CONTENT_TYPE: &str = "text/event-stream; charset=utf-8";

/// How often what came is written for those who follow.
const PART_EVERY: Duration = Duration::from_secs(1);
/// A part is written earlier when it has this size.
const PART_BYTES: usize = 64 * 1024;
/// An item of the table holds 400 KB.
const MAX_PART_BYTES: usize = 350 * 1024;

/// The body for the provider: the caller's, with the limit that it is to be told. `budgeted`: whether a budget pays.
pub(super) fn prepared_body(job: &Job, budgeted: bool) -> Object {
    let mut body = job.request.body.object.clone();
    if job.request.endpoint == Endpoint::Completions && body.get::<u64>("max_tokens").is_none() {
        body.set("max_tokens", &LEGACY_MAX_TOKENS);
    }
    let policy = &job.caller.project.policy;
    bound::limited(body, bound::limit_to_send(&job.request.body, &job.model, policy, budgeted))
}

/// An SSE event that every client takes for an error: Python looks for the `error` key, Node also for the event's name.
pub(super) fn error_event(message: &str) -> Bytes {
    let error = serde_json::json!({
        "error": {"message": message, "type": "server_error", "param": null, "code": "stream_interrupted"}
    });
    Bytes::from(format!("data: {error}\n\n"))
}

/// Carries a provider's stream to the client, the idempotency record, the cache and the books.
pub(super) struct StreamRelay<'a> {
    gateway: &'a Gateway,
    job: &'a Job,
    running: Running,
    sender: ResponseSender,
    usage: Option<Usage>,
    /// Bytes of chunks that came: bounds the output where the provider does not count it.
    received: u64,
    /// Everything sent, if it goes into the cache.
    copy: Option<BytesMut>,
    /// What has not been written as a part yet, if somebody may follow.
    pending: BytesMut,
    /// Byte of the stream that `pending` begins with.
    pending_at: u64,
    parts: u32,
    last_part: Instant,
    part_failed: bool,
}

impl<'a> StreamRelay<'a> {
    pub(super) fn new(gateway: &'a Gateway, job: &'a Job, running: Running, sender: ResponseSender) -> Self {
        Self {
            gateway,
            job,
            running,
            sender,
            usage: None,
            received: 0,
            copy: job.cache.as_ref().map(|_| BytesMut::new()),
            pending: BytesMut::new(),
            pending_at: 0,
            parts: 0,
            last_part: Instant::now(),
            part_failed: false,
        }
    }

    /// Runs the stream to its end, then closes the books, then lets the body end.
    pub(super) async fn run(mut self, mut events: BoxStream<'static, Result<Event, Failure>>) {
        self.sender.begin(Answer::head(200, CONTENT_TYPE, None, self.running.facts.clone()));
        let mut failure = None;
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => self.forward(event).await,
                Err(error) => failure = Some(error),
            }
        }
        let last = match &failure {
            None => Bytes::from_static(b"data: [DONE]\n\n"),
            Some(failure) => {
                tracing::warn!(error = failure.summary(), "stream broke after it had begun");
                error_event(&format!("The stream was interrupted: {failure}. Send the request again."))
            }
        };
        self.emit(last).await;
        self.sender.let_go().await;
        self.close(failure.is_some()).await;
    }

    async fn forward(&mut self, event: Event) {
        self.received += event.data.len() as u64;
        if let Some(usage) = event.usage {
            self.usage = Some(usage);
        }
        if let Some(chunk) = self.shaped(event) {
            let mut line = BytesMut::with_capacity(chunk.len() + 8);
            line.extend_from_slice(b"data: ");
            line.extend_from_slice(&chunk);
            line.extend_from_slice(b"\n\n");
            self.emit(line.freeze()).await;
        }
    }

    /// The chunk as this client gets it: with the cost in its usage, or without usage if it asked for none.
    fn shaped(&self, event: Event) -> Option<Bytes> {
        let wanted = self.job.request.body.include_usage;
        if wanted && event.usage.is_none() {
            return Some(event.data);
        }
        // Providers are always asked for usage; most chunks then say `"usage":null`.
        let Ok(mut chunk) = Object::parse(&event.data) else { return Some(event.data) };
        match event.usage {
            Some(usage) if wanted => {
                let mut counted = chunk.get::<Object>("usage").unwrap_or_default();
                let dollars = self.job.cost(&usage).to_string();
                if let Ok(cost) = RawValue::from_string(dollars) {
                    counted.set_raw("cost", cost);
                }
                chunk.set("usage", &counted);
            }
            Some(_) if chunk.text("choices").is_none_or(|choices| choices == "[]") => return None,
            _ => {
                if !chunk.remove("usage") {
                    return Some(event.data);
                }
            }
        }
        Some(chunk.to_bytes())
    }

    async fn emit(&mut self, line: Bytes) {
        if let Some(copy) = &mut self.copy {
            copy.extend_from_slice(&line);
        }
        if self.running.lease.is_some() {
            self.pending.extend_from_slice(&line);
        }
        self.sender.send(line).await;
        let large = self.pending.len() >= PART_BYTES && !self.part_failed;
        let due = large || self.last_part.elapsed() >= PART_EVERY;
        // What the table could not take for so long goes with the end.
        if due && (1..=MAX_PART_BYTES).contains(&self.pending.len()) {
            self.write_part().await;
        }
    }

    /// Writes what came since the last part. If that fails it is written again with the next one, which says where it
    /// begins, because the failed one may be there all the same.
    async fn write_part(&mut self) {
        let Some(lease) = &self.running.lease else { return };
        self.last_part = Instant::now();
        let part = Bytes::copy_from_slice(&self.pending);
        let expires_at = self.gateway.clock.now().seconds() + 2 * 86_400;
        let written = self.gateway.stores.put_part(lease, self.parts, self.pending_at, &part, expires_at).await;
        self.parts += 1;
        self.part_failed = written.is_err();
        match written {
            Ok(()) => {
                self.pending_at += part.len() as u64;
                self.pending.clear();
            }
            Err(error) => tracing::warn!(error = %ErrorChain(&error), "part of a stream not written yet"),
        }
    }

    async fn close(self, failed: bool) {
        let Self { gateway, job, running, sender, usage, received, copy, pending, pending_at, .. } = self;
        // A stream that broke, or whose provider does not count, is charged at what it may have used at most.
        let usage = usage.unwrap_or_else(|| Usage {
            input: job.bound.input,
            output: received.min(job.bound.output),
            ..Usage::default()
        });
        let end = Finished { tail_at: pending_at, ..finished(200, CONTENT_TYPE, pending.freeze()) };
        let cached = async {
            if let (Some(copy), false) = (copy, failed) {
                gateway.keep_cached(job, CONTENT_TYPE, copy.freeze()).await;
            }
        };
        tokio::join!(
            gateway.close(job, &running, usage, failed),
            gateway.conclude(running.lease.as_ref(), !failed, end),
            cached,
        );
        drop(sender); // Ends the body: nothing of this call is left to do.
    }
}
