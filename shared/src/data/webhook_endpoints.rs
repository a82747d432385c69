//! Webhook endpoints. Their secrets are in clear text, because they sign events; DynamoDB encrypts the table at rest.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

use super::change::WriteOutcome;
use super::error::StoreError;
use super::item::{Item, Reader, insert_present, number, text};
use super::keys;
use super::table::Table;
use crate::model::clock::Timestamp;
use crate::model::webhook::{
    DisabledReason, EndpointStatus, EventType, SigningSecret, SigningSecrets, WebhookEndpoint,
};

/// The webhook endpoints of all projects.
#[derive(Clone, Debug)]
pub struct EndpointRecords(pub(super) Table);

impl EndpointRecords {
    /// Stores a new endpoint.
    pub async fn create(&self, endpoint: &WebhookEndpoint) -> Result<(), StoreError> {
        self.0.put(to_item(endpoint)).await
    }

    /// Stores a changed endpoint. `Refused`: the table no longer has `expected`, the revision that the caller read.
    pub async fn save(&self, endpoint: &WebhookEndpoint, expected: &str) -> Result<WriteOutcome, StoreError> {
        // Without the condition, a change that another caller made meanwhile would be lost. Its second half is for the
        // SDK, which repeats writes whose answer was lost.
        let condition = "revision = :expected OR revision = :mine";
        let values = [(":expected", text(expected)), (":mine", text(&endpoint.revision))];
        self.0.put_if(to_item(endpoint), condition, values).await
    }

    /// Returns an endpoint of a project.
    pub async fn get(&self, project_id: &str, id: &str) -> Result<Option<WebhookEndpoint>, StoreError> {
        self.0.get(keys::webhook_endpoint(project_id, id)).await?.map(|item| read_endpoint(&item)).transpose()
    }

    /// Returns the endpoints of a project, in the order of their ids.
    pub async fn list(&self, project_id: &str) -> Result<Vec<WebhookEndpoint>, StoreError> {
        let items = self.0.query_prefix(&keys::project_partition(project_id), keys::ENDPOINT_PREFIX).await?;
        items.iter().map(read_endpoint).collect()
    }

    /// Deletes an endpoint.
    pub async fn delete(&self, project_id: &str, id: &str) -> Result<(), StoreError> {
        self.0.delete(keys::webhook_endpoint(project_id, id)).await
    }
}

/// A retired secret as JSON.
#[derive(Serialize, Deserialize)]
struct Retired {
    secret: String,
    until_ms: u64,
}

fn to_item(endpoint: &WebhookEndpoint) -> Item {
    let types = endpoint.event_types.iter().map(|event_type| text(event_type.name())).collect();
    let retired: Vec<Retired> = endpoint
        .secrets
        .retired
        .iter()
        .map(|(secret, until)| Retired { secret: secret.secret().expose().to_owned(), until_ms: until.0 })
        .collect();
    let disabled = match endpoint.status {
        EndpointStatus::Enabled => None,
        EndpointStatus::Disabled(reason) => Some(text(reason.name())),
    };
    let mut item = keys::webhook_endpoint(&endpoint.project_id, &endpoint.id).with([
        ("id", text(&endpoint.id)),
        ("project_id", text(&endpoint.project_id)),
        ("url", text(&endpoint.url)),
        ("event_types", AttributeValue::L(types)),
        ("name", text(&endpoint.name)),
        ("created_at", number(endpoint.created_at)),
        ("updated_at", number(endpoint.updated_at)),
        ("secret", text(endpoint.secrets.current.secret().expose())),
        ("retired", text(serde_json::to_string(&retired).unwrap_or_default())),
        ("revision", text(&endpoint.revision)),
    ]);
    insert_present(&mut item, [("disabled", disabled)]);
    item
}

fn read_endpoint(item: &Item) -> Result<WebhookEndpoint, StoreError> {
    let reader = Reader(item);
    let types = item.get("event_types").and_then(|value| value.as_l().ok());
    let types = types.ok_or_else(|| reader.damaged("event_types"))?;
    let retired: Vec<Retired> =
        serde_json::from_str(&reader.text("retired")?).map_err(|_| reader.damaged("retired"))?;
    let status = match reader.maybe_text("disabled") {
        None => EndpointStatus::Enabled,
        Some(name) => EndpointStatus::Disabled(DisabledReason::parse(&name).ok_or_else(|| reader.damaged("disabled"))?),
    };
    Ok(WebhookEndpoint {
        id: reader.text("id")?,
        project_id: reader.text("project_id")?,
        url: reader.text("url")?,
        // A newer version may have added a type that this one does not send.
        event_types: types.iter().filter_map(|name| EventType::parse(name.as_s().ok()?)).collect(),
        // An endpoint of an earlier version has a description at most, and no time of its last change.
        name: reader.maybe_text("name").or_else(|| reader.maybe_text("description")).unwrap_or_default(),
        created_at: reader.number("created_at")?,
        updated_at: reader.maybe_number("updated_at")?.map_or_else(|| reader.number("created_at"), Ok)?,
        status,
        secrets: SigningSecrets {
            current: SigningSecret::from_stored(reader.text("secret")?),
            retired: retired
                .into_iter()
                .map(|Retired { secret, until_ms }| (SigningSecret::from_stored(secret), Timestamp(until_ms)))
                .collect(),
        },
        revision: reader.text("revision")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_reads_back() {
        let bare = WebhookEndpoint {
            id: "we_1".into(),
            project_id: "proj_1".into(),
            url: "https://example.com/".into(),
            event_types: vec![EventType::ResponseFailed, EventType::ResponseCompleted],
            name: "Orders".into(),
            created_at: 7,
            updated_at: 8,
            status: EndpointStatus::Enabled,
            secrets: SigningSecrets::generate(),
            revision: "r".into(),
        };
        let full = WebhookEndpoint {
            status: EndpointStatus::Disabled(DisabledReason::Gone),
            secrets: bare.secrets.rotate(Timestamp(5)).unwrap(),
            ..bare.clone()
        };
        for each in [bare, full] {
            assert_eq!(read_endpoint(&to_item(&each)).unwrap(), each);
        }
    }
}
