//! The worker's side of a background response: claim it, run it, end it or give it back.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant as Timer;

use super::accept::LOST_AFTER_MS;
use super::emit::{Emitter, Journal, Stopped};
use super::perform::{Attempt, Flowed, NotBegun};
use super::stored::StoredRequest;
use super::{GRACE_MS, LEASE_MS, LIFETIME_MS, cost, longest, prepared};
use crate::app::admission::{Ask, Limit};
use crate::app::bound;
use crate::app::dispatch::Chain;
use crate::app::error::Error;
use crate::app::gateway::Gateway;
use crate::data::{Claim, End, GivenBack, Holding, MAX_DELAY, ResponseRecord};
use crate::model::catalog::Model;
use crate::model::clock::Instant;
use crate::model::message::ResponseKey;
use crate::model::money::MicroUsd;
use crate::model::object::Object;
use crate::model::provider::Failure;
use crate::model::request::Body;
use crate::model::responses::{Bill, Composer, ResponseEvent, Status};
use crate::model::tokens::Usage;

/// What a response says that was given up for its age.
pub(super) const TOO_OLD: &str = "The response did not end within 24 hours.";
/// Times that a response is begun at most.
const MAX_RUNS: u64 = 4;
/// How long to wait before the next run, by the number of the one that failed.
const DELAYS: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(120)];

/// A response that a worker runs.
struct Run {
    record: ResponseRecord,
    skeleton: Object,
    model: Model,
    chat: Body,
    limit: Option<u64>,
}

/// A response as a run ended it.
struct Ended {
    status: Status,
    response: Object,
    events: Vec<ResponseEvent>,
    usage: Usage,
    cost: MicroUsd,
}

impl Gateway {
    /// Works on a background response, if it is to be worked on: any message may come twice, late or never.
    ///
    /// `function_ends` is when the function that runs this is stopped.
    ///
    /// # Errors
    /// If a store fails. The message may be given again; else the response is found when its lease has ended.
    pub async fn respond(&self, key: &ResponseKey, function_ends: Option<Instant>) -> Result<(), Error> {
        let now = self.clock.now();
        let (claim, request) = tokio::join!(
            self.stores.claim_response(key, now, now.plus_ms(LEASE_MS)),
            self.stores.response_request(key)
        );
        let Claim::Yours(record) = claim? else { return Ok(()) };
        let skeleton = skeleton_of(request.as_ref().ok().and_then(Option::as_ref));
        if record.runs > MAX_RUNS {
            let message = format!("The response was begun {MAX_RUNS} times and never ended.");
            return self.end_unrun(&record, &skeleton, &message).await;
        }
        if record.created_at.until(now) >= LIFETIME_MS {
            return self.end_unrun(&record, &skeleton, TOO_OLD).await;
        }
        let request = match request?.map(|kept| StoredRequest::read(&kept)) {
            Some(Ok(request)) => request,
            unreadable => {
                tracing::error!(is_there = unreadable.is_some(), "request of a response cannot be read");
                return self
                    .end_unrun(&record, &skeleton, "The request of this response cannot be read any more.")
                    .await;
            }
        };
        let run = match self.run_of(*record.clone(), &request) {
            Ok(run) => run,
            Err(error) => return self.end_unrun(&record, &skeleton, &told(&error).1).await,
        };
        match self.holding_of(&run, function_ends).await {
            Ok(Some(holding)) => self.run_job(run, holding, function_ends).await,
            Ok(None) => Ok(()),
            Err(Error::Refused(refusal)) => match (refusal.limit, refusal.retry_after) {
                (Limit::Budget { .. }, _) | (_, None) => {
                    self.end_unrun(&run.record, &skeleton, &refusal.to_string()).await
                }
                (_, Some(wait)) => self.give_back(&run.record, wait, GivenBack::NotAdmitted).await,
            },
            Err(error) => Err(error),
        }
    }

    fn run_of(&self, record: ResponseRecord, request: &StoredRequest) -> Result<Run, Error> {
        let create = request.create(record.created_at)?;
        let chat = create.chat(&request.context())?;
        let model = self.chat_model(&record.model)?.clone();
        let skeleton = request.skeleton.clone().with("status", Status::InProgress.name());
        Ok(Run { record, skeleton, model, chat, limit: request.limit })
    }

    /// The hold that this run is made under: the one that waits for it, or a new one after a run that died with its own.
    /// `None` if the run lost its fence.
    async fn holding_of(&self, run: &Run, function_ends: Option<Instant>) -> Result<Option<Holding>, Error> {
        let record = &run.record;
        if let Some(holding) = record.holding.as_ref().filter(|holding| holding.fence == record.fence) {
            return Ok(Some(holding.clone()));
        }
        let (usage, charged) = self.charge(record);
        self.settle_response(record, &usage, charged).await?;
        let project = self.reload_project(&record.key.project_id).await?;
        let bound = bound::bound(&run.chat, &run.model, &project.policy);
        let (_, over_at) = self.time_for(&run.model, function_ends);
        let ask = Ask {
            project: &project,
            model: &record.model,
            amount: run.model.price.map_or(MicroUsd(0), |price| price.worst_case(&bound)),
            tokens: bound::expected_tokens(&bound, &run.chat, &project.policy),
            lease_until: over_at.plus_ms(GRACE_MS),
        };
        let ticket = self.admit(&ask).await?;
        let holding = ticket.kept(record.fence, bound);
        if self.stores.set_holding(record, &holding).await? {
            return Ok(Some(holding));
        }
        self.release(&ticket).await;
        Ok(None)
    }

    async fn run_job(&self, mut run: Run, holding: Holding, function_ends: Option<Instant>) -> Result<(), Error> {
        run.record.holding = Some(holding.clone());
        let chat = prepared(&run.chat, run.limit);
        let (deadline, _) = self.time_for(&run.model, function_ends);
        let begun_at = Timer::now();
        let traceparent = run.record.traceparent.clone();
        let attempt = Attempt {
            model: &run.model,
            chat: &chat,
            bound: holding.bound,
            deadline,
            traceparent: traceparent.as_deref(),
        };
        let now = self.clock.now();
        let mut composer = Composer::new(run.skeleton.clone(), run.record.next_sequence, now);
        let mut emitter = Emitter { outlet: None, journal: Some(Journal::new(run.record.clone(), now)) };
        let begins = composer.in_progress();
        if let Err(stopped) = emitter.emit(self, &[begins]).await {
            return self.stopped(&run, stopped, Usage::default(), MicroUsd(0)).await;
        }
        let mut flow = match self.begin_flow(&attempt, &mut emitter).await {
            Ok(flow) => flow,
            Err(NotBegun::Stopped(stopped)) => {
                // The provider may be at work on it.
                let (usage, charged) = self.charge(&run.record);
                return self.stopped(&run, stopped, usage, charged).await;
            }
            Err(NotBegun::Refused(error)) => return self.refused(&run, composer, emitter, *error).await,
        };
        match self.flow(&attempt, &mut flow, &mut composer, &mut emitter).await {
            Flowed::Done(usage) => {
                let cost = cost(&run.model, &usage);
                let bill = Bill { usage, cost: Some(cost) };
                let (events, response, status) = composer.complete(&bill, self.clock.now());
                self.end_run(&run, emitter, Ended { status, response, events, usage, cost }).await
            }
            Flowed::Broke(failure, usage) => {
                tracing::warn!(error = failure.summary(), run = run.record.fence, "stream broke after it had begun");
                let cost = cost(&run.model, &usage);
                // A run that had all the time that its model may take would end no better another time.
                if run.record.runs < MAX_RUNS && begun_at.elapsed() < longest(&run.model) {
                    self.settle_response(&run.record, &usage, cost).await?;
                    return self.give_back(&run.record, delay(run.record.runs, &failure), GivenBack::Used).await;
                }
                let bill = Bill { usage, cost: Some(cost) };
                let (events, response) = composer.fail("server_error", &failure.to_string(), Some(&bill));
                self.end_run(&run, emitter, Ended { status: Status::Failed, response, events, usage, cost }).await
            }
            Flowed::Stopped(stopped, usage) => {
                let cost = cost(&run.model, &usage);
                self.stopped(&run, stopped, usage, cost).await
            }
        }
    }

    /// The provider gave nothing: again later, or the end.
    async fn refused(&self, run: &Run, composer: Composer, emitter: Emitter, error: Error) -> Result<(), Error> {
        if let Error::Provider { source, .. } = &error
            && (source.is_retryable() || matches!(source, Failure::CircuitOpen { .. }))
            && run.record.runs < MAX_RUNS
        {
            return self.give_back(&run.record, delay(run.record.runs, source), GivenBack::Unused).await;
        }
        let (code, message) = told(&error);
        let (events, response) = composer.fail(code, &message, None);
        let (usage, cost) = (Usage::default(), MicroUsd(0));
        self.end_run(run, emitter, Ended { status: Status::Failed, response, events, usage, cost }).await
    }

    /// Puts a response back into the queue.
    async fn give_back(&self, record: &ResponseRecord, wait: Duration, why: GivenBack) -> Result<(), Error> {
        let wait = wait.min(MAX_DELAY);
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let not_before = self.clock.now().plus_ms(wait_ms);
        let due_at = not_before.plus_ms(LOST_AFTER_MS);
        if self.stores.requeue_response(record, not_before, due_at, why).await? {
            self.wake(record, wait).await;
        }
        Ok(())
    }

    async fn end_run(&self, run: &Run, mut emitter: Emitter, ended: Ended) -> Result<(), Error> {
        emitter.tell(&ended.events).await;
        let Some(mut journal) = emitter.journal.take() else { return Ok(()) };
        let (events, first_sequence, next_sequence) = journal.rest();
        let now = self.clock.now();
        let end = End {
            status: ended.status,
            response: ended.response.to_bytes(),
            events,
            first_sequence,
            next_sequence,
            usage: ended.usage,
            cost: ended.cost,
            finished_at: now,
            due_at: Some(now.plus_ms(LOST_AFTER_MS)),
        };
        if self.finish_patiently(&run.record, &end).await? {
            return self.follow_up(&finished(&run.record, &end)).await;
        }
        let found = self.stores.response(&run.record.key).await?;
        self.stopped(run, Stopped(found.map(Box::new)), ended.usage, ended.cost).await
    }

    /// Writes the end of a run, again if the store fails: what was generated is paid for.
    async fn finish_patiently(&self, record: &ResponseRecord, end: &End) -> Result<bool, Error> {
        for _ in 0..2 {
            match self.stores.finish_response(record, end).await {
                Ok(written) => return Ok(written),
                Err(error) => tracing::warn!(error = %Chain(&error), "end of a response not written yet"),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Ok(self.stores.finish_response(record, end).await?)
    }

    /// The run may not go on. If its response was cancelled, the run knows best what it had used; if another run took
    /// over, that one has settled.
    async fn stopped(&self, run: &Run, found: Stopped, usage: Usage, cost: MicroUsd) -> Result<(), Error> {
        let Some(found) = found.0.filter(|found| found.fence == run.record.fence && found.status.is_terminal()) else {
            tracing::warn!(run = run.record.fence, "run lost its response to another");
            return Ok(());
        };
        self.settle_response(&run.record, &usage, cost).await?;
        self.follow_up(&found).await
    }

    /// Ends a response as failed that no provider was called for in this run.
    async fn end_unrun(&self, record: &ResponseRecord, skeleton: &Object, message: &str) -> Result<(), Error> {
        let (usage, cost) = self.charge(record);
        // The hold that waited for this run was not used; one of a run before was.
        let fresh = record.holding.as_ref().is_some_and(|holding| holding.fence == record.fence);
        let (usage, cost) = if fresh { (Usage::default(), MicroUsd(0)) } else { (usage, cost) };
        let end = self.failed_end(record, skeleton, message, usage, cost);
        if self.stores.finish_response(record, &end).await? {
            return self.follow_up(&finished(record, &end)).await;
        }
        Ok(())
    }

    /// The end of a response that failed without a stream of its own.
    pub(super) fn failed_end(
        &self,
        record: &ResponseRecord,
        skeleton: &Object,
        message: &str,
        usage: Usage,
        cost: MicroUsd,
    ) -> End {
        let response = crate::model::responses::failed(skeleton, "server_error", message);
        let now = self.clock.now();
        End {
            status: Status::Failed,
            events: ResponseEvent::failed(record.next_sequence, &response).sse(),
            response: response.to_bytes(),
            first_sequence: record.next_sequence,
            next_sequence: record.next_sequence + 1,
            usage,
            cost,
            finished_at: now,
            due_at: Some(now.plus_ms(LOST_AFTER_MS)),
        }
    }
}

/// The response before anything was generated, from what was kept of its request; empty if that cannot be read.
pub(super) fn skeleton_of(kept: Option<&Bytes>) -> Object {
    kept.and_then(|kept| StoredRequest::read(kept).ok()).map(|request| request.skeleton).unwrap_or_default()
}

/// The record as an end that was written left it.
pub(super) fn finished(record: &ResponseRecord, end: &End) -> ResponseRecord {
    ResponseRecord {
        status: end.status,
        next_sequence: end.next_sequence,
        finished_at: Some(end.finished_at),
        usage: end.usage,
        cost: end.cost,
        due_at: end.due_at,
        ..record.clone()
    }
}

fn delay(run: u64, failure: &Failure) -> Duration {
    let index = usize::try_from(run.saturating_sub(1)).unwrap_or(usize::MAX).min(DELAYS.len() - 1);
    failure.retry_after().map_or(DELAYS[index], |asked| asked.max(DELAYS[index]))
}

/// What a response that failed says of it: OpenAI's code, and a message.
fn told(error: &Error) -> (&'static str, String) {
    match error {
        Error::Provider { source: Failure::Throttled { .. }, .. } => ("rate_limit_exceeded", error_text(error)),
        Error::Provider { source: Failure::Refused { refusal, .. }, .. } => ("invalid_prompt", refusal.message.clone()),
        other => ("server_error", error_text(other)),
    }
}

fn error_text(error: &Error) -> String {
    match error {
        Error::Provider { provider, attempts, source } => {
            format!("The provider `{provider}` gave no answer after {attempts} attempts: {source}.")
        }
        Error::Internal { .. } => "The server had an error while making the response.".to_owned(),
        other => other.to_string(),
    }
}
