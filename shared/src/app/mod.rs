//! Operations: components that own their state and do one job each, without HTTP. [`Components`] makes them.

mod admission;
mod answer;
mod auth;
mod cache;
mod calls;
mod components;
mod conversations;
mod dispatch;
mod error;
mod generation;
mod idempotency;
mod jobs;
mod ledger;
mod models;
mod pipeline;
pub mod projects;
mod responses;
mod tasks;
pub mod telemetry;
pub mod usage;
pub mod webhooks;
mod worker_queues;

pub use crate::model::error_chain::ErrorChain;
pub use crate::model::meter::{Limit, Rate, RateStatus, Refusal};
pub use crate::model::page::{Cursor, Page};
pub use answer::{CallAnswer, CallMetadata, FinalUsage};
pub use auth::Auth;
pub use cache::{CacheControl, CacheOutcome};
pub use calls::{CallRequest, Calls};
pub use components::Components;
pub use conversations::Conversations;
pub use error::{Error, RenderedError};
pub use jobs::{JobAdmin, ResponseWorker, SweepReport, Sweeper};
pub use models::{Models, ModelsError, ModelsSource, Providers, ServedModels};
pub use pipeline::{CallOptions, RunOptions};
pub use responses::{ResponseRequest, Responses};
