//! Operations: what weir does, without HTTP.

mod access;
pub mod admin;
mod admission;
mod answer;
mod books;
mod bound;
mod breaker;
mod cache;
mod conversations;
mod dispatch;
mod error;
mod gateway;
mod idempotency;
mod page;
pub mod responses;
mod run;
mod stream;
mod sweep;
pub mod telemetry;
pub mod usage;
pub mod webhooks;

pub use admission::{Limit, Rate, RateStatus, Refusal, Terms};
pub use answer::{Answer, Closing, Facts};
pub use cache::{CacheControl, CacheOutcome};
pub use dispatch::Chain;
pub use error::{Error, Rendered};
pub use gateway::{Gateway, Parts};
pub use page::{Cursor, Page};
pub use responses::ResponseRequest;
pub use run::{CallTerms, Request};
pub use sweep::Swept;
