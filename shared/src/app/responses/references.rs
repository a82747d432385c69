//! Items that a request names by their ids alone: the default of clients that count on stored responses.

use std::collections::HashSet;

use super::Responses;
use crate::app::error::Error;
use crate::app::generation::{read_output, read_request};
use crate::data::{ResponseBody, ResponseRecord};
use crate::dialects::openai_responses::{Item, ItemOrigin, check_bytes};
use crate::model::invalid::Invalid;
use crate::model::message::ResponseKey;

/// The most responses whose items one request can name: reading them costs as much as they are long.
const MOST_RESPONSES: usize = 200;

impl Responses {
    /// Finds items of stored responses of the project by their ids. Leaves out what is not there.
    ///
    /// # Errors
    /// `Invalid` if they belong to more than 200 responses or are too large together; a failure of a store.
    pub(super) async fn find_items(&self, project_id: &str, ids: &[String]) -> Result<Vec<Item>, Error> {
        let origins: HashSet<ItemOrigin> = ids.iter().filter_map(|id| ItemOrigin::of(id)).collect();
        if origins.len() > MOST_RESPONSES {
            let message = format!(
                "The input refers to items of {} responses, expected at most {MOST_RESPONSES}. Send the items themselves.",
                origins.len()
            );
            return Err(Invalid { message, param: Some("input".to_owned()), code: Some("invalid_value") }.into());
        }
        let (inputs, outputs): (Vec<_>, Vec<_>) = origins.into_iter().partition(|origin| origin.is_input);
        let key =
            |origin: ItemOrigin| ResponseKey { project_id: project_id.to_owned(), response_id: origin.response_id };
        let wanted: HashSet<&str> = ids.iter().map(String::as_str).collect();
        let (mut found, mut bytes) = (Vec::new(), 0);
        for (origins, kind) in [(inputs, ResponseBody::Request), (outputs, ResponseBody::End)] {
            let keys: Vec<ResponseKey> = origins.into_iter().map(key).collect();
            let read = |record: &ResponseRecord, body: &[u8]| -> Result<(), Error> {
                if !record.stored || record.deleted {
                    return Ok(());
                }
                let items = match kind {
                    ResponseBody::Request => read_request(body)?.input(),
                    ResponseBody::End => read_output(body)?,
                };
                let items = items.into_iter().filter(|item| wanted.contains(item.id().as_str()));
                found.extend(items.inspect(|item| bytes += item.0.bytes()));
                Ok(check_bytes(bytes)?)
            };
            self.records.read_bodies(&keys, kind, self.clock.now(), read).await?;
        }
        Ok(found)
    }
}
