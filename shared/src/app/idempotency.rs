//! Idempotency: one key, one success; whoever comes while it runs waits for it or follows it.

use std::time::Duration;

use bytes::Bytes;
use rand::RngExt as _;
use serde_json::Value;

use super::admission::Ticket;
use super::answer::{Answer, CallMetadata, ResponseSender};
use super::error::{Error, RenderedError};
use super::gateway::Gateway;
use super::stream;
use crate::data::{Finished, Lease, PartReader, Record, RecordKey, RecordState};
use crate::model::id::Fingerprint;
use crate::model::object::Object;
use crate::model::project::Project;
use crate::model::rng;

/// How long a runner may be silent before another takes over; it renews three times in that time.
pub(super) const LEASE_MS: u64 = 30_000;
/// How long an answer can be replayed.
const KEPT_SECONDS: u64 = 86_400;
/// The longest that Lambda lets a function run.
const LONGEST_RUN_SECONDS: u64 = 900;
/// How long a request is remembered for the retries that an SDK makes of it: each comes when it has waited 600 s.
const RETRIES_KEPT_SECONDS: u64 = LONGEST_RUN_SECONDS + 600;

/// How a request is made safe to repeat.
#[derive(Debug, Clone)]
pub(super) struct KeyPlan {
    pub(super) key: RecordKey,
    pub(super) fingerprint: Fingerprint,
    /// The request is known to be new: it replaces what is recorded.
    afresh: bool,
    kept_seconds: u64,
}

impl KeyPlan {
    /// From the caller's key; else, where the project wants it, from the body itself. `None`: not safe to repeat.
    pub(super) fn new(
        project: &Project,
        path: &str,
        key: Option<&str>,
        retry_count: u32,
        fingerprint: impl FnOnce() -> Fingerprint,
    ) -> Option<Self> {
        let scope = |kind: &str, key: &str| RecordKey {
            project_id: project.id.clone(),
            hash: Fingerprint::of([b"POST".as_slice(), path.as_bytes(), kind.as_bytes(), key.as_bytes()]),
        };
        match key {
            Some(key) => Some(Self {
                key: scope("key", key),
                fingerprint: fingerprint(),
                afresh: false,
                kept_seconds: KEPT_SECONDS,
            }),
            None if project.policy.dedupe_retries => {
                let fingerprint = fingerprint();
                let key = scope("retry", fingerprint.as_str());
                Some(Self { key, fingerprint, afresh: retry_count == 0, kept_seconds: RETRIES_KEPT_SECONDS })
            }
            None => None,
        }
    }
}

/// Whether this caller runs the request.
#[derive(Debug)]
pub(super) enum Claim {
    /// It does; `None` if the request has no key.
    Run(Option<Lease>),
    /// Somebody runs it or ran it.
    Follow(Record),
    /// The key belongs to another request.
    Reused,
}

/// What a request does after its claim and its admission.
pub(super) enum Decided {
    /// It is run, under this hold.
    Run(Option<Lease>, Ticket),
    /// Somebody else runs it or ran it. The hold, if there is one, is to be given back.
    Follow(Record, Option<Ticket>),
}

/// What came of following another run.
#[derive(Debug)]
pub(super) enum Followed {
    /// The caller got its answer.
    Told,
    /// That run died before it said anything: this caller may try.
    Died,
    /// The answer is the event stream of this response.
    Response(String),
}

/// Hash of what a body means: members in any order, spacing and escapes as they may be.
pub(super) fn fingerprint(body: &Object) -> Fingerprint {
    let bytes = body.to_bytes();
    // What is too deep or too large for a `Value` is compared by its text.
    let Ok(value) = serde_json::from_slice::<Value>(&bytes) else { return Fingerprint::of([&*bytes]) };
    let mut text = String::new();
    canonical(&value, &mut text);
    Fingerprint::of([text.as_bytes()])
}

fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(members) => {
            let mut names: Vec<_> = members.iter().collect();
            names.sort_by_key(|(name, _)| name.as_str());
            out.push('{');
            for (name, member) in names {
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                canonical(member, out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(list) => {
            out.push('[');
            for element in list {
                canonical(element, out);
                out.push(',');
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

impl Gateway {
    /// Claims the right to run a request.
    pub(super) async fn claim(&self, plan: Option<&KeyPlan>) -> Result<Claim, Error> {
        let Some(plan) = plan else { return Ok(Claim::Run(None)) };
        let now = self.clock.now();
        let (lease_until, kept_seconds) = (now.plus_ms(LEASE_MS), plan.kept_seconds);
        match self.stores.claim(&plan.key, &plan.fingerprint, lease_until, kept_seconds, now, plan.afresh).await? {
            Ok(lease) => Ok(Claim::Run(Some(lease))),
            Err(record) if record.fingerprint != plan.fingerprint.as_str() => Ok(Claim::Reused),
            Err(record) => Ok(Claim::Follow(record)),
        }
    }

    /// Decides from claim and admission, which were asked for at once. Who may not run keeps neither.
    ///
    /// # Errors
    /// Those of the admission and the claim; `KeyReused`.
    pub(super) async fn decide(
        &self,
        claim: Result<Claim, Error>,
        ticket: Result<Ticket, Error>,
        render_error: fn(&Error) -> RenderedError,
    ) -> Result<Decided, Error> {
        match (claim, ticket) {
            (Ok(Claim::Run(lease)), Ok(ticket)) => Ok(Decided::Run(lease, ticket)),
            // A replay costs nothing: it is given even to those who could not pay for the call.
            (Ok(Claim::Follow(record)), ticket) => Ok(Decided::Follow(record, ticket.ok())),
            (Ok(Claim::Run(lease)), Err(error)) => {
                self.conclude(lease.as_ref(), false, refused(&render_error(&error))).await;
                Err(error)
            }
            (claim, ticket) => {
                if let Ok(ticket) = &ticket {
                    self.release(ticket).await;
                }
                Err(claim.err().unwrap_or(Error::KeyReused))
            }
        }
    }

    /// Renews a lease three times in its length, for ever. A lease that was lost is not looked for: writes are fenced.
    pub(super) async fn keep(&self, lease: Option<&Lease>) -> std::convert::Infallible {
        let Some(lease) = lease else { return std::future::pending().await };
        loop {
            tokio::time::sleep(Duration::from_millis(LEASE_MS / 3)).await;
            let now = self.clock.now();
            if let Err(error) = self.stores.renew(lease, now.plus_ms(LEASE_MS), now).await {
                tracing::warn!(error = %super::dispatch::ErrorChain(&error), "lease not renewed");
            }
        }
    }

    /// Ends a run: its answer is kept if it is a success, else only for those who are waiting.
    pub(super) async fn conclude(&self, lease: Option<&Lease>, success: bool, end: Finished) {
        let Some(lease) = lease else { return };
        match self.stores.finish(lease, success, end, self.clock.now()).await {
            Ok(true) => {}
            Ok(false) => tracing::warn!("idempotency lease was lost, another run keeps the answer"),
            Err(error) => tracing::error!(error = %super::dispatch::ErrorChain(&error), "answer not kept for replay"),
        }
    }

    /// Gives a caller what another run of the same request produces.
    pub(super) async fn follow(
        &self,
        plan: &KeyPlan,
        first: Record,
        sender: &mut ResponseSender,
        facts: CallMetadata,
    ) -> Result<Followed, Error> {
        let fence = first.fence;
        let mut seen = Some(first);
        let mut reader = PartReader::default();
        let mut waited = 0;
        loop {
            let record = match seen.take() {
                Some(record) => Some(record),
                None => self.stores.record(&plan.key).await?,
            };
            let Some(record) = record.filter(|record| record.fence == fence) else {
                return Ok(died(sender).await);
            };
            let refused = matches!(&record.state, RecordState::Failed(end) if end.status >= 400);
            if let Some(response_id) = record.response_id.filter(|_| !refused) {
                return Ok(Followed::Response(response_id));
            }
            // What is in parts goes out before the end is looked at: the end is written after the last part.
            let parts = self.stores.parts(&plan.key, fence, &mut reader).await?;
            match record.state {
                RecordState::Failed(end) if end.status >= 400 && !sender.has_begun() => {
                    let body = self.stores.tail(&end, &mut reader).await?;
                    let retry_after = end.retry_after_ms.map(Duration::from_millis);
                    let should_retry = end.should_retry.unwrap_or(true);
                    return Err(Error::Repeated(RenderedError { status: end.status, body, retry_after, should_retry }));
                }
                RecordState::Done(end) | RecordState::Failed(end) => {
                    let tail = self.stores.tail(&end, &mut reader).await?;
                    let whole = !sender.has_begun();
                    let length = whole.then_some(parts.len() + tail.len());
                    sender.begin(Answer::head(end.status, &end.content_type, length, facts));
                    sender.send(parts).await;
                    sender.send(tail).await;
                    return Ok(Followed::Told);
                }
                RecordState::Running { lease_until } => {
                    if !parts.is_empty() {
                        sender.begin(Answer::head(200, stream::CONTENT_TYPE, None, facts.clone()));
                        sender.send(parts).await;
                    } else if lease_until <= self.clock.now() {
                        return Ok(died(sender).await);
                    }
                }
            }
            waited = pause(waited).await;
        }
    }
}

/// The run that was followed is gone: if nothing was said yet, this caller may try.
async fn died(sender: &mut ResponseSender) -> Followed {
    if sender.cut_short().await { Followed::Told } else { Followed::Died }
}

/// Waits longer each time, up to half a second.
pub(super) async fn pause(waited: u64) -> u64 {
    let next = (waited * 3 / 2).clamp(20, 500);
    let jittered = rng::rng().random_range(next / 2..=next);
    tokio::time::sleep(Duration::from_millis(jittered)).await;
    next
}

/// The end of a run with a body that is not in parts.
pub(super) fn finished(status: u16, content_type: &str, tail: Bytes) -> Finished {
    Finished { status, content_type: content_type.to_owned(), tail, ..Finished::default() }
}

/// The end of a run that failed, as those who wait for it are told.
pub(super) fn refused(error: &RenderedError) -> Finished {
    Finished {
        retry_after_ms: error.retry_after.and_then(|wait| u64::try_from(wait.as_millis()).ok()),
        should_retry: Some(error.should_retry),
        ..finished(error.status, "application/json", error.body.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_is_of_the_meaning() {
        let of = |json: &str| fingerprint(&Object::parse(json.as_bytes()).unwrap());
        assert_eq!(
            of(r#"{"a":1,"b":{"c":"é","d":[1,2]}}"#),
            of("{ \"b\": {\"d\":[1, 2],\"c\":\"\\u00e9\"}, \"a\":1 }")
        );
        assert_ne!(of(r#"{"a":[1,2]}"#), of(r#"{"a":[2,1]}"#));
        assert_ne!(of(r#"{"a":"1"}"#), of(r#"{"a":1}"#));
    }
}
