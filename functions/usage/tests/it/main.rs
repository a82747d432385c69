//! The usage API on the embedded stores.

mod reports;
mod world;
