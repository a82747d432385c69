//! The crate that every function shares.
//!
//! Layers point one way: `edge` (HTTP) uses `app` (operations), which uses `data` (the table and the
//! bucket), which uses `model` (what things are). `model` and `app` know neither HTTP frameworks nor SDKs.

pub mod app;
pub mod data;
pub mod dialects;
pub mod edge;
pub mod model;
