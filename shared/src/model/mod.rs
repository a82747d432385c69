//! The types of the domain: money, tokens, projects, models, provider calls. No I/O beyond waiting, no framework.

pub mod audit;
pub mod backoff;
pub mod catalog;
pub mod clock;
pub mod error_chain;
pub mod id;
pub mod invalid;
pub mod keys;
pub mod long_work;
pub mod message;
pub mod meter;
pub mod money;
pub mod object;
pub mod page;
pub mod patch;
pub mod project;
pub mod project_patch;
pub mod provider;
pub mod response;
pub mod retry_after;
pub mod rng;
pub mod secret;
pub mod shortage;
pub mod tokens;
pub mod usage;
pub mod webhook;
