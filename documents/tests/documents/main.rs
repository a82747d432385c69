//! Whole and hostile documents of each kind.
#![expect(clippy::unwrap_used, reason = "in a test that is the failure")]

mod build;
mod formats;
mod hostile;
mod pdf;
