//! A run of a background response: from the call of its provider to its end, or back into the queue.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::ResponseWorker;
use super::memory::Share;
use super::worker::{MAX_RUNS, NOT_READY_WAIT};
use crate::app::call_files::Room;
use crate::app::dispatch::{DispatchRequest, Dispatched, Dispatcher, EventStream, UsageMeter};
use crate::app::error::{Attempts, Error};
use crate::app::generation::{
    EventSink, Generated, LEASE_MS, LOST_AFTER_MS, RunEnd, RunLost, describe, expect_stream, generate, in_request,
};
use crate::app::models::ServedModels;
use crate::app::telemetry::{self, TelemetryEvent};
use crate::data::{CommitOutcome, MAX_DELAY, RequeueReason, ResponseEnd, ResponseRecord, WriteOutcome};
use crate::dialects::openai_responses::EventBuilder;
use crate::model::catalog::Model;
use crate::model::form::Uploads;
use crate::model::object::Object;
use crate::model::provider::{Endpoint, Failure};
use crate::model::tokens::{Bound, Charge, Price};

/// How long to wait before the next run, by the number of the one that failed.
const DELAYS: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(120)];

/// A response that the worker runs, under a reservation.
pub(super) struct Run<'a> {
    pub(super) record: ResponseRecord,
    pub(super) model: Model,
    /// The version of the models that the run began with.
    pub(super) served: Arc<ServedModels>,
    /// The call for the provider, with the output limit that applies.
    pub(super) chat: Object,
    pub(super) bound: Bound,
    /// The price at the time of the reservation.
    pub(super) price: Option<Arc<Price>>,
    pub(super) used: &'a UsageMeter,
    pub(super) deadline: Instant,
    pub(super) builder: EventBuilder,
    pub(super) sink: EventSink<'a>,
    /// Kept until the run ends.
    pub(super) _memory: (Share, Room),
}

/// Why a provider's stream did not start.
enum NotStarted {
    Failed(Box<Error>),
    Lost(RunLost),
}

impl Run<'_> {
    /// Calls the provider until its stream starts; the run keeps its lease meanwhile.
    async fn start(&mut self, dispatcher: &Dispatcher) -> Result<EventStream, NotStarted> {
        let no_files = Uploads::default();
        let request = DispatchRequest {
            project_id: &self.record.key.project_id,
            endpoint: Endpoint::ChatCompletions,
            model: &self.model,
            served: &self.served,
            body: &self.chat,
            uploads: &no_files,
            headers: &[],
            stream: true,
            deadline: self.deadline,
            used: self.used,
            // Each run has a reservation of its own, for one attempt.
            is_held_once: true,
            acceptance: None,
            runs_before: usize::try_from(self.record.runs.saturating_sub(1)).unwrap_or_default(),
        };
        let failed = |error| NotStarted::Failed(Box::new(error));
        let mut dispatch = std::pin::pin!(dispatcher.dispatch(&request));
        let dispatched = loop {
            tokio::select! {
                biased;
                dispatched = &mut dispatch => {
                    break dispatched.map_err(|error| failed(in_request(error).charged(self.charge())))?;
                }
                () = self.sink.heartbeat_due() => self.sink.heartbeat().await.map_err(NotStarted::Lost)?,
            }
        };
        let Dispatched { answer, provider, attempts } = dispatched;
        expect_stream(answer).map_err(|source| {
            let tried = Attempts::free(provider, attempts);
            failed(Error::Provider { tried, source }.charged(self.charge()))
        })
    }

    /// The charge for the usage so far.
    fn charge(&self) -> Charge {
        self.used.charge(self.price.as_deref(), &self.bound)
    }

    /// The charge for a run that leaves its provider before the end.
    fn charge_of_left(&self) -> Charge {
        self.used.charge_of_left(self.price.as_deref(), &self.bound, self.model.tokens_per_second)
    }
}

impl ResponseWorker {
    pub(super) async fn run(&self, mut run: Run<'_>) -> Result<(), Error> {
        // Without this mark, a run that died before it called its provider would be charged, and would count.
        match self.records.begin(&run.record, self.clock.now().plus_ms(LEASE_MS)).await? {
            CommitOutcome::Committed(begun) => run.record = *begun,
            CommitOutcome::FenceLost(found) => {
                return self.leave(&run.record, RunLost(found), Charge::default()).await;
            }
        }
        if run.record.runs == 1 {
            let waited = Duration::from_millis(run.record.created_at.until(self.clock.now()));
            telemetry::record(&TelemetryEvent::JobStarted { waited });
        }
        let first = run.builder.in_progress_event();
        if let Err(lost) = run.sink.emit(&[first]).await {
            return self.leave(&run.record, lost, Charge::default()).await;
        }
        match run.start(&self.dispatcher).await {
            Ok(events) => {
                let generated = generate(events, run.used, &mut run.builder, &mut run.sink).await;
                self.end_or_retry(run, generated).await
            }
            Err(NotStarted::Lost(lost)) => self.leave(&run.record, lost, run.charge_of_left()).await,
            Err(NotStarted::Failed(error)) => self.retry_or_fail(run, &error).await,
        }
    }

    /// Ends a run whose stream had started, or requeues it.
    async fn end_or_retry(&self, run: Run<'_>, generated: Generated) -> Result<(), Error> {
        let (charge, charge_of_left) = (run.charge(), run.charge_of_left());
        let Run { record, deadline, builder, sink, .. } = run;
        let end = match generated {
            Generated::Whole => RunEnd::complete(builder, charge, self.clock.now()),
            Generated::Lost(lost) => return self.leave(&record, lost, charge_of_left).await,
            Generated::Broken(failure) => {
                tracing::warn!(error = failure.summary(), run = record.fence, "stream broke after it had begun");
                // A run that had all the time of its model or of its function would end no better another time.
                if record.runs < MAX_RUNS && Instant::now() < deadline {
                    self.finalizer.settle(&record, charge).await?;
                    return self.retry(&record, failure.retry_after(), RequeueReason::Used).await;
                }
                RunEnd::fail(builder, "server_error", &failure.to_string(), Some(charge))
            }
        };
        self.end(&record, sink, end).await
    }

    /// The provider gave no answer: the response runs again later, or it ends. What the provider may bill is charged, and
    /// the next run reserves for itself.
    async fn retry_or_fail(&self, run: Run<'_>, error: &Error) -> Result<(), Error> {
        let Run { record, builder, sink, .. } = run;
        // The operator's mistake must not end a job that was accepted: it waits until the provider can be called.
        if let Error::Provider { source: Failure::NotSetUp { .. }, .. } = error {
            return self.requeue(&record, NOT_READY_WAIT, RequeueReason::NotReady).await;
        }
        if let Error::Provider { source, .. } = error
            && (source.is_retryable() || matches!(source, Failure::CircuitOpen { .. }))
            // A run that had all its time would end no better another time.
            && !matches!(source, Failure::OutOfTime)
            && record.runs < MAX_RUNS
        {
            let Some(charge) = error.charge() else {
                return self.retry(&record, source.retry_after(), RequeueReason::Unused).await;
            };
            self.finalizer.settle(&record, charge).await?;
            return self.retry(&record, source.retry_after(), RequeueReason::Used).await;
        }
        let (code, message) = describe(error);
        self.end(&record, sink, RunEnd::fail(builder, code, &message, error.charge())).await
    }

    /// Writes the end of a run and does the work that follows.
    async fn end(&self, run: &ResponseRecord, mut sink: EventSink<'_>, end: RunEnd) -> Result<(), Error> {
        sink.note(&end.events);
        let Some(mut log) = sink.log.take() else { return Ok(()) };
        let now = self.clock.now();
        let due_at = Some(now.plus_ms(LOST_AFTER_MS));
        let stored = ResponseEnd { due_at, ..end.to_stored(&mut log, now) };
        match self.finalizer.end_run(run, &stored, None).await? {
            WriteOutcome::Written => self.finalizer.finalize_ended(run, &stored).await,
            WriteOutcome::Refused => {
                let found = self.records.get(&run.key).await?;
                self.leave(run, RunLost(found.map(Box::new)), end.charge).await
            }
        }
    }

    /// The run may not go on. If its response was cancelled, this run knows the usage best; if another run took over,
    /// that run has settled.
    async fn leave(&self, run: &ResponseRecord, RunLost(found): RunLost, charge: Charge) -> Result<(), Error> {
        let Some(found) = found.filter(|found| found.fence == run.fence && found.status.is_terminal()) else {
            tracing::warn!(run = run.fence, "run lost its response to another");
            return Ok(());
        };
        self.finalizer.settle(run, charge).await?;
        self.finalizer.finalize(&found).await
    }

    /// Requeues a response whose run failed, for a time that depends on the number of its runs: at least as long as the
    /// provider asks for.
    pub(super) async fn retry(
        &self,
        run: &ResponseRecord,
        asked: Option<Duration>,
        reason: RequeueReason,
    ) -> Result<(), Error> {
        let index = usize::try_from(run.runs.saturating_sub(1)).unwrap_or(usize::MAX).min(DELAYS.len() - 1);
        self.requeue(run, DELAYS[index].max(asked.unwrap_or_default()), reason).await
    }

    /// Puts a response back into the queue.
    pub(super) async fn requeue(
        &self,
        run: &ResponseRecord,
        wait: Duration,
        reason: RequeueReason,
    ) -> Result<(), Error> {
        let wait = wait.min(MAX_DELAY);
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let not_before = self.clock.now().plus_ms(wait_ms);
        let due_at = not_before.plus_ms(LOST_AFTER_MS);
        if self.records.requeue(run, not_before, due_at, reason).await?.is_written() {
            self.queues.wake_for_response(run, wait).await;
        }
        Ok(())
    }
}
