//! The function's binary behind Lambda's Runtime API: what of a streamed answer is seen when, and when its books are closed.

mod buffered;
mod left;
mod stage;
mod streamed;
