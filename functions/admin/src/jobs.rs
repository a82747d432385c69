//! `/v1/organization/jobs` and `/v1/organization/dead_letters`: weir's own, in the style of the admin API.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::app::Error;
use shared::data::{DeadLetter, Queue, ResponseRecord};
use shared::dialects::openai_responses::Status;
use shared::edge::{Admin, Deps, Input, List, Params, Path, Rejection, cursor};
use shared::model::invalid::Invalid;

/// A background response as an operator sees it: without what was asked and answered.
#[derive(Serialize)]
pub(crate) struct JobObject {
    id: String,
    object: &'static str,
    project_id: String,
    status: &'static str,
    model: String,
    created_at: u64,
    finished_at: Option<u64>,
    /// Times that a worker began it.
    runs: u64,
    /// When its worker must have given a sign of life, or when it is looked at again.
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
            finished_at: record.finished_at.map(shared::model::clock::Timestamp::seconds),
            runs: record.runs,
            due_at: record.due_at.map(shared::model::clock::Timestamp::seconds),
            events: record.next_sequence,
            cost_usd: record.status.is_terminal().then(|| record.cost.to_string()),
        }
    }
}

pub(crate) async fn list(
    _: Admin,
    State(gateway): State<Deps>,
    params: Params,
) -> Result<Json<List<JobObject>>, Rejection> {
    let status = params.text("status").map(status).transpose().map_err(Error::from)?;
    let page = gateway.jobs(params.text("project_id"), status, &cursor(&params).map_err(Error::from)?).await?;
    Ok(Json(List::of(page, |record| &record.key.response_id, JobObject::from)))
}

pub(crate) async fn retrieve(
    _: Admin,
    State(gateway): State<Deps>,
    Path(id): Path<String>,
) -> Result<Json<JobObject>, Rejection> {
    Ok(Json(gateway.job(&id).await?.into()))
}

pub(crate) async fn cancel(
    _: Admin,
    State(gateway): State<Deps>,
    Path(id): Path<String>,
) -> Result<Json<JobObject>, Rejection> {
    Ok(Json(gateway.cancel_any_job(&id).await?.into()))
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
    /// Which job it is about. Messages hold no content.
    body: String,
    sent_at: Option<u64>,
}

pub(crate) async fn dead_letters(
    _: Admin,
    State(gateway): State<Deps>,
    params: Params,
) -> Result<Json<DeadLetters>, Rejection> {
    let queues = match params.text("queue") {
        Some(name) => vec![queue(name).map_err(Error::from)?],
        None => Queue::ALL.to_vec(),
    };
    let mut data = Vec::new();
    for queue in queues {
        data.extend(gateway.dead_letters(queue).await?.into_iter().map(|letter| shown(queue, letter)));
    }
    Ok(Json(DeadLetters { object: "list", data }))
}

fn shown(queue: Queue, letter: DeadLetter) -> DeadLetterObject {
    DeadLetterObject {
        id: letter.message_id,
        object: "organization.dead_letter",
        queue: queue.name(),
        body: letter.body,
        sent_at: letter.sent_at.map(|at| at / 1_000),
    }
}

#[derive(Deserialize)]
pub(crate) struct Replay {
    queue: String,
    /// Ids of dead letters; without them all are replayed, up to 100 at once.
    ids: Option<Vec<String>>,
}

#[derive(Serialize)]
pub(crate) struct Replayed {
    object: &'static str,
    replayed: usize,
}

pub(crate) async fn replay(
    _: Admin,
    State(gateway): State<Deps>,
    Input(body): Input<Replay>,
) -> Result<Json<Replayed>, Rejection> {
    let queue = queue(&body.queue).map_err(Error::from)?;
    let replayed = gateway.replay_dead_letters(queue, body.ids.as_deref()).await?;
    Ok(Json(Replayed { object: "organization.dead_letters.replay", replayed }))
}

fn queue(name: &str) -> Result<Queue, Invalid> {
    let known = Queue::ALL.into_iter().find(|queue| queue.name() == name);
    known.ok_or_else(|| Invalid::field("queue", format!("`queue` is `{name}`, expected `respond` or `deliver`.")))
}

fn status(name: &str) -> Result<Status, Invalid> {
    let message = || {
        format!(
            "`status` is `{name}`, expected `queued`, `in_progress`, `completed`, `incomplete`, `failed` or `cancelled`."
        )
    };
    Status::parse(name).ok_or_else(|| Invalid::field("status", message()))
}
