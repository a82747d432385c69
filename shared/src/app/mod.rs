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

pub use admission::{Limit, MeterLimits, Rate, RateStatus, Refusal};
pub use answer::{Answer, CallMetadata, FinalUsage};
pub use cache::{CacheControl, CacheOutcome};
pub use dispatch::ErrorChain;
pub use error::{Error, RenderedError};
pub use gateway::{Gateway, Parts};
pub use page::{Cursor, Page};
pub use responses::ResponseRequest;
pub use run::{CallOptions, Request};
pub use sweep::SweepReport;
