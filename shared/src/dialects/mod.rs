//! The APIs of clients: reads their requests, and writes their answers and streams.
//!
//! A client's dialect and a provider's meet in one canonical call: an OpenAI chat completion ([`openai_chat::Body`]).
//! If client and provider use the same API, bytes pass unchanged. Everything here is pure: no I/O, no clock, no HTTP
//! framework.

pub mod anthropic_messages;
pub mod body;
pub mod input_files;
pub mod openai_batches;
pub mod openai_chat;
pub mod openai_embeddings;
pub mod openai_files;
pub mod openai_responses;
pub mod openai_uploads;
pub mod openai_vector_stores;
pub(crate) mod parts;
pub mod sse;
pub mod tokens;
mod unknown;
mod walk;

pub use crate::model::content_type::ContentType;
