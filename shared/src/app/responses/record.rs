//! The record of a response as it begins.

use super::PlannedResponse;
use crate::app::generation::QUIET_AFTER_MS;
use crate::app::idempotency::RETRIES_KEPT_SECONDS;
use crate::app::jobs::LIFETIME_MS;
use crate::app::pipeline::Call;
use crate::app::telemetry::current_traceparent;
use crate::data::ResponseRecord;
use crate::dialects::openai_responses::{ResponseEvent, StoredRequest};
use crate::model::clock::Timestamp;
use crate::model::object::Object;
use crate::model::response::Status;
use crate::model::tokens::Charge;
use bytes::Bytes;

impl PlannedResponse {
    pub(super) fn record(&self, call: &Call, status: Status) -> ResponseRecord {
        ResponseRecord {
            key: self.key.clone(),
            status,
            background: self.create.background,
            stored: self.create.store,
            deleted: false,
            fence: 1,
            runs: 1,
            begun: 1,
            unbegun: 0,
            lease_until: self.created_at,
            not_before: self.created_at,
            due_at: None,
            next_sequence: 0,
            watched_until: self.created_at,
            created_at: self.created_at,
            kept_seconds: self.kept_seconds,
            finished_at: None,
            model: call.model.name.clone(),
            api_key_id: call.caller.api_key_id.clone(),
            run: call.run.as_ref().map(|run| run.name.clone()),
            conversation_id: self.create.conversation.clone(),
            traceparent: current_traceparent(),
            reservation: None,
            output_bytes: 0,
            charge: Charge::default(),
        }
    }

    /// The response object before anything was generated.
    pub(super) fn skeleton(&self, status: Status) -> Object {
        let skeleton = self.create.skeleton(&self.context, self.created_at, status);
        if self.keeps_nothing() { skeleton.with("store", &false) } else { skeleton }
    }

    fn keeps_nothing(&self) -> bool {
        self.kept_seconds == 0
    }

    /// When the sweeper erases what is stored of the response, where nothing is kept: when its job or its call is dead, and
    /// the key of its request is forgotten. A job that ends sooner is erased sooner.
    pub(super) fn erased_at(&self) -> Option<Timestamp> {
        let longest = if self.create.background { LIFETIME_MS } else { RETRIES_KEPT_SECONDS * 1_000 };
        self.keeps_nothing().then(|| self.created_at.plus_ms(longest + QUIET_AFTER_MS))
    }

    /// The request as it is stored; `limit` is the output limit of a worker's first run. Of a request that is not to be
    /// stored it has only what repetitions of the request need.
    pub(super) fn stored_request(&self, skeleton: Object, limit: Option<u64>) -> Bytes {
        match self.create.store {
            true => StoredRequest::new(&self.create, &self.context, self.turn_at, skeleton, limit).to_bytes(),
            false => StoredRequest::without_input(skeleton).to_bytes(),
        }
    }
}

/// Events as one chunk.
pub(super) fn chunk(events: &[ResponseEvent]) -> Bytes {
    events.iter().flat_map(|event| event.sse().to_vec()).collect::<Vec<u8>>().into()
}
