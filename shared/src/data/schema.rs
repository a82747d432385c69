//! The table's definition, for local stores. `template.yaml` has the same one for AWS.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType, TimeToLiveSpecification,
};

use super::error::StoreError;

/// The due index: `due_shard` (HASH), `due_at` (RANGE, Unix milliseconds), keys only. Sparse.
pub(super) const DUE_INDEX: &str = "due";

/// Creates the table if it does not exist.
///
/// # Errors
/// [`StoreError::Failed`] if DynamoDB refuses or is out of reach.
pub async fn create_table(client: &Client, name: &str) -> Result<(), StoreError> {
    let action = "create the table";
    let known = client.describe_table().table_name(name).send().await;
    if known.is_ok() {
        return Ok(());
    }
    let mut request = client.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
    for (attribute, kind) in [("pk", 'S'), ("sk", 'S'), ("due_shard", 'S'), ("due_at", 'N')] {
        let kind = if kind == 'S' { ScalarAttributeType::S } else { ScalarAttributeType::N };
        let definition = AttributeDefinition::builder().attribute_name(attribute).attribute_type(kind).build();
        request = request.attribute_definitions(definition.map_err(StoreError::table(action))?);
    }
    let due = GlobalSecondaryIndex::builder()
        .index_name(DUE_INDEX)
        .key_schema(key_part("due_shard", KeyType::Hash)?)
        .key_schema(key_part("due_at", KeyType::Range)?)
        .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build())
        .build()
        .map_err(StoreError::table(action))?;
    request
        .key_schema(key_part("pk", KeyType::Hash)?)
        .key_schema(key_part("sk", KeyType::Range)?)
        .global_secondary_indexes(due)
        .send()
        .await
        .map_err(StoreError::table(action))?;
    let ttl = TimeToLiveSpecification::builder().attribute_name("expires_at").enabled(true).build();
    let ttl = ttl.map_err(StoreError::table(action))?;
    client
        .update_time_to_live()
        .table_name(name)
        .time_to_live_specification(ttl)
        .send()
        .await
        .map_err(StoreError::table(action))?;
    Ok(())
}

fn key_part(name: &str, kind: KeyType) -> Result<KeySchemaElement, StoreError> {
    KeySchemaElement::builder()
        .attribute_name(name)
        .key_type(kind)
        .build()
        .map_err(StoreError::table("create the table"))
}
