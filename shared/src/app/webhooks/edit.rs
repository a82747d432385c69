//! Reading and changing one endpoint.

use crate::app::error::Error;
use crate::data::EndpointRecords;
use crate::model::id;
use crate::model::webhook::WebhookEndpoint;

/// Number of times that a change is tried while other changes of the same endpoint interfere.
const MAX_TRIES: u32 = 5;

/// Reads an endpoint of a project.
///
/// # Errors
/// `NotFound` if the project has no endpoint with that id.
pub(super) async fn load_endpoint(
    records: &EndpointRecords,
    project_id: &str,
    id: &str,
) -> Result<WebhookEndpoint, Error> {
    records.get(project_id, id).await?.ok_or_else(|| Error::not_found("webhook endpoint", id))
}

/// Changes an endpoint and returns it. `change` is called again if another request changes the endpoint at the same time.
///
/// # Errors
/// - `NotFound` if the project has no endpoint with that id.
/// - `Contended` if other changes interfered too often.
/// - Any error that `change` returns.
pub(super) async fn change_endpoint(
    records: &EndpointRecords,
    project_id: &str,
    id: &str,
    change: impl Fn(WebhookEndpoint) -> Result<WebhookEndpoint, Error>,
) -> Result<WebhookEndpoint, Error> {
    for _ in 0..MAX_TRIES {
        let read = load_endpoint(records, project_id, id).await?;
        let expected = read.revision.clone();
        let changed = WebhookEndpoint { revision: id::random(16), ..change(read)? };
        // The write is refused if another request changed the endpoint since it was read: its change must not be lost.
        if records.save(&changed, &expected).await?.is_written() {
            return Ok(changed);
        }
    }
    Err(Error::Contended("the webhook endpoint"))
}
