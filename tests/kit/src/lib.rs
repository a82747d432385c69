//! The tools of all tests: stores that count and fail, a scripted provider, and the whole service around them.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a fixture that cannot be made is a failed test")]

mod app;
mod app_operations;
mod calls;
mod client;
mod connector;
mod consumed;
mod form;
mod hard_bodies;
mod hook;
mod mutate;
mod readable;
mod recorded;
mod routes;
mod scripted;
mod scripted_batches;

pub use app::{ADMIN_KEY, Connectors, START_MS, TestApp, TestAppBuilder, key_check, new_key, router_of, router_with};
pub use app_operations::shown_item;
pub use calls::{AwsCall, AwsCalls, TableWrite};
pub use client::{Reply, send};
pub use connector::{Fault, Faults, StoreLog};
pub use consumed::{Consumed, Units};
pub use form::{FORM, FormPart, file_form, form, form_of};
pub use hard_bodies::{HARD_BODIES, HardBody};
pub use hook::{Hook, HookReply, Names, Received};
pub use mutate::{Bytes as FuzzedBytes, mutated_json, mutated_text};
pub use recorded::{RECORDED_ADMIN_KEY, RECORDED_BASE_PATH, RECORDED_ORIGINS, Recorded, compared, recorded_events};
pub use routes::routes_of;
pub use scripted::{Script, ScriptedProvider, batched, chat_answer, chat_chunks, embedded, is_for_index};
pub use scripted_batches::{AnswerRequest, ScriptedBatches, Submission, TakenBatch};
