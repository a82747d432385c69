//! The functions of the deployment by name, and the event that starts each.

use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use ingest::FileReader;
use shared::app::{Components, Error};
use shared::edge::render;
use shared::edge::telemetry::observe_as;
use shared::edge::worker::{SqsBatchResponse, SqsEvent};
use shared::model::clock::Timestamp;

pub(crate) type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The worker of a queue. It takes a batch of messages and the time at which it is stopped.
pub(crate) type Worker = Arc<dyn Fn(SqsEvent, Timestamp) -> Boxed<SqsBatchResponse> + Send + Sync>;

/// The job of a schedule.
pub(crate) type Job = Arc<dyn Fn() -> Boxed<Result<(), Error>> + Send + Sync>;

/// The kind of event that starts a function, and how the function is made of the components.
#[derive(Clone, Copy)]
pub(crate) enum Function {
    /// Requests start it.
    Http(fn(&Components) -> Router),
    /// Messages start it, from the queue that has its name.
    Worker(fn(&Components) -> Worker),
    /// A schedule starts it, each minute.
    Timer(fn(&Components) -> Job),
}

pub(crate) const FUNCTIONS: [(&str, Function); 16] = [
    ("chat", Function::Http(|components| chat::router(components.auth(), components.calls()))),
    ("embeddings", Function::Http(|components| embeddings::router(components.auth(), components.calls()))),
    ("messages", Function::Http(|components| messages::router(components.auth(), components.calls()))),
    ("models", Function::Http(|components| models::router(components.auth(), components.models()))),
    ("admin", Function::Http(admin)),
    ("responses", Function::Http(responses)),
    (
        "usage",
        Function::Http(|components| {
            usage::router(components.auth(), components.usage_reports(), components.clock().clone())
        }),
    ),
    ("files", Function::Http(|components| files::router(components.auth(), components.files(), components.uploads()))),
    ("batches", Function::Http(|components| batches::router(components.auth(), components.batches()))),
    ("vector-stores", Function::Http(vector_stores)),
    ("webhooks", Function::Http(|components| webhooks::router(components.auth(), components.webhooks()))),
    ("respond", Function::Worker(respond)),
    ("deliver", Function::Worker(deliver)),
    ("batch", Function::Worker(batch)),
    ("ingest", Function::Worker(ingest)),
    ("sweep", Function::Timer(sweep)),
];

fn admin(components: &Components) -> Router {
    admin::router(
        components.auth(),
        components.projects(),
        components.service_accounts(),
        components.job_admin(),
        components.target_states(),
        components.audit_log(),
        components.admin_keys(),
    )
}

fn responses(components: &Components) -> Router {
    let responses = components.responses();
    responses::router(
        components.auth(),
        Arc::clone(&responses),
        components.conversations(),
        components.quotes(responses),
        components.clock().clone(),
    )
}

fn respond(components: &Components) -> Worker {
    let response_worker = components.response_worker();
    worker(move |event, ends| respond::job(event, Arc::clone(&response_worker), Some(ends)))
}

fn deliver(components: &Components) -> Worker {
    let deliverer = components.deliverer();
    worker(move |event, _| deliver::job(event, Arc::clone(&deliverer)))
}

fn batch(components: &Components) -> Worker {
    let batch_worker = components.batch_worker(render);
    worker(move |event, ends| batch::job(event, Arc::clone(&batch_worker), Some(ends)))
}

fn vector_stores(components: &Components) -> Router {
    vector_stores::router(
        components.auth(),
        components.vector_stores(),
        components.store_files(),
        components.vector_search(),
    )
}

fn ingest(components: &Components) -> Worker {
    let ingest_worker = components.ingest_worker(Arc::new(FileReader), render);
    worker(move |event, ends| ingest::job(event, Arc::clone(&ingest_worker), Some(ends)))
}

fn sweep(components: &Components) -> Job {
    let sweeper = components.sweeper();
    Arc::new(move || Box::pin(sweep::job(Arc::clone(&sweeper))))
}

/// Makes a worker of a function's job.
pub(crate) fn worker<F>(job: impl Fn(SqsEvent, Timestamp) -> F + Send + Sync + 'static) -> Worker
where
    F: Future<Output = SqsBatchResponse> + Send + 'static,
{
    Arc::new(move |event, function_ends| Box::pin(job(event, function_ends)))
}

/// The names of all functions.
pub fn function_names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|(name, _)| *name)
}

/// The routes of one function, without the stack around them; `None` if it serves no requests.
#[must_use]
pub fn router(function: &str, components: &Components) -> Option<Router> {
    FUNCTIONS.iter().find_map(|(name, started_by)| match started_by {
        Function::Http(router) if *name == function => Some(router(components)),
        Function::Http(_) | Function::Worker(_) | Function::Timer(_) => None,
    })
}

/// The routes of all functions, without the stack around them.
pub fn routes(components: &Components) -> Router {
    let routers = FUNCTIONS.iter().filter_map(|(name, function)| match function {
        Function::Http(router) => Some(observe_as(router(components), name)),
        Function::Worker(_) | Function::Timer(_) => None,
    });
    routers.fold(Router::new(), Router::merge)
}
