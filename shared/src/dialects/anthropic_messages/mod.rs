//! Anthropic's Messages API: what weir reads of a request, and how it writes events and errors.

mod count;
mod error;
mod members;
mod overflow;
mod shape;
pub mod stream;

pub use count::CountTokens;
pub use error::error;
pub(in crate::dialects) use members::MEMBERS;
pub(in crate::dialects) use shape::{Measured, measure};
