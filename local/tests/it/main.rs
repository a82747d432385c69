//! `weir` as a process: faults that only a process has.
#![expect(clippy::unwrap_used, reason = "in a test that is the failure")]

mod batches;
mod commands;
mod data;
mod descriptors;
mod log;
mod process;
mod upstream;
