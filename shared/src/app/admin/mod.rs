//! Administration: projects with their limits and policies, service accounts and their keys.
//!
//! A project is read, changed and written under the condition that its revision is still the one that was read, so that
//! no change is lost. Limits are in force when the change returns; see `Gateway::apply_limits`.

mod accounts;
mod change;
mod jobs;
mod projects;

pub use accounts::Issued;
pub use change::{LimitsChange, Patch, PolicyChange, ProjectChange};
pub use projects::NewProject;
