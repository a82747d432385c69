//! The worker's side of a background response: claim it, run it, then end it or requeue it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use tokio::time::Instant;

use super::{Finalizer, JobQueue, LIFETIME_MS, TOO_OLD};
use crate::app::admission::{Admission, AdmissionRequest, Limit, Refusal};
use crate::app::dispatch::{DispatchRequest, Dispatched, Dispatcher, EventStream};
use crate::app::error::Error;
use crate::app::generation::{
    EventLog, EventSink, Generated, LEASE_MS, LOST_AFTER_MS, RunEnd, RunLost, describe, expect_stream, generate,
    read_request, skeleton_of,
};
use crate::app::ledger::Ledger;
use crate::app::models::{Models, ServedModels};
use crate::app::pipeline::{GRACE_MS, TimeLimit, UsageMeter, find_model};
use crate::app::projects::load_project;
use crate::app::telemetry::{self, TelemetryEvent};
use crate::data::{
    JobClaim, MAX_DELAY, ProjectRecords, RequeueReason, ResponseRecord, ResponseRecords, StoreError, StoredReservation,
    WriteOutcome,
};
use crate::dialects::openai_chat::Body;
use crate::dialects::openai_chat::bound;
use crate::dialects::openai_responses::{EventBuilder, Status, StoredRequest};
use crate::model::catalog::Model;
use crate::model::clock::{Clock, Timestamp};
use crate::model::message::ResponseKey;
use crate::model::money::MicroUsd;
use crate::model::object::Object;
use crate::model::provider::{Endpoint, Failure};
use crate::model::tokens::{Bound, Price, Usage};

/// Times that a response is begun at most.
const MAX_RUNS: u64 = 4;
/// How long to wait before the next run, by the number of the one that failed.
const DELAYS: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(120)];

/// How long a job waits if the models cannot be read.
const MODELS_WAIT: Duration = Duration::from_secs(60);

/// Makes background responses.
pub struct ResponseWorker {
    pub(in crate::app) records: ResponseRecords,
    pub(in crate::app) projects: ProjectRecords,
    pub(in crate::app) models: Arc<Models>,
    pub(in crate::app) admission: Arc<Admission>,
    pub(in crate::app) ledger: Arc<Ledger>,
    pub(in crate::app) dispatcher: Arc<Dispatcher>,
    pub(in crate::app) finalizer: Arc<Finalizer>,
    pub(in crate::app) queue: JobQueue,
    pub(in crate::app) clock: Clock,
}

/// A response that the worker runs.
struct Run {
    record: ResponseRecord,
    skeleton: Object,
    model: Model,
    /// The version of the models that the run began with.
    served: Arc<ServedModels>,
    chat: Body,
    /// The limit of output tokens under the reservation of the acceptance.
    limit: Option<u64>,
}

impl Run {
    /// The price of `usage` as it was when the run's money was reserved.
    fn cost(&self, usage: &Usage) -> MicroUsd {
        let price = self.record.reservation.as_ref().map_or(self.model.price, |reservation| reservation.price);
        price.map_or(MicroUsd(0), |price: Price| price.cost(usage))
    }
}

/// The reservation and the limit under which a run calls its provider.
struct Permit {
    reservation: StoredReservation,
    /// The limit of output tokens that the provider is sent.
    limit: Option<u64>,
}

/// A run from the call of its provider to its end.
struct Attempt<'a> {
    run: &'a Run,
    bound: Bound,
    used: &'a UsageMeter,
    deadline: Instant,
    builder: EventBuilder,
    sink: EventSink<'a>,
}

/// Why a provider's stream did not start.
enum NotStarted {
    Failed(Box<Error>),
    Lost(RunLost),
}

impl ResponseWorker {
    /// Works on a background response, if there is work: any message may come twice, late or never.
    ///
    /// `function_ends` is when the function that runs this is stopped.
    ///
    /// # Errors
    /// If a store fails. The message may be delivered again; else the response is found when its lease has ended.
    pub async fn work(&self, key: &ResponseKey, function_ends: Option<Timestamp>) -> Result<(), Error> {
        let now = self.clock.now();
        let (claim, request) =
            tokio::join!(self.records.claim(key, now, now.plus_ms(LEASE_MS)), self.records.request(key));
        let JobClaim::Claimed(record) = claim? else { return Ok(()) };
        let used = UsageMeter::default();
        let run = AssertUnwindSafe(Box::pin(self.run_claimed(&record, request, &used, function_ends))).catch_unwind();
        match run.await {
            Ok(done) => done,
            Err(_) => self.recover_from_panic(&record, &used).await,
        }
    }

    async fn run_claimed(
        &self,
        record: &ResponseRecord,
        request: Result<Option<Bytes>, StoreError>,
        used: &UsageMeter,
        function_ends: Option<Timestamp>,
    ) -> Result<(), Error> {
        if record.fence == 1 {
            let waited = Duration::from_millis(record.created_at.until(self.clock.now()));
            telemetry::record(&TelemetryEvent::JobStarted { waited });
        }
        let skeleton = skeleton_of(request.as_ref().ok().and_then(Option::as_ref));
        if let Some(message) = self.give_up(record) {
            return self.finalizer.fail_unstarted(record, &skeleton, &message).await;
        }
        let request = match request?.map(|stored| read_request(&stored)) {
            Some(Ok(request)) => request,
            unreadable => {
                tracing::error!(is_there = unreadable.is_some(), "request of a response cannot be read");
                let message = "The request of this response cannot be read any more.";
                return self.finalizer.fail_unstarted(record, &skeleton, message).await;
            }
        };
        let run = match self.prepare(record.clone(), &request).await {
            Ok(run) => run,
            // The operator's mistake must not end a job that was accepted: it waits until the models can be read.
            Err(Error::NoModels(_) | Error::WrongModel { .. }) => {
                return self.requeue(record, MODELS_WAIT, RequeueReason::NotReady).await;
            }
            Err(error) => return self.finalizer.fail_unstarted(record, &skeleton, &describe(&error).1).await,
        };
        // Not every worker finds out for itself that a provider is down: the breaker's shared state is read in parallel.
        let (permit, ()) = tokio::join!(self.permit(&run, function_ends), self.dispatcher.refresh_breakers(&run.model));
        match permit {
            Ok(Some(permit)) => self.run(run, permit, used, function_ends).await,
            Ok(None) => Ok(()),
            Err(Error::Refused(refusal)) => self.refuse(&run, &skeleton, &refusal).await,
            // The project has a budget by now, and none can pay for this.
            Err(error @ (Error::Unpriced(_) | Error::Invalid(_))) => {
                self.finalizer.fail_unstarted(record, &skeleton, &describe(&error).1).await
            }
            Err(error) => Err(error),
        }
    }

    /// Why a response is not run again.
    fn give_up(&self, record: &ResponseRecord) -> Option<String> {
        if record.runs > MAX_RUNS {
            return Some(format!("The response was begun {MAX_RUNS} times and never ended."));
        }
        (record.created_at.until(self.clock.now()) >= LIFETIME_MS).then(|| TOO_OLD.to_owned())
    }

    async fn prepare(&self, record: ResponseRecord, request: &StoredRequest) -> Result<Run, Error> {
        let create = request.create(record.created_at)?;
        let chat = create.chat(&request.context())?;
        let served = self.models.current().await?;
        let model = find_model(&served, &record.model, Endpoint::ChatCompletions)?.clone();
        let skeleton = request.skeleton.clone().with("status", Status::InProgress.name());
        Ok(Run { record, skeleton, model, served, chat, limit: request.limit })
    }

    /// The reservation that this run is made under: the one that waits for it, or a new one after a run that died with
    /// its own. `None` if the run lost its fence.
    async fn permit(&self, run: &Run, function_ends: Option<Timestamp>) -> Result<Option<Permit>, Error> {
        let record = &run.record;
        if let Some(reservation) = record.reservation.as_ref().filter(|stored| stored.fence == record.fence) {
            let limit = self.limit_under(run, reservation).await?;
            return Ok(Some(Permit { reservation: reservation.clone(), limit }));
        }
        let (usage, cost) = self.finalizer.charge_of_dead_run(record);
        self.finalizer.settle(record, &usage, cost).await?;
        let project = load_project(&self.projects, &record.key.project_id).await?;
        let bound = bound::bound(&run.chat, &run.model, &project.policy);
        let lease_until = TimeLimit::of_model(&self.clock, &run.model, function_ends).over_at.plus_ms(GRACE_MS);
        let request = AdmissionRequest::new(&project, &run.model, &run.chat, &bound, lease_until);
        let admitted = self.admission.admit(&request).await?;
        let limit = bound::limit_to_send(&run.chat, &run.model, &project.policy, admitted.budgeted);
        let reservation = admitted.to_stored(record.fence, bound, run.model.price);
        // Only the run that holds the fence may put its reservation into the record: another run would overwrite it, and
        // nothing would settle it.
        if self.records.set_reservation(record, &reservation).await?.is_written() {
            return Ok(Some(Permit { reservation, limit }));
        }
        self.ledger.release(&admitted).await;
        Ok(None)
    }

    /// The limit that the provider is sent under a reservation that waited for its run. The first run has the limit of
    /// the acceptance. A later one may have the reservation of a run between, made under other limits and another policy.
    async fn limit_under(&self, run: &Run, reservation: &StoredReservation) -> Result<Option<u64>, Error> {
        if run.record.runs <= 1 {
            return Ok(run.limit);
        }
        let project = load_project(&self.projects, &run.record.key.project_id).await?;
        let budgeted = project.limits.budget.is_some();
        let limit = bound::limit_to_send(&run.chat, &run.model, &project.policy, budgeted);
        // A response is one answer, so its reservation says how long it may be.
        Ok(limit.map(|_| reservation.bound.output))
    }

    /// A limit does not admit the run: it waits, or the response ends if waiting cannot help.
    async fn refuse(&self, run: &Run, skeleton: &Object, refusal: &Refusal) -> Result<(), Error> {
        match (refusal.limit, refusal.retry_after) {
            (Limit::Requests { .. } | Limit::Tokens { .. }, Some(wait)) => {
                self.requeue(&run.record, wait, RequeueReason::NotAdmitted).await
            }
            (limit, _) => {
                if matches!(limit, Limit::Budget { .. }) {
                    telemetry::record(&TelemetryEvent::BudgetRefused);
                }
                self.finalizer.fail_unstarted(&run.record, skeleton, &refusal.to_string()).await
            }
        }
    }

    async fn run(
        &self,
        mut run: Run,
        permit: Permit,
        used: &UsageMeter,
        function_ends: Option<Timestamp>,
    ) -> Result<(), Error> {
        let Permit { reservation, limit } = permit;
        let bound = reservation.bound;
        run.record.reservation = Some(reservation);
        let log = EventLog::new(self.records.clone(), self.clock.clone(), run.record.clone());
        let mut attempt = Attempt {
            bound,
            used,
            deadline: TimeLimit::of_model(&self.clock, &run.model, function_ends).deadline,
            builder: EventBuilder::new(run.skeleton.clone(), run.record.next_sequence, self.clock.now()),
            sink: EventSink { sender: None, log: Some(log) },
            run: &run,
        };
        let first = attempt.builder.in_progress_event();
        if let Err(lost) = attempt.sink.emit(&[first]).await {
            return self.leave(&run.record, lost, (Usage::default(), MicroUsd(0))).await;
        }
        match self.start(&mut attempt, limit).await {
            Ok(events) => {
                let Attempt { used, builder, sink, .. } = &mut attempt;
                let generated = generate(events, used, builder, sink).await;
                self.conclude(attempt, generated).await
            }
            // The provider may be at work on it.
            Err(NotStarted::Lost(lost)) => {
                self.leave(&run.record, lost, self.finalizer.charge_of_dead_run(&run.record)).await
            }
            Err(NotStarted::Failed(error)) => self.retry_or_fail(attempt, *error).await,
        }
    }

    /// Calls the provider until its stream starts; the run keeps its lease meanwhile.
    async fn start(&self, attempt: &mut Attempt<'_>, limit: Option<u64>) -> Result<EventStream, NotStarted> {
        let chat = bound::with_limit(attempt.run.chat.object.clone(), limit);
        let request = DispatchRequest {
            endpoint: Endpoint::ChatCompletions,
            model: &attempt.run.model,
            served: &attempt.run.served,
            body: &chat,
            stream: true,
            deadline: attempt.deadline,
        };
        attempt.used.mark_sent();
        let failed = |error| NotStarted::Failed(Box::new(error));
        let mut dispatch = std::pin::pin!(self.dispatcher.dispatch(&request));
        let dispatched = loop {
            tokio::select! {
                biased;
                dispatched = &mut dispatch => break dispatched.map_err(failed)?,
                () = attempt.sink.heartbeat_due() => attempt.sink.heartbeat().await.map_err(NotStarted::Lost)?,
            }
        };
        let Dispatched { answer, provider, attempts } = dispatched;
        expect_stream(answer).map_err(|source| failed(Error::Provider { provider: provider.into(), attempts, source }))
    }

    /// Ends a run whose stream had started, or requeues it.
    async fn conclude(&self, attempt: Attempt<'_>, generated: Generated) -> Result<(), Error> {
        let Attempt { run, bound, used, deadline, builder, sink } = attempt;
        let usage = used.total(&bound);
        let cost = run.cost(&usage);
        let end = match generated {
            Generated::Whole => RunEnd::complete(builder, usage, cost, self.clock.now()),
            Generated::Lost(lost) => return self.leave(&run.record, lost, (usage, cost)).await,
            Generated::Broken(failure) => {
                let fence = run.record.fence;
                tracing::warn!(error = failure.summary(), run = fence, "stream broke after it had begun");
                // A run that had all the time of its model or of its function would end no better another time.
                if run.record.runs < MAX_RUNS && Instant::now() < deadline {
                    self.finalizer.settle(&run.record, &usage, cost).await?;
                    let delay = delay_after(run.record.runs, failure.retry_after());
                    return self.requeue(&run.record, delay, RequeueReason::Used).await;
                }
                RunEnd::fail(builder, "server_error", &failure.to_string(), Some((usage, cost)))
            }
        };
        self.end(&run.record, sink, end).await
    }

    /// The provider gave no answer: the response runs again later, or it ends.
    async fn retry_or_fail(&self, attempt: Attempt<'_>, error: Error) -> Result<(), Error> {
        let Attempt { run, builder, sink, .. } = attempt;
        if let Error::Provider { source, .. } = &error
            && (source.is_retryable() || matches!(source, Failure::CircuitOpen { .. }))
            && run.record.runs < MAX_RUNS
        {
            let delay = delay_after(run.record.runs, source.retry_after());
            return self.requeue(&run.record, delay, RequeueReason::Unused).await;
        }
        let (code, message) = describe(&error);
        self.end(&run.record, sink, RunEnd::fail(builder, code, &message, None)).await
    }

    /// Writes the end of a run and does the work that follows.
    async fn end(&self, run: &ResponseRecord, mut sink: EventSink<'_>, end: RunEnd) -> Result<(), Error> {
        sink.note(&end.events);
        let Some(mut log) = sink.log.take() else { return Ok(()) };
        let now = self.clock.now();
        let stored = end.to_stored(&mut log, now, Some(now.plus_ms(LOST_AFTER_MS)));
        match self.finalizer.finish(run, &stored, None).await? {
            WriteOutcome::Written => self.finalizer.finalize_ended(run, &stored).await,
            WriteOutcome::Refused => {
                let found = self.records.get(&run.key).await?;
                self.leave(run, RunLost(found.map(Box::new)), (end.usage, end.cost)).await
            }
        }
    }

    /// The run may not go on. If its response was cancelled, this run knows the usage best; if another run took over,
    /// that run has settled.
    async fn leave(
        &self,
        run: &ResponseRecord,
        RunLost(found): RunLost,
        (usage, cost): (Usage, MicroUsd),
    ) -> Result<(), Error> {
        let Some(found) = found.filter(|found| found.fence == run.fence && found.status.is_terminal()) else {
            tracing::warn!(run = run.fence, "run lost its response to another");
            return Ok(());
        };
        self.finalizer.settle(run, &usage, cost).await?;
        self.finalizer.finalize(&found).await
    }

    /// A panic ended the run. Its usage so far is charged, then the response runs again or ends.
    async fn recover_from_panic(&self, run: &ResponseRecord, used: &UsageMeter) -> Result<(), Error> {
        // The panic's message stays out of the log: it may quote a prompt.
        tracing::error!(run = run.fence, "run of a response panicked");
        let found = self.records.get(&run.key).await?;
        let Some(found) = found.filter(|found| found.fence == run.fence && found.status == Status::InProgress) else {
            return Ok(());
        };
        let charge = self.finalizer.charge_of_panicked_run(&found, used);
        if found.runs < MAX_RUNS {
            self.finalizer.settle(&found, &charge.0, charge.1).await?;
            return self.requeue(&found, delay_after(found.runs, None), RequeueReason::Used).await;
        }
        let request = self.records.request(&run.key).await?;
        let message = "The server had an error while making the response.";
        self.finalizer.fail(&found, &skeleton_of(request.as_ref()), message, charge).await
    }

    /// Puts a response back into the queue.
    async fn requeue(&self, run: &ResponseRecord, wait: Duration, reason: RequeueReason) -> Result<(), Error> {
        let wait = wait.min(MAX_DELAY);
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let not_before = self.clock.now().plus_ms(wait_ms);
        let due_at = not_before.plus_ms(LOST_AFTER_MS);
        if self.records.requeue(run, not_before, due_at, reason).await?.is_written() {
            self.queue.wake(run, wait).await;
        }
        Ok(())
    }
}

/// How long to wait after the run with this number failed: at least as long as the provider asks for.
fn delay_after(run: u64, retry_after: Option<Duration>) -> Duration {
    let index = usize::try_from(run.saturating_sub(1)).unwrap_or(usize::MAX).min(DELAYS.len() - 1);
    retry_after.map_or(DELAYS[index], |asked| asked.max(DELAYS[index]))
}
