//! The turns before a response: of the response that it continues, or of its conversation.

use std::collections::HashSet;

use super::Responses;
use crate::app::error::Error;
use crate::app::generation::{read_output, read_request};
use crate::dialects::openai_responses::{CreateResponse, Item, is_id, since_compaction};
use crate::model::clock::Timestamp;
use crate::model::invalid::Invalid;
use crate::model::message::ResponseKey;
use crate::model::response::Status;

/// The turns before a response.
pub(super) struct Context {
    /// Oldest first.
    pub(super) items: Vec<Item>,
    /// When the last of a conversation was added.
    pub(super) last_at: Timestamp,
}

impl Responses {
    /// Loads the turns before the input. Resolves references in the input, to items among them or of other stored responses.
    pub(super) async fn load_context(&self, project_id: &str, create: &mut CreateResponse) -> Result<Context, Error> {
        let (items, last_at) = match (&create.previous_response_id, &create.conversation) {
            (Some(id), _) => (self.load_turns(project_id, id).await?, Timestamp::default()),
            (None, Some(id)) => self.conversations.load_history(project_id, id).await?,
            (None, None) => (Vec::new(), Timestamp::default()),
        };
        let items = since_compaction(items);
        create.resolve(&items);
        let elsewhere = create.references();
        if !elsewhere.is_empty() {
            create.resolve(&self.find_items(project_id, &elsewhere).await?);
            create.check_references()?;
        }
        Ok(Context { items, last_at })
    }

    /// All turns up to the end of a response.
    async fn load_turns(&self, project_id: &str, response_id: &str) -> Result<Vec<Item>, Error> {
        let invalid = |message: String, code| {
            Error::Invalid(Invalid { message, param: Some("previous_response_id".to_owned()), code: Some(code) })
        };
        // An id becomes part of a key of the table; text that cannot be an id belongs to nothing.
        let found = match is_id(response_id) {
            true => {
                let key = ResponseKey { project_id: project_id.to_owned(), response_id: response_id.to_owned() };
                self.records.get_stored(&key, self.clock.now()).await?
            }
            false => None,
        };
        let Some(found) = found.filter(|found| found.record.stored && !found.record.deleted) else {
            let message = format!("Previous response with id '{response_id}' not found.");
            return Err(invalid(message, "previous_response_not_found"));
        };
        let (Status::Completed | Status::Incomplete, Some(response)) = (found.record.status, found.response) else {
            let message = format!(
                "Previous response '{response_id}' is {}; only a response that completed can be continued.",
                found.record.status.name()
            );
            return Err(invalid(message, "previous_response_not_completed"));
        };
        let request = read_request(&found.request)?;
        let mut turns = request.context();
        turns.extend(request.input());
        turns.extend(read_output(&response)?);
        // A turn stores the items that its input referred to once more.
        let mut seen = HashSet::new();
        turns.retain(|item| seen.insert(item.id()));
        Ok(turns)
    }
}
