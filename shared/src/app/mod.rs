//! Operations: what weir does, without HTTP.

mod access;
pub mod admin;
mod admission;
mod answer;
mod bound;
mod breaker;
mod cache;
mod dispatch;
mod error;
mod gateway;
mod idempotency;
mod page;
mod run;
mod stream;
mod sweep;
pub mod usage;
pub mod webhooks;

pub use admission::{Limit, Rate, RateStatus, Refusal, Terms};
pub use answer::{Answer, Facts};
pub use cache::{CacheControl, CacheOutcome};
pub use dispatch::Chain;
pub use error::{Error, Rendered};
pub use gateway::{Gateway, Parts};
pub use page::{Cursor, Page};
pub use run::Request;
pub use sweep::Swept;
