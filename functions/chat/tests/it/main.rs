//! The function's binary behind Lambda's Runtime API: what of a streamed answer is seen when, and when its books are closed.
#![expect(clippy::unwrap_used, reason = "in a test that is the failure")]

mod buffered;
mod chat_function;
mod left;
mod streamed;
