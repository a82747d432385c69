//! The worker's side of a background response, up to its run: claim it, prepare it, and reserve for it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use rand::RngExt as _;

use super::memory::{RequestMemory, Share};
use super::run::Run;
use super::{Finalizer, LIFETIME_MS, TOO_OLD};
use crate::app::admission::{Admission, AdmissionRequest, Levels};
use crate::app::call_files::{CallFiles, Room};
use crate::app::dispatch::{Dispatcher, UsageMeter};
use crate::app::error::Error;
use crate::app::generation::{EventLog, EventSink, LEASE_MS, describe, read_request, skeleton_of};
use crate::app::ledger::Ledger;
use crate::app::models::Models;
use crate::app::pipeline::{GRACE_MS, TimeLimit, find_model};
use crate::app::projects::load_project;
use crate::app::slots::Slots;
use crate::app::telemetry::{self, TelemetryEvent};
use crate::app::worker_queues::WorkerQueues;
use crate::data::{ApiKeys, ProjectRecords, RequeueReason, ResponseRecord, ResponseRecords, StoredReservation};
use crate::dialects::openai_chat::{Body, accountable, bound};
use crate::dialects::openai_responses::{EventBuilder, StoredRequest};
use crate::model::catalog::Model;
use crate::model::clock::{Clock, Timestamp};
use crate::model::long_work::long_work;
use crate::model::message::ResponseKey;
use crate::model::meter::{self, Limit, Refusal, ReservedFor};
use crate::model::object::Object;
use crate::model::project::{DEFAULT_CONCURRENT_JOBS, Project};
use crate::model::provider::Endpoint;
use crate::model::response::Status;
use crate::model::rng;
use crate::model::slot::{Slot, SlotKind};

/// Times that a response is begun at most.
pub(super) const MAX_RUNS: u64 = 4;

/// Times that a response is claimed at most by processes that die before its run begins.
const MAX_UNBEGUN: u64 = 10;

/// How long a response waits whose request has no room in the memory of the process.
const MEMORY_WAIT: Duration = Duration::from_secs(5);

/// How long a job waits if its model or its provider is not set up.
pub(super) const NOT_READY_WAIT: Duration = Duration::from_secs(60);

/// Makes background responses.
pub struct ResponseWorker {
    pub(in crate::app) records: ResponseRecords,
    pub(in crate::app) projects: ProjectRecords,
    pub(in crate::app) api_keys: ApiKeys,
    pub(in crate::app) models: Arc<Models>,
    pub(in crate::app) admission: Arc<Admission>,
    pub(in crate::app) ledger: Arc<Ledger>,
    pub(in crate::app) dispatcher: Arc<Dispatcher>,
    pub(in crate::app) finalizer: Arc<Finalizer>,
    pub(in crate::app) queues: WorkerQueues,
    pub(in crate::app) slots: Slots,
    pub(in crate::app) memory: RequestMemory,
    pub(in crate::app) files: CallFiles,
    pub(in crate::app) clock: Clock,
}

/// What the stores have of a claimed response.
struct Loaded {
    request: Option<Bytes>,
    project: Option<Project>,
}

/// The call of a claimed response.
struct ReadCall {
    chat: Body,
    /// The call with the contents of the files that it names.
    filled: Object,
    memory: (Share, Room),
}

/// Why a claimed response does not run.
enum NotRun {
    /// It cannot run later either: it ends with this message.
    Hopeless(String),
    /// It may run after this time.
    NotYet(Duration, RequeueReason),
    /// Another run took it over.
    Lost,
    Failed(Error),
}

impl From<Error> for NotRun {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(refusal) => refuse(&refusal),
            // The operator's mistake must not end a job that was accepted: it waits until the models can be read.
            Error::NoModels(_) | Error::WrongModel { .. } => Self::NotYet(NOT_READY_WAIT, RequeueReason::NotReady),
            // The request or the model is not served any more, or the project has a budget by now, which cannot pay.
            Error::Invalid(_) | Error::UnknownModel(_) | Error::Unpriced(_) => Self::Hopeless(describe(&error).1),
            error => Self::Failed(error),
        }
    }
}

/// A limit does not admit the run: it waits, or the response ends if waiting cannot help.
fn refuse(refusal: &Refusal) -> NotRun {
    match (refusal.limit, refusal.retry_after) {
        (Limit::Requests { .. } | Limit::Tokens { .. }, Some(wait)) => NotRun::NotYet(wait, RequeueReason::NotAdmitted),
        (limit, _) => {
            if matches!(limit, Limit::Budget { .. }) {
                telemetry::record(&TelemetryEvent::BudgetRefused);
            }
            NotRun::Hopeless(refusal.to_string())
        }
    }
}

/// Why a claimed response cannot run, now or later.
fn why_not(record: &ResponseRecord, project: Option<&Project>, now: Timestamp) -> Option<String> {
    if record.runs >= MAX_RUNS {
        return Some(format!("The response was begun {MAX_RUNS} times and never ended."));
    }
    if record.unbegun > MAX_UNBEGUN {
        return Some(format!("{MAX_UNBEGUN} workers took the response up and died before they began it."));
    }
    if record.created_at.until(now) >= LIFETIME_MS {
        return Some(TOO_OLD.to_owned());
    }
    let is_archived = project.is_some_and(|project| project.archived_at.is_some());
    is_archived.then(|| "The project of this response was archived.".to_owned())
}

/// How long a response waits that finds no free slot of its project: the longer, the longer it has waited, so that many
/// waiting responses cost little. Jitter keeps them apart.
fn wait_for_slot(record: &ResponseRecord, now: Timestamp) -> Duration {
    let wait_ms = (record.created_at.until(now) / 4).clamp(2_000, 60_000);
    Duration::from_millis(rng::rng().random_range(wait_ms / 2..=wait_ms))
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
        let (claim, request, project) = tokio::join!(
            self.records.claim(key, now, now.plus_ms(LEASE_MS)),
            self.records.request(key),
            self.projects.get(&key.project_id)
        );
        let Some(record) = claim? else { return Ok(()) };
        let loaded = match request.and_then(|request| Ok(Loaded { request, project: project? })) {
            Ok(loaded) => loaded,
            // Without its project, nobody knows how many of its jobs may run.
            Err(error) => return self.not_run(&record, &skeleton_of(None), Error::from(error).into()).await,
        };
        let slot = Slot::new(&key.project_id, SlotKind::Job, &key.response_id);
        let limit = loaded.project.as_ref().map_or(DEFAULT_CONCURRENT_JOBS, Project::concurrent_jobs);
        if !self.slots.take(&slot, limit).await? {
            return self.requeue(&record, wait_for_slot(&record, now), RequeueReason::NotReady).await;
        }
        let used = UsageMeter::default();
        let run = AssertUnwindSafe(Box::pin(self.run_claimed(&record, loaded, &used, function_ends))).catch_unwind();
        match self.slots.keep(&slot, run).await {
            Ok(done) => done,
            Err(_) => self.recover_from_panic(&record, &used).await,
        }
    }

    /// The last moment at which a run begins that can take as long as any model allows, where the function ends at a time.
    pub async fn begins_until(&self, function_ends: Timestamp) -> Timestamp {
        let longest = match self.models.current().await {
            Ok(served) => served.catalog.models().iter().map(Model::longest_call).max().unwrap_or_default(),
            // Every job waits for the models.
            Err(_) => return Timestamp::default(),
        };
        TimeLimit::last_begin(longest, function_ends)
    }

    async fn run_claimed(
        &self,
        record: &ResponseRecord,
        loaded: Loaded,
        used: &UsageMeter,
        function_ends: Option<Timestamp>,
    ) -> Result<(), Error> {
        let skeleton = skeleton_of(loaded.request.as_ref());
        match self.prepare(record, loaded, used, function_ends).await {
            Ok(run) => Box::pin(self.run(run)).await,
            Err(reason) => self.not_run(record, &skeleton, reason).await,
        }
    }

    /// Ends a claimed response that cannot run, or lets it wait.
    async fn not_run(&self, record: &ResponseRecord, skeleton: &Object, reason: NotRun) -> Result<(), Error> {
        match reason {
            NotRun::Hopeless(message) => self.finalizer.end_unstarted(record, skeleton, &message).await,
            NotRun::NotYet(wait, reason) => self.requeue(record, wait, reason).await,
            NotRun::Lost => Ok(()),
            NotRun::Failed(error) => Err(error),
        }
    }

    /// Reads the request of a response again, and reserves for its run.
    async fn prepare<'a>(
        &self,
        record: &ResponseRecord,
        Loaded { request: stored, project }: Loaded,
        used: &'a UsageMeter,
        function_ends: Option<Timestamp>,
    ) -> Result<Run<'a>, NotRun> {
        if let Some(message) = why_not(record, project.as_ref(), self.clock.now()) {
            return Err(NotRun::Hopeless(message));
        }
        let Some(Ok(request)) = stored.as_ref().map(|stored| read_request(stored)) else {
            tracing::error!(is_there = stored.is_some(), "request of a response cannot be read");
            return Err(NotRun::Hopeless("The request of this response cannot be read any more.".to_owned()));
        };
        let ReadCall { chat, filled, memory } = self.read_call(record, &request).await?;
        let served = self.models.current().await?;
        let model = accountable::priced(find_model(&served, &record.model, Endpoint::ChatCompletions)?, &chat);
        let time = TimeLimit::of_model(&self.clock, &model, function_ends);
        // Not every worker finds out for itself that a provider is down: the breaker's shared state is read in parallel.
        let (reserved, ()) = tokio::join!(
            self.reserve(record, &chat, &model, request.limit, time),
            self.dispatcher.refresh_breakers(&model)
        );
        let (reservation, limit) = reserved?;
        let (bound, price) = (reservation.bound, reservation.price.clone());
        let record = ResponseRecord { reservation: Some(reservation), ..record.clone() };
        let compacts = request.compacts();
        let skeleton = request.skeleton.with("status", Status::InProgress.name());
        let log = EventLog::new(self.records.clone(), self.clock.clone(), record.clone());
        Ok(Run {
            builder: EventBuilder::new(skeleton, record.next_sequence).compacting(compacts),
            sink: EventSink { sender: None, log: Some(log) },
            chat: bound::with_limit(filled, limit),
            deadline: time.deadline,
            record,
            model,
            served,
            bound,
            price,
            used,
            _memory: memory,
        })
    }

    /// Reads the call of a request, with the contents of the files that it names. A file that was deleted since the acceptance ends the
    /// response here, before there is anything to charge.
    async fn read_call(&self, record: &ResponseRecord, request: &StoredRequest) -> Result<ReadCall, NotRun> {
        let no_memory = || NotRun::NotYet(MEMORY_WAIT, RequeueReason::NotReady);
        let share = self.memory.share(request.bytes()).ok_or_else(no_memory)?;
        let mut chat = long_work(request.bytes(), || request.chat(record.created_at)).map_err(Error::from)?;
        self.files.find(&record.key.project_id, &mut chat).await?;
        let room = self.files.try_room(&record.key.project_id, &chat).ok_or_else(no_memory)?;
        let filled = self.files.fill(&chat, &chat.object).await?;
        Ok(ReadCall { chat, filled, memory: (share, room) })
    }

    /// The reservation under which a run calls its provider, and the limit of output tokens that the provider is sent:
    /// the reservation that waits for the run, or a new one after a run that died with its own.
    async fn reserve(
        &self,
        record: &ResponseRecord,
        chat: &Body,
        model: &Model,
        accepted_limit: Option<u64>,
        time: TimeLimit,
    ) -> Result<(StoredReservation, Option<u64>), NotRun> {
        let reservation = record.own_reservation();
        if let (Some(reservation), 0) = (reservation, record.runs) {
            return Ok((reservation.clone(), accepted_limit));
        }
        if reservation.is_none() {
            self.finalizer.settle(record, self.finalizer.charge_of_dead_run(record)).await?;
        }
        let project_id = &record.key.project_id;
        let (project, key) =
            tokio::join!(load_project(&self.projects, project_id), self.api_keys.by_id(project_id, &record.api_key_id));
        let (project, key) = (project?, key.map_err(Error::from)?);
        let limit = |budgeted| bound::limit_to_send(chat, model, &project.policy, budgeted);
        if let Some(reservation) = reservation {
            // A run between made the reservation, under other limits and another policy than the acceptance. A response is
            // one answer, so its reservation says how long it may be.
            let budgeted = project.limits.budget.is_some() || !reservation.placed.inner.is_empty();
            let limit = limit(budgeted).map(|_| reservation.bound.output);
            return Ok((reservation.clone(), limit));
        }
        let bound = bound::bound(chat, model, &project.policy);
        let key = key.map(|key| key.limits());
        let run = record.run.clone().map(|name| meter::Run::new(name, None, &project.policy));
        let levels = Levels { project: &project, key: key.as_ref(), run: run.as_ref() };
        let lease_until = time.over_at.plus_ms(GRACE_MS);
        let request = AdmissionRequest::new(levels, model, chat, &bound, lease_until, ReservedFor::Job);
        let admitted = self.admission.admit(&request).await?;
        let limit = limit(admitted.budgeted);
        let reservation =
            StoredReservation { fence: record.fence, placed: admitted.placed, bound, price: model.price.clone() };
        // Only the run that holds the fence may put its reservation into the record: another run would overwrite it, and
        // nothing would settle it.
        if self.records.set_reservation(record, &reservation).await.map_err(Error::from)?.is_written() {
            return Ok((reservation, limit));
        }
        self.ledger.release(&reservation.placed).await;
        Err(NotRun::Lost)
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
        if found.runs < MAX_RUNS && found.unbegun < MAX_UNBEGUN {
            self.finalizer.settle(&found, charge).await?;
            return self.retry(&found, None, RequeueReason::Used).await;
        }
        let request = self.records.request(&run.key).await?;
        let message = "The server had an error while making the response.";
        self.finalizer.end_failed(&found, &skeleton_of(request.as_ref()), message, charge).await
    }
}
