//! The whole service in one process, on embedded stores. `cargo run` starts it.

mod admin_keys;
mod batch;
mod check;
mod client;
mod connections;
mod descriptors;
mod doctor;
mod files;
mod functions;
pub mod import;
mod invoke;
mod jobs;
mod keys;
mod providers;
mod provision;
mod server;
mod settings;
mod stores;
mod unread;
mod upkeep;
mod workers;

use std::fmt;

use shared::model::catalog::CatalogError;

pub use admin_keys::{AdminKeysCommand, admin_keys};
pub use batch::{BatchCommand, batch};
pub use check::{Finding, check};
pub use client::{ClientError, Deployment, ProjectDeployment};
pub use descriptors::raise_descriptor_limit;
pub use doctor::{DoctorArgs, Look, Verdict, doctor};
pub use files::{FilesCommand, files};
pub use functions::{function_names, router, routes};
pub use invoke::{invoke, invoke_on};
pub use jobs::{JobsCommand, jobs};
pub use providers::providers;
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
    #[error("{path} is wrong; {problems}")]
    Models { path: String, problems: Problems },
    #[error("{path} defines no model; add a [[model]], or leave --models out for the builtin models")]
    NoModels { path: String },
    #[error(transparent)]
    Stores(#[from] embedded::OpenError),
    #[error(
        "could not prepare the stores; if the data folder is damaged, put a copy of it in its place, or choose another with --data"
    )]
    Prepare(#[from] shared::data::StoreError),
    #[error("could not write `{path}`")]
    Write {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("`{path}` is damaged: {reason}; delete it to get new keys")]
    Keys { path: String, reason: String },
    #[error("no function is named `{name}`; there are: {known}")]
    UnknownFunction { name: String, known: String },
    #[error("the file holds no event of this function: {0}")]
    Event(String),
    #[error("the job failed")]
    Job(#[source] Box<shared::app::Error>),
    #[error("the port has no address")]
    Address(#[source] std::io::Error),
}

/// All that is wrong in a models file.
#[derive(Debug)]
pub struct Problems(pub Vec<CatalogError>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&shown.join("; "))
    }
}
