//! What clients speak: how each API's requests are read and how its answers and streams are written.
//!
//! Between a client's dialect and a provider's is one canonical call: an OpenAI chat completion
//! ([`openai_chat::Body`]). Where client and provider speak the same, bytes pass unchanged. Everything here is pure:
//! no I/O, no clock, no HTTP framework.

mod content_type;
pub mod openai_chat;
pub mod openai_responses;
pub(crate) mod parts;
pub mod sse;

pub use content_type::ContentType;
