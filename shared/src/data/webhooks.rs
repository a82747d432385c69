//! Webhook endpoints. Their secrets are kept as they sign: the table is encrypted at rest.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::item::{Item, Reader, number, text};
use super::keys;
use super::table::Table;
use crate::model::clock::Timestamp;
use crate::model::webhook::{DisabledReason, Endpoint, EventType, SigningSecret, SigningSecrets, Status};

impl Table {
    /// Stores a new endpoint.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn create_endpoint(&self, endpoint: &Endpoint) -> Result<(), StoreError> {
        self.put(item(endpoint)).await
    }

    /// Stores a changed endpoint if the table still has `expected`, the revision that was read. `false` if not.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn save_endpoint(&self, endpoint: &Endpoint, expected: &str) -> Result<bool, StoreError> {
        // The second half: the SDK repeats writes whose answer was lost.
        let condition = "revision = :expected OR revision = :mine";
        let values = vec![(":expected", text(expected)), (":mine", text(&endpoint.revision))];
        self.put_if(item(endpoint), condition, values).await
    }

    /// An endpoint of a project.
    ///
    /// # Errors
    /// If the table fails or the item is damaged.
    pub async fn endpoint(&self, project_id: &str, id: &str) -> Result<Option<Endpoint>, StoreError> {
        self.get(keys::webhook_endpoint(project_id, id)).await?.map(|item| endpoint(&item)).transpose()
    }

    /// The endpoints of a project, in the order of their ids.
    ///
    /// # Errors
    /// If the table fails or an item is damaged.
    pub async fn endpoints(&self, project_id: &str) -> Result<Vec<Endpoint>, StoreError> {
        let items = self.query_prefix(&keys::project_partition(project_id), keys::ENDPOINT_PREFIX).await?;
        items.iter().map(endpoint).collect()
    }

    /// Deletes an endpoint.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn delete_endpoint(&self, project_id: &str, id: &str) -> Result<(), StoreError> {
        self.delete(keys::webhook_endpoint(project_id, id)).await
    }
}

#[derive(Serialize, Deserialize)]
struct Retired {
    secret: String,
    until_ms: u64,
}

fn item(endpoint: &Endpoint) -> Item {
    let mut item = keys::webhook_endpoint(&endpoint.project_id, &endpoint.id).into_item();
    let types = endpoint.event_types.iter().map(|event_type| text(event_type.name())).collect();
    let retired: Vec<Retired> = endpoint
        .secrets
        .retired
        .iter()
        .map(|(secret, until)| Retired { secret: secret.secret().expose().to_owned(), until_ms: until.0 })
        .collect();
    item.extend([
        ("id".to_owned(), text(&endpoint.id)),
        ("project_id".to_owned(), text(&endpoint.project_id)),
        ("url".to_owned(), text(&endpoint.url)),
        ("event_types".to_owned(), AttributeValue::L(types)),
        ("created_at".to_owned(), number(endpoint.created_at)),
        ("secret".to_owned(), text(endpoint.secrets.current.secret().expose())),
        ("retired".to_owned(), text(serde_json::to_string(&retired).unwrap_or_default())),
        ("revision".to_owned(), text(&endpoint.revision)),
    ]);
    let disabled = match endpoint.status {
        Status::Enabled => None,
        Status::Disabled(reason) => Some(text(reason.name())),
    };
    item.extend(disabled.map(|reason| ("disabled".to_owned(), reason)));
    item.extend(endpoint.description.as_ref().map(|words| ("description".to_owned(), text(words))));
    item
}

fn endpoint(item: &Item) -> Result<Endpoint, StoreError> {
    let reader = Reader(item);
    let types = item.get("event_types").and_then(|value| value.as_l().ok());
    let types = types.ok_or_else(|| reader.damaged("event_types"))?;
    let retired: Vec<Retired> =
        serde_json::from_str(&reader.text("retired")?).map_err(|_| reader.damaged("retired"))?;
    let status = match reader.maybe_text("disabled") {
        None => Status::Enabled,
        Some(name) => Status::Disabled(DisabledReason::parse(&name).ok_or_else(|| reader.damaged("disabled"))?),
    };
    Ok(Endpoint {
        id: reader.text("id")?,
        project_id: reader.text("project_id")?,
        url: reader.text("url")?,
        // A type that a newer version added and this one does not send is passed over.
        event_types: types.iter().filter_map(|name| EventType::parse(name.as_s().ok()?)).collect(),
        description: reader.maybe_text("description"),
        created_at: reader.number("created_at")?,
        status,
        secrets: SigningSecrets {
            current: SigningSecret::stored(reader.text("secret")?),
            retired: retired
                .into_iter()
                .map(|Retired { secret, until_ms }| (SigningSecret::stored(secret), Timestamp(until_ms)))
                .collect(),
        },
        revision: reader.text("revision")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_survives_the_table() {
        let bare = Endpoint {
            id: "we_1".into(),
            project_id: "proj_1".into(),
            url: "https://example.com/".into(),
            event_types: vec![EventType::ResponseFailed, EventType::ResponseCompleted],
            description: None,
            created_at: 7,
            status: Status::Enabled,
            secrets: SigningSecrets::generate(),
            revision: "r".into(),
        };
        let full = Endpoint {
            description: Some("Orders".into()),
            status: Status::Disabled(DisabledReason::Gone),
            secrets: bare.secrets.rotated(Timestamp(5)).unwrap(),
            ..bare.clone()
        };
        for each in [bare, full] {
            assert_eq!(endpoint(&item(&each)).unwrap(), each);
        }
    }
}
