//! Lambda on loopback: its Runtime API, and the AWS services that a function finds in its environment.
//!
//! A [`Function`] is the real binary of a function in a process of its own. It gets invocations and posts answers as on
//! Lambda, streamed ones chunk by chunk. [`Aws`] serves its real SDK clients from the embedded engines.

mod answer;
mod api;
mod aws;
mod bootstrap;
mod deployment;
mod function;
mod http;
mod upstream;

pub use answer::{Answer, Chunk, Prelude, Whole};
pub use aws::Aws;
pub use bootstrap::{Service, linked, permitted};
pub use deployment::{Deployment, request_event};
pub use function::{Function, Memory};
pub use upstream::{Upstream, UpstreamCall};

/// The reason why a function failed. The text contains the output of the function.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("could not start `{path}`")]
    Start {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("the function ended ({status}) before it {awaited}; it wrote:\n{wrote}")]
    Ended { status: std::process::ExitStatus, awaited: &'static str, wrote: String },
    #[error("the function did not {awaited} within {} s; it wrote:\n{wrote}", function::PATIENCE.as_secs())]
    Silent { awaited: &'static str, wrote: String },
    #[error("the invocation failed: {0}")]
    Invocation(String),
    #[error("the answer is none that Lambda understands: {0}")]
    Malformed(String),
    #[error("could not read or write")]
    Io(#[from] std::io::Error),
}
