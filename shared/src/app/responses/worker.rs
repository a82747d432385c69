//! The worker's side of a background response: claim it, run it, end it or give it back.

use std::time::Duration;

use tokio::time::Instant;

use super::accept::LOST_AFTER_MS;
use super::emit::{EventLog, EventSink};
use super::ends::{Ended, TOO_OLD, skeleton_of, told};
use super::perform::{Attempt, Flowed, NotBegun};
use super::stored::StoredRequest;
use super::{GRACE_MS, LEASE_MS, LIFETIME_MS, cost};
use crate::app::admission::{Ask, Limit};
use crate::app::bound;
use crate::app::error::Error;
use crate::app::gateway::Gateway;
use crate::app::telemetry::{TelemetryEvent, tell};
use crate::data::{Claim, GivenBack, MAX_DELAY, ResponseRecord, StoredReservation};
use crate::dialects::openai_chat::Body;
use crate::dialects::openai_responses::{Bill, EventBuilder, Status};
use crate::model::catalog::Model;
use crate::model::clock::Timestamp;
use crate::model::message::ResponseKey;
use crate::model::money::MicroUsd;
use crate::model::object::Object;
use crate::model::provider::Failure;
use crate::model::tokens::Usage;

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
    /// The limit of output tokens that the provider is told under the hold of the acceptance.
    limit: Option<u64>,
}

/// What a run is made under.
struct Permit {
    holding: StoredReservation,
    /// The limit of output tokens that the provider is told.
    limit: Option<u64>,
}

impl Gateway {
    /// Works on a background response, if it is to be worked on: any message may come twice, late or never.
    ///
    /// `function_ends` is when the function that runs this is stopped.
    ///
    /// # Errors
    /// If a store fails. The message may be given again; else the response is found when its lease has ended.
    pub async fn respond(&self, key: &ResponseKey, function_ends: Option<Timestamp>) -> Result<(), Error> {
        let now = self.clock.now();
        let (claim, request) = tokio::join!(
            self.stores.claim_response(key, now, now.plus_ms(LEASE_MS)),
            self.stores.response_request(key)
        );
        let Claim::Yours(record) = claim? else { return Ok(()) };
        if record.fence == 1 {
            tell(&TelemetryEvent::JobStarted { waited: Duration::from_millis(record.created_at.until(now)) });
        }
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
        // A provider that others found broken is not asked again by every worker.
        let (permit, ()) = tokio::join!(self.permit_of(&run, function_ends), self.refresh_breakers(&run.model));
        match permit {
            Ok(Some(permit)) => self.run_job(run, permit, function_ends).await,
            Ok(None) => Ok(()),
            Err(Error::Refused(refusal)) => match (refusal.limit, refusal.retry_after) {
                (Limit::Budget { .. }, _) | (_, None) => {
                    if matches!(refusal.limit, Limit::Budget { .. }) {
                        tell(&TelemetryEvent::BudgetRefused);
                    }
                    self.end_unrun(&run.record, &skeleton, &refusal.to_string()).await
                }
                (_, Some(wait)) => self.give_back(&run.record, wait, GivenBack::NotAdmitted).await,
            },
            // The project has a budget by now, and none can pay for this.
            Err(error @ (Error::Unpriced(_) | Error::Invalid(_))) => {
                self.end_unrun(&run.record, &skeleton, &told(&error).1).await
            }
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
    async fn permit_of(&self, run: &Run, function_ends: Option<Timestamp>) -> Result<Option<Permit>, Error> {
        let record = &run.record;
        if let Some(holding) = record.holding.as_ref().filter(|holding| holding.fence == record.fence) {
            let limit = self.limit_of(run, holding).await?;
            return Ok(Some(Permit { holding: holding.clone(), limit }));
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
            accountable: bound::can_be_accounted(&run.chat, &run.model),
        };
        let ticket = self.admit(&ask).await?;
        let limit = bound::limit_to_send(&run.chat, &run.model, &project.policy, ticket.budgeted);
        let holding = ticket.kept(record.fence, bound);
        if self.stores.set_holding(record, &holding).await? {
            return Ok(Some(Permit { holding, limit }));
        }
        self.release(&ticket).await;
        Ok(None)
    }

    /// The limit that the provider is told under a hold that waited for its run. The first run has that of the
    /// acceptance. A later one may have the hold of a run between, when other limits and another policy were in force.
    async fn limit_of(&self, run: &Run, holding: &StoredReservation) -> Result<Option<u64>, Error> {
        if run.record.runs <= 1 {
            return Ok(run.limit);
        }
        let project = self.reload_project(&run.record.key.project_id).await?;
        let budgeted = project.limits.budget.is_some();
        let told = bound::limit_to_send(&run.chat, &run.model, &project.policy, budgeted);
        // A response is one answer, so its hold says how long it may be.
        Ok(told.map(|_| holding.bound.output))
    }

    async fn run_job(&self, mut run: Run, permit: Permit, function_ends: Option<Timestamp>) -> Result<(), Error> {
        let Permit { holding, limit } = permit;
        let chat = bound::limited(run.chat.object.clone(), limit);
        let (deadline, _) = self.time_for(&run.model, function_ends);
        let attempt = Attempt { model: &run.model, chat: &chat, bound: holding.bound, deadline };
        run.record.holding = Some(holding);
        let now = self.clock.now();
        let mut builder = EventBuilder::new(run.skeleton.clone(), run.record.next_sequence, now);
        let mut sink = EventSink { sender: None, log: Some(EventLog::new(run.record.clone(), now)) };
        let begins = builder.in_progress_event();
        if let Err(stopped) = sink.emit(self, &[begins]).await {
            return self.stopped(&run.record, stopped, Usage::default(), MicroUsd(0)).await;
        }
        let flow = match self.begin_flow(&attempt, &mut sink).await {
            Ok(flow) => flow,
            Err(NotBegun::Stopped(stopped)) => {
                // The provider may be at work on it.
                let (usage, charged) = self.charge(&run.record);
                return self.stopped(&run.record, stopped, usage, charged).await;
            }
            Err(NotBegun::Refused(error)) => return self.refused(&run, builder, sink, *error).await,
        };
        match self.flow(&attempt, flow.events, &mut builder, &mut sink).await {
            Flowed::Done(usage) => {
                let cost = cost(&run.model, &usage);
                let bill = Bill { usage, cost: Some(cost) };
                let (events, response, status) = builder.complete(&bill, self.clock.now());
                self.end_run(&run.record, sink, Ended { status, response, events, usage, cost }).await
            }
            Flowed::Broke(failure, usage) => {
                tracing::warn!(error = failure.summary(), run = run.record.fence, "stream broke after it had begun");
                let cost = cost(&run.model, &usage);
                // A run that had all the time of its model or of its function would end no better another time.
                if run.record.runs < MAX_RUNS && Instant::now() < deadline {
                    self.settle_response(&run.record, &usage, cost).await?;
                    return self.give_back(&run.record, delay(run.record.runs, &failure), GivenBack::Used).await;
                }
                let bill = Bill { usage, cost: Some(cost) };
                let (events, response) = builder.fail("server_error", &failure.to_string(), Some(&bill));
                self.end_run(&run.record, sink, Ended { status: Status::Failed, response, events, usage, cost }).await
            }
            Flowed::Stopped(stopped, usage) => {
                let cost = cost(&run.model, &usage);
                self.stopped(&run.record, stopped, usage, cost).await
            }
        }
    }

    /// The provider gave nothing: again later, or the end.
    async fn refused(&self, run: &Run, builder: EventBuilder, sink: EventSink, error: Error) -> Result<(), Error> {
        if let Error::Provider { source, .. } = &error
            && (source.is_retryable() || matches!(source, Failure::CircuitOpen { .. }))
            && run.record.runs < MAX_RUNS
        {
            return self.give_back(&run.record, delay(run.record.runs, source), GivenBack::Unused).await;
        }
        let (code, message) = told(&error);
        let (events, response) = builder.fail(code, &message, None);
        let (usage, cost) = (Usage::default(), MicroUsd(0));
        self.end_run(&run.record, sink, Ended { status: Status::Failed, response, events, usage, cost }).await
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
}

fn delay(run: u64, failure: &Failure) -> Duration {
    let index = usize::try_from(run.saturating_sub(1)).unwrap_or(usize::MAX).min(DELAYS.len() - 1);
    failure.retry_after().map_or(DELAYS[index], |asked| asked.max(DELAYS[index]))
}
