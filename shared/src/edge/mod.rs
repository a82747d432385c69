//! HTTP and queues: how a request or a message reaches an operation, and how the outcome becomes an answer.

mod answer;
mod base_path;
mod cache_control;
mod call;
mod caller;
pub mod config;
pub mod connect;
mod copies;
mod cors;
mod input;
pub mod lambda;
mod lent;
mod list;
mod log;
mod more;
mod params;
mod reject;
mod sender;
mod stack;
mod sweep;
pub mod telemetry;
pub mod worker;

pub use answer::{respond, respond_to};
pub use base_path::{BasePath, BasePathError};
pub use call::{call_options, function_ends, serve};
pub use caller::{Admin, bearer};
pub use copies::{Copies, HeldTags, json_or_unchanged};
pub use cors::{AllowedOrigins, OriginError};
pub use input::{Input, Path, SentBody, read_body};
pub use list::{List, cursor};
pub use params::Params;
pub use reject::{Rejection, refusal_code, render};
pub use sender::PeerAddress;
pub use stack::stack;
pub use sweep::log_sweep;
pub use telemetry::Telemetry;
