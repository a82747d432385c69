//! Reading, cancelling and deleting responses.

use std::time::Duration;

use super::Responses;
use crate::app::answer::{CallAnswer, CallMetadata, ResponseSender};
use crate::app::error::Error;
use crate::app::generation::{QUIET_AFTER_MS, read_request};
use crate::app::pipeline::TimeLimit;
use crate::data::{Erasure, EventReader, ResponseRecord, StoredResponse};
use crate::dialects::openai_responses::{
    CreateResponse, Item, cancelled_response, deleted_response, interruption, is_id,
};
use crate::model::clock::Timestamp;
use crate::model::invalid::Invalid;
use crate::model::long_work::long_work;
use crate::model::message::ResponseKey;
use crate::model::object::Object;
use crate::model::project::Caller;
use crate::model::response::Status;

/// The longest that one request follows where the function has no end of its own.
const LONGEST: Duration = Duration::from_secs(3_600);

impl Responses {
    /// A response as it stands.
    ///
    /// # Errors
    /// `NotFound`, also for another project's.
    pub async fn retrieve(&self, caller: &Caller, response_id: &str) -> Result<Object, Error> {
        to_object(&self.find_visible(caller, response_id).await?)
    }

    /// Streams the events of a response after `starting_after`, or all of them; then its new ones, until it ends or the
    /// function must.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` if the response has no events; `Refused` if too many requests of the project follow.
    pub async fn stream(
        &self,
        caller: &Caller,
        response_id: &str,
        starting_after: Option<u64>,
        function_ends: Option<Timestamp>,
    ) -> Result<CallAnswer, Error> {
        let found = self.find_visible(caller, response_id).await?;
        if found.record.next_sequence == 0 {
            let message = format!(
                "Response '{response_id}' has no events: it was made neither with stream=true nor with background=true."
            );
            return Err(Invalid::field("stream", message).into());
        }
        let slot = self.follower.admit(&caller.project, found.record.status).await?;
        let deadline = TimeLimit::new(&self.clock, LONGEST, function_ends).deadline;
        let (mut sender, answer) = ResponseSender::new(deadline, interruption);
        let metadata = CallMetadata { model: found.record.model, ..CallMetadata::default() };
        sender.begin_stream(metadata);
        let (follower, key) = (self.follower.clone(), found.record.key);
        self.tasks.spawn(async move {
            Box::pin(follower.follow(slot.as_ref(), &key, EventReader::after(starting_after), deadline, &mut sender))
                .await;
        });
        answer.await.unwrap_or_else(|lost| Err(Error::internal("follow the response")(lost)))
    }

    /// The items that were sent with the request for a response.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn input_items(&self, caller: &Caller, response_id: &str) -> Result<Vec<Item>, Error> {
        Ok(read_request(&self.find_visible(caller, response_id).await?.request)?.input())
    }

    /// A request with its references resolved, and the turns before it: everything whose tokens count as input.
    ///
    /// # Errors
    /// `Invalid` if it continues a response or names a file that does not exist; `Forbidden` if the caller's key may not read files.
    pub async fn load_input(
        &self,
        caller: &Caller,
        mut create: CreateResponse,
    ) -> Result<(CreateResponse, Vec<Item>), Error> {
        let context = self.load_context(&caller.project.id, &mut create).await?;
        let files = long_work(create.bytes(&context.items), || create.input_files(&context.items));
        files.check_all(&self.pipeline.files.look_up_for(caller, &files).await?)?;
        Ok((create, context.items))
    }

    /// Cancels a background response, and returns it. One that has ended is returned as it ended.
    ///
    /// Its worker finds out within a heartbeat and leaves the provider. The usage until then is charged.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` if the response is not in the background.
    pub async fn cancel(&self, caller: &Caller, response_id: &str) -> Result<Object, Error> {
        let found = self.find_visible(caller, response_id).await?;
        self.canceller.cancel(&found.record.key).await?;
        self.retrieve(caller, response_id).await
    }

    /// Deletes a response with everything that can be read of it, also what its idempotency key repeats; a running one is
    /// cancelled first.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn delete(&self, caller: &Caller, response_id: &str) -> Result<Object, Error> {
        let StoredResponse { record, claim, .. } = self.find_visible(caller, response_id).await?;
        if record.background && !record.status.is_terminal() {
            // If it ended meanwhile there is nothing to cancel.
            match self.canceller.cancel(&record.key).await {
                Ok(()) | Err(Error::Invalid(_) | Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let (erasure, now) = (Erasure { key: record.key.clone(), claim }, self.clock.now());
        self.records.erasures().begin(&erasure, now.plus_ms(QUIET_AFTER_MS)).await?;
        self.records.erase(&erasure, now).await?;
        if is_quiet(&record) {
            self.records.erasures().end(&erasure.key).await?;
        }
        Ok(deleted_response(response_id))
    }

    /// A response that this caller may see.
    pub(super) async fn find_visible(&self, caller: &Caller, response_id: &str) -> Result<StoredResponse, Error> {
        let not_found = || Error::not_found("response", response_id);
        // An id becomes part of a key of the table; text that cannot be an id belongs to nothing.
        if !is_id(response_id) {
            return Err(not_found());
        }
        let key = ResponseKey { project_id: caller.project.id.clone(), response_id: response_id.to_owned() };
        let found = self.records.get_stored(&key, self.clock.now()).await?;
        found.filter(|found| found.record.stored && !found.record.deleted).ok_or_else(not_found)
    }
}

/// Whether no process can add to a response any more. One that another run took over, or that was cancelled, may not know.
fn is_quiet(record: &ResponseRecord) -> bool {
    record.status.is_terminal() && record.status != Status::Cancelled && record.runs <= 1
}

/// The response object: as it ended, or as far as it is.
fn to_object(found: &StoredResponse) -> Result<Object, Error> {
    if let Some(response) = &found.response {
        return Object::parse(response).map_err(Error::internal("read a response"));
    }
    let skeleton = read_request(&found.request)?.skeleton;
    Ok(match found.record.status {
        Status::Cancelled => cancelled_response(&skeleton),
        status => skeleton.with("status", status.name()),
    })
}
