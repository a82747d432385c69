//! The whole service in one process, on embedded stores. `cargo run` starts it.

mod functions;
pub mod import;
mod invoke;
mod jobs;
mod keys;
mod provision;
mod server;
mod settings;
mod stores;
mod workers;

pub use functions::{function_names, router, routes};
pub use invoke::{invoke, invoke_on};
pub use jobs::{Deployment, JobsCommand, JobsError, jobs};
pub use provision::{provision_key, provision_project};
pub use server::{Running, serve};
pub use settings::{Data, Settings};
pub use stores::remote_table;
pub use workers::{acknowledge, event_of};

/// Why the server could not start, or why an event could not be replayed. Each message fits on one line and says, where
/// it can, how to fix the cause.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    #[error("port {port} is in use; stop what listens there, or choose another with --port")]
    PortInUse { port: u16 },
    #[error("could not listen on port {port}")]
    Listen {
        port: u16,
        #[source]
        source: std::io::Error,
    },
    #[error("could not read `{path}`")]
    Read {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("{path}, {error}")]
    Models { path: String, error: shared::model::catalog::CatalogError },
    #[error(transparent)]
    Stores(#[from] embedded::OpenError),
    #[error("could not prepare the stores")]
    Prepare(#[from] shared::data::StoreError),
    #[error("could not write `{path}`")]
    Write {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("`{path}` is damaged: {reason}; delete it to get new keys")]
    Keys { path: String, reason: String },
    #[error(transparent)]
    Providers(#[from] providers::ConnectError),
    #[error("no function is named `{name}`; there are: {known}")]
    UnknownFunction { name: String, known: String },
    #[error("the file holds no event of this function: {0}")]
    Event(String),
    #[error("the job failed")]
    Job(#[source] Box<shared::app::Error>),
    #[error("the server stopped")]
    Serve(#[source] std::io::Error),
}
