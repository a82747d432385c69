//! Anthropic's Messages API: what weir reads of a request, and how it writes events and errors.

mod members;
mod shape;

pub(in crate::dialects) use members::MEMBERS;
pub(in crate::dialects) use shape::{Measured, measure};
