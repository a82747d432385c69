//! The async layer: work that outlives its request. Queues only wake workers; the record of a response is the job, and the
//! due index finds every record that a lost message or a dead worker left behind.

mod admin;
mod canceller;
mod eraser;
mod finalizer;
mod memory;
mod project_worker;
mod purger;
mod recovery;
mod run;
mod store_sweeper;
mod sweeper;
mod worker;

pub use admin::JobAdmin;
pub(super) use canceller::Canceller;
pub(super) use eraser::Eraser;
pub(super) use finalizer::Finalizer;
pub(super) use memory::RequestMemory;
pub(super) use project_worker::ProjectWorker;
pub(super) use purger::Purger;
pub(super) use recovery::Recovery;
pub(super) use store_sweeper::StoreSweeper;
pub use sweeper::{SweepReport, Sweeper};
pub use worker::ResponseWorker;

/// A job that has not ended after a day is given up.
pub(super) const LIFETIME_MS: u64 = 86_400_000;
/// The message of a response that was given up for its age.
const TOO_OLD: &str = "The response did not end within 24 hours.";
