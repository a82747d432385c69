//! Reading, cancelling and deleting responses.

use super::stored::StoredRequest;
use crate::app::error::Error;
use crate::app::gateway::Gateway;
use crate::app::telemetry::{TelemetryEvent, tell};
use crate::data::WholeResponse;
use crate::dialects::openai_responses::{CreateResponse, Item, Status, cancelled_response, deleted_response};
use crate::model::invalid::Invalid;
use crate::model::message::ResponseKey;
use crate::model::object::Object;
use crate::model::project::Caller;

impl Gateway {
    /// A response as it stands.
    ///
    /// # Errors
    /// `NotFound`, also for another project's; `Internal`.
    pub async fn response(&self, caller: &Caller, response_id: &str) -> Result<Object, Error> {
        shown(&self.visible(caller, response_id).await?)
    }

    /// The items that were sent with the request for a response.
    ///
    /// # Errors
    /// `NotFound`, `Internal`.
    pub async fn input_items(&self, caller: &Caller, response_id: &str) -> Result<Vec<Item>, Error> {
        Ok(StoredRequest::read(&self.visible(caller, response_id).await?.request)?.input())
    }

    /// The request with its references resolved, and the items of the turns before it.
    ///
    /// # Errors
    /// `Invalid` if the request continues a response or a conversation that does not exist; `Internal`.
    pub async fn load_input(
        &self,
        caller: &Caller,
        mut create: CreateResponse,
    ) -> Result<(CreateResponse, Vec<Item>), Error> {
        let context = self.context(&caller.project.id, &mut create).await?;
        Ok((create, context.items))
    }

    /// Cancels a background response. One that was cancelled before is given again.
    ///
    /// Its worker finds out within a heartbeat and leaves the provider. What was used until then is charged.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` if the response is not in the background or has ended otherwise; `Internal`.
    pub async fn cancel_response(&self, caller: &Caller, response_id: &str) -> Result<Object, Error> {
        let found = self.visible(caller, response_id).await?;
        self.cancel_job(&found.record.key).await?;
        self.response(caller, response_id).await
    }

    /// Cancels the background response of a key.
    pub(crate) async fn cancel_job(&self, key: &ResponseKey) -> Result<(), Error> {
        let now = self.clock.now();
        let due_at = now.plus_ms(super::LEASE_MS);
        match self.stores.cancel_response(key, now, due_at).await? {
            Ok(record) => {
                tell(&TelemetryEvent::JobEnded { outcome: record.status.name() });
                self.follow_up_cancel(&record).await;
                Ok(())
            }
            Err(None) => Err(not_found(&key.response_id)),
            Err(Some(record)) if record.status == Status::Cancelled => Ok(()),
            Err(Some(record)) => {
                let reason = if record.background {
                    format!("has ended with the status '{}'", record.status.name())
                } else {
                    "was not made with background=true".to_owned()
                };
                let message = format!("Response '{}' cannot be cancelled: it {reason}.", key.response_id);
                Err(Invalid { message, param: Some("response_id".to_owned()), code: Some("not_cancellable") }.into())
            }
        }
    }

    /// Deletes a response; one that still runs is cancelled first.
    ///
    /// # Errors
    /// `NotFound`, `Internal`.
    pub async fn delete_response(&self, caller: &Caller, response_id: &str) -> Result<Object, Error> {
        let found = self.visible(caller, response_id).await?;
        if found.record.background && !found.record.status.is_terminal() {
            // If it ended meanwhile there is nothing to cancel.
            match self.cancel_job(&found.record.key).await {
                Ok(()) | Err(Error::Invalid(_) | Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        self.stores.delete_response(&found.record.key, self.clock.now()).await?;
        Ok(deleted_response(response_id))
    }

    /// A response that this caller may see.
    pub(super) async fn visible(&self, caller: &Caller, response_id: &str) -> Result<WholeResponse, Error> {
        // An id becomes part of a key of the table; what cannot be one belongs to nothing.
        let well_formed = (1..=64).contains(&response_id.len())
            && response_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !well_formed {
            return Err(not_found(response_id));
        }
        let key = ResponseKey { project_id: caller.project.id.clone(), response_id: response_id.to_owned() };
        let found = self.stores.whole_response(&key, self.clock.now()).await?;
        found.filter(|found| found.record.stored && !found.record.deleted).ok_or_else(|| not_found(response_id))
    }
}

fn not_found(response_id: &str) -> Error {
    Error::NotFound { kind: "response", id: response_id.to_owned() }
}

/// The response object: as it ended, or as far as it is.
pub(super) fn shown(found: &WholeResponse) -> Result<Object, Error> {
    if let Some(response) = &found.response {
        return Object::parse(response).map_err(Error::internal("read a response"));
    }
    let skeleton = StoredRequest::read(&found.request)?.skeleton;
    Ok(match found.record.status {
        Status::Cancelled => cancelled_response(&skeleton),
        status => skeleton.with("status", status.name()),
    })
}
