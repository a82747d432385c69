//! Generating a response: the provider's chunks become events, which go to the client that waits and into the record.
//!
//! The request that waits for a response and the worker that makes one in the background both generate it here.

mod event_log;
mod event_sink;
mod generate;
mod names;
mod run_end;

pub(super) use event_log::{EventLog, RunLost};
pub(super) use event_sink::EventSink;
pub(super) use generate::{Generated, expect_stream, generate};
pub(super) use names::in_request;
pub(super) use run_end::{RunEnd, describe, failed_end, read_output, read_request, skeleton_of};

/// How long a run may be silent before another process treats it as dead.
pub(super) const LEASE_MS: u64 = 30_000;
/// After this time the sweeper does what a lost message or a dead process left undone.
pub(super) const LOST_AFTER_MS: u64 = 60_000;
/// After this time no process writes that was at work before: a function lives for 15 minutes, and a call for as long as its
/// model's `total_ms`, 10 minutes if nothing else is set.
pub(super) const QUIET_AFTER_MS: u64 = 3_600_000;
