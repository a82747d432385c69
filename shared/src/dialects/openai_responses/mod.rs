//! The Responses API as a way to ask for a chat completion: requests, items, answers and their events.
//!
//! Providers are asked for chat completions, so a request becomes a chat call ([`CreateResponse::chat`]) and the chunks of its
//! stream become the events of a response ([`EventBuilder`]). Everything here is pure: stores, streams and clocks are elsewhere.
//!
//! What chat completions cannot express is refused where it is named: tools other than functions, items other than
//! messages, function calls and their outputs, uploaded files, stored prompts. Reasoning items are kept and listed but not sent,
//! because no chat call takes them.

mod answer;
mod builder;
mod chat;
mod conversation;
mod create;
mod event;
mod fields;
mod input_part;
mod item;
mod list;
mod metadata;
mod part;
mod settings;
mod skeleton;
mod status;
mod view;

pub use answer::{Bill, cancelled, deleted, failed};
pub use builder::EventBuilder;
pub use conversation::{NewConversation, changed_metadata, conversation, conversation_deleted, sent_items};
pub use create::{CreateResponse, check_include};
pub use event::ResponseEvent;
pub use input_part::InputPart;
pub use item::{Item, is_id, parse_items};
pub use list::{ListQuery, Order, list};
pub use metadata::metadata;
pub use status::Status;

#[cfg(test)]
mod tests;
