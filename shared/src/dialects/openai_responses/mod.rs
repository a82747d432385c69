//! The Responses API on top of chat completions: requests, items, answers and their events.
//!
//! Providers serve chat completions. A request becomes a chat call ([`CreateResponse::chat`]), and the chunks of its
//! stream become the events of a response ([`EventBuilder`]). Everything here is pure: no stores, no streams, no
//! clocks.
//!
//! A request that a chat completion cannot express is refused, with the path of the member: tools that OpenAI runs and whose
//! absence would change the answer; items of such tools; uploaded files; stored prompts. Reasoning items go back as
//! `reasoning_content`, which providers that write it read, too.

mod answer;
mod builder;
mod chat;
mod compaction;
mod conversation;
mod create;
mod event;
mod fields;
mod input_part;
mod item;
mod item_id;
mod list;
mod members;
mod metadata;
mod part;
mod settings;
mod skeleton;
mod stored_request;
mod tools;
mod view;

pub use answer::{cancelled_response, deleted_response, failed_response};
pub use builder::EventBuilder;
pub use chat::{MAX_CONTEXT_BYTES, check_bytes, message_in_request, path_in_request};
pub use compaction::since_compaction;
pub use conversation::{NewConversation, changed_metadata, conversation, deleted_conversation, sent_items};
pub use create::{CreateResponse, check_include};
pub use event::{ResponseEvent, interruption};
pub use input_part::InputPart;
pub use item::{Item, is_id, parse_items};
pub use item_id::{ItemOrigin, NewIds, new_response_id};
pub use list::{ListQuery, Order, list};
pub use metadata::metadata;
pub use stored_request::{StoredRequest, output_items};

#[cfg(test)]
mod tests;
