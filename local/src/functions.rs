//! The functions of the deployment, by name, and how each of them is started.

use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use shared::app::Error;
use shared::edge::Deps;
use shared::edge::telemetry::named;
use shared::edge::worker::{SqsBatchResponse, SqsEvent};
use shared::model::clock::Timestamp;

pub(crate) type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What a queue feeds: takes a batch of messages and the time by which it must be done with them.
pub type Worker = Arc<dyn Fn(SqsEvent, Timestamp) -> Boxed<SqsBatchResponse> + Send + Sync>;

/// What starts a function.
#[derive(Clone, Copy)]
pub(crate) enum Function {
    /// Requests.
    Http(fn(Deps) -> Router),
    /// The messages of the queue that has its name.
    Worker(fn(Deps) -> Worker),
    /// A schedule, each minute.
    Timer(fn(Deps) -> Boxed<Result<(), Error>>),
}

pub(crate) const FUNCTIONS: [(&str, Function); 10] = [
    ("chat", Function::Http(chat::router)),
    ("embeddings", Function::Http(embeddings::router)),
    ("models", Function::Http(models::router)),
    ("admin", Function::Http(admin::router)),
    ("responses", Function::Http(responses::router)),
    ("usage", Function::Http(usage::router)),
    ("webhooks", Function::Http(webhooks::router)),
    ("respond", Function::Worker(respond)),
    ("deliver", Function::Worker(deliver)),
    ("sweep", Function::Timer(|gateway| Box::pin(sweep::job(gateway)))),
];

fn respond(gateway: Deps) -> Worker {
    worker(move |event, ends| respond::job(event, Arc::clone(&gateway), Some(ends)))
}

fn deliver(gateway: Deps) -> Worker {
    worker(move |event, _| deliver::job(event, Arc::clone(&gateway)))
}

/// Makes a worker of a function's job.
#[must_use]
pub fn worker<F>(job: impl Fn(SqsEvent, Timestamp) -> F + Send + Sync + 'static) -> Worker
where
    F: Future<Output = SqsBatchResponse> + Send + 'static,
{
    Arc::new(move |event, deadline| Box::pin(job(event, deadline)))
}

/// The names of all functions.
pub fn function_names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|(name, _)| *name)
}

/// The routes of one function, without the stack around them; `None` if it serves no requests.
#[must_use]
pub fn router(function: &str, gateway: &Deps) -> Option<Router> {
    FUNCTIONS.iter().find_map(|(name, started_by)| match started_by {
        Function::Http(router) if *name == function => Some(router(Arc::clone(gateway))),
        Function::Http(_) | Function::Worker(_) | Function::Timer(_) => None,
    })
}

/// Every route of every function, without the stack around them.
pub fn routes(gateway: &Deps) -> Router {
    let routers = FUNCTIONS.iter().filter_map(|(name, function)| match function {
        Function::Http(router) => Some(named(router(Arc::clone(gateway)), name)),
        Function::Worker(_) | Function::Timer(_) => None,
    });
    routers.fold(Router::new(), Router::merge)
}
