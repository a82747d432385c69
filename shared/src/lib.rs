//! The crate that every function shares.
//!
//! Layers point one way: `edge` (HTTP) uses `app` (operations), which uses `data` (the table, the bucket, the queues),
//! which uses `dialects` (the APIs that clients speak), which uses `model` (money, time, projects, models). Only `data`
//! and `edge` know SDKs, and only `edge` knows an HTTP framework.

pub mod app;
pub mod data;
pub mod dialects;
pub mod edge;
pub mod model;
