//! `/v1/organization/jobs` and `/v1/organization/dead_letters`. OpenAI has no such routes; these follow its style.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::app::JobAdmin;
use shared::data::{DeadLetter, Queue, ResponseRecord};
use shared::edge::{Admin, Input, List, Params, Path, Rejection, cursor};
use shared::model::clock::Timestamp;
use shared::model::invalid::Invalid;
use shared::model::response::Status;

/// A background response in the view of an operator: without its input and output.
#[derive(Serialize)]
pub(crate) struct JobObject {
    id: String,
    object: &'static str,
    project_id: String,
    status: &'static str,
    model: String,
    created_at: u64,
    finished_at: Option<u64>,
    /// How often a worker started it.
    runs: u64,
    /// The time at which the sweep takes it up, unless its worker renews its lease before.
    due_at: Option<u64>,
    events: u64,
    cost_usd: Option<String>,
}

impl From<ResponseRecord> for JobObject {
    fn from(record: ResponseRecord) -> Self {
        Self {
            id: record.key.response_id,
            object: "organization.job",
            project_id: record.key.project_id,
            status: record.status.name(),
            model: record.model,
            created_at: record.created_at.seconds(),
            finished_at: record.finished_at.map(Timestamp::seconds),
            runs: record.runs,
            due_at: record.due_at.map(Timestamp::seconds),
            events: record.next_sequence,
            cost_usd: record.status.is_terminal().then(|| record.charge.cost.to_string()),
        }
    }
}

pub(crate) async fn list(
    _: Admin,
    State(jobs): State<Arc<JobAdmin>>,
    params: Params,
) -> Result<Json<List<JobObject>>, Rejection> {
    let status = params.text("status").map(parse_status).transpose()?;
    let cursor = cursor(&params)?;
    if let Some(after) = &cursor.after {
        jobs.get(after).await?; // A mistyped id would name a place in the list, too.
    }
    let page = jobs.list(params.text("project_id"), status, &cursor).await?;
    Ok(Json(List::of(page, |record| &record.key.response_id, JobObject::from)))
}

pub(crate) async fn retrieve(
    _: Admin,
    State(jobs): State<Arc<JobAdmin>>,
    Path(id): Path<String>,
) -> Result<Json<JobObject>, Rejection> {
    Ok(Json(jobs.get(&id).await?.into()))
}

pub(crate) async fn cancel(
    admin: Admin,
    State(jobs): State<Arc<JobAdmin>>,
    Path(id): Path<String>,
) -> Result<Json<JobObject>, Rejection> {
    Ok(Json(jobs.cancel(&id, admin.actor()).await?.into()))
}

#[derive(Serialize)]
pub(crate) struct DeadLetters {
    object: &'static str,
    data: Vec<DeadLetterObject>,
}

#[derive(Serialize)]
struct DeadLetterObject {
    id: String,
    object: &'static str,
    queue: &'static str,
    /// The key of the job. A message has no content of a request.
    body: String,
    sent_at: Option<u64>,
}

pub(crate) async fn dead_letters(
    _: Admin,
    State(jobs): State<Arc<JobAdmin>>,
    params: Params,
) -> Result<Json<DeadLetters>, Rejection> {
    let queues = match params.text("queue") {
        Some(name) => vec![parse_queue(name)?],
        None => Queue::ALL.to_vec(),
    };
    let mut data = Vec::new();
    for queue in queues {
        data.extend(jobs.dead_letters(queue).await?.into_iter().map(|letter| DeadLetterObject::new(queue, letter)));
    }
    Ok(Json(DeadLetters { object: "list", data }))
}

impl DeadLetterObject {
    fn new(queue: Queue, letter: DeadLetter) -> Self {
        Self {
            id: letter.message_id,
            object: "organization.dead_letter",
            queue: queue.name(),
            body: letter.body,
            sent_at: letter.sent_at.map(|at| at / 1_000),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Replay {
    queue: String,
    /// Ids of dead letters. Without ids all are replayed, at most 100 per request.
    ids: Option<Vec<String>>,
}

#[derive(Serialize)]
pub(crate) struct Replayed {
    object: &'static str,
    replayed: usize,
}

pub(crate) async fn replay(
    admin: Admin,
    State(jobs): State<Arc<JobAdmin>>,
    Input(body): Input<Replay>,
) -> Result<Json<Replayed>, Rejection> {
    let queue = parse_queue(&body.queue)?;
    let replayed = jobs.replay_dead_letters(queue, body.ids.as_deref(), admin.actor()).await?;
    Ok(Json(Replayed { object: "organization.dead_letters.replay", replayed }))
}

fn parse_queue(name: &str) -> Result<Queue, Invalid> {
    let known = Queue::ALL.into_iter().find(|queue| queue.name() == name);
    known.ok_or_else(|| Invalid::field("queue", format!("`queue` is `{name}`, expected `respond` or `deliver`.")))
}

fn parse_status(name: &str) -> Result<Status, Invalid> {
    let message = || {
        format!(
            "`status` is `{name}`, expected `queued`, `in_progress`, `completed`, `incomplete`, `failed` or `cancelled`."
        )
    };
    Status::parse(name).ok_or_else(|| Invalid::field("status", message()))
}
