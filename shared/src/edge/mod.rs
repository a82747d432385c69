//! Where calls and messages come in: what happens before an operation decides, and how its outcome becomes an answer.

mod answer;
mod call;
mod caller;
pub mod config;
pub mod connect;
mod input;
pub mod lambda;
mod list;
mod log;
mod params;
mod reject;
mod stack;
pub mod telemetry;
pub mod worker;

pub use answer::{respond, respond_to};
pub use call::{function_ends, serve};
pub use caller::{Admin, bearer};
pub use input::{Input, Path, Query, body};
pub use list::{List, cursor};
pub use params::Params;
pub use reject::{Rejection, render};
pub use stack::stack;
pub use telemetry::Telemetry;

/// What every router holds.
pub type Deps = std::sync::Arc<crate::app::Gateway>;
