//! The pipeline of a call: [`Call`] (checked, priced, bounded) -> [`OpenCall`] (admitted, key claimed, cache looked up) ->
//! the provider's answer -> settled. A worker takes the same steps with the same parts, under the fence of its record
//! instead of a key (`jobs::worker`).
//!
//! A call runs in a task of its own: it ends whether or not its client stays. Every way out settles it: success, error,
//! refusal, hang-up, deadline, and a panic anywhere in the task.

mod call;
mod open_call;
mod run;
mod start;

use std::sync::Arc;

use super::admission::Admission;
use super::cache::ResponseCache;
use super::call_files::CallFiles;
use super::dispatch::Dispatcher;
use super::idempotency::Idempotency;
use super::ledger::Ledger;
use super::slots::Slots;
use super::tasks::Tasks;

pub(super) use call::{Asked, Call, GRACE_MS, TimeLimit, check_callable, find_model, kind_at};
pub use call::{CallOptions, RunOptions};
pub(super) use open_call::OpenCall;
pub(super) use run::Runner;

/// Takes calls from their admission to their settlement.
pub(super) struct Pipeline {
    pub(super) admission: Arc<Admission>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) idempotency: Idempotency,
    pub(super) cache: ResponseCache,
    pub(super) files: CallFiles,
    pub(super) dispatcher: Arc<Dispatcher>,
    pub(super) slots: Slots,
    pub(super) tasks: Tasks,
}
