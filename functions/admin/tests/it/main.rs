//! The admin API on the embedded stores.

mod accounts;
mod limits;
mod projects;
mod refusals;
mod world;
