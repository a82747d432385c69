//! stub
use super::clock::Instant;
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind { ResponseCompleted, ResponseFailed, ResponseIncomplete, ResponseCancelled }
#[derive(Debug, Clone)]
pub struct WebhookEvent { pub id: String, pub kind: EventKind, pub created_at: Instant, pub data_id: String }
