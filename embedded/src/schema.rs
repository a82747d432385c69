//! The table and the bucket, as local stores need them. `template.yaml` defines them for AWS.

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType, TimeToLiveSpecification,
};

use crate::OpenError;

/// Creates the table if it does not exist.
///
/// Its index `due` has `due_shard` (HASH) and `due_at` (RANGE, Unix milliseconds), and keys only. It is sparse.
///
/// # Errors
/// `Create` if DynamoDB refuses or is out of reach.
pub async fn create_table(client: &aws_sdk_dynamodb::Client, name: &str) -> Result<(), OpenError> {
    if client.describe_table().table_name(name).send().await.is_ok() {
        return Ok(());
    }
    let mut request = client.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
    for (attribute, kind) in [("pk", 'S'), ("sk", 'S'), ("due_shard", 'S'), ("due_at", 'N')] {
        let kind = if kind == 'S' { ScalarAttributeType::S } else { ScalarAttributeType::N };
        let definition = AttributeDefinition::builder().attribute_name(attribute).attribute_type(kind).build();
        request = request.attribute_definitions(definition.map_err(create("table"))?);
    }
    let due = GlobalSecondaryIndex::builder()
        .index_name("due")
        .key_schema(key_part("due_shard", KeyType::Hash)?)
        .key_schema(key_part("due_at", KeyType::Range)?)
        .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build())
        .build();
    let request = request
        .key_schema(key_part("pk", KeyType::Hash)?)
        .key_schema(key_part("sk", KeyType::Range)?)
        .global_secondary_indexes(due.map_err(create("table"))?);
    request.send().await.map_err(create("table"))?;
    let ttl = TimeToLiveSpecification::builder().attribute_name("expires_at").enabled(true).build();
    let request =
        client.update_time_to_live().table_name(name).time_to_live_specification(ttl.map_err(create("table"))?);
    request.send().await.map_err(create("table"))?;
    Ok(())
}

fn key_part(name: &str, kind: KeyType) -> Result<KeySchemaElement, OpenError> {
    KeySchemaElement::builder().attribute_name(name).key_type(kind).build().map_err(create("table"))
}

/// Creates the bucket if it does not exist.
///
/// # Errors
/// `Create` if S3 refuses or is out of reach.
pub async fn create_bucket(client: &aws_sdk_s3::Client, name: &str) -> Result<(), OpenError> {
    if client.head_bucket().bucket(name).send().await.is_err() {
        client.create_bucket().bucket(name).send().await.map_err(create("bucket"))?;
    }
    Ok(())
}

fn create<E: std::error::Error + Send + Sync + 'static>(store: &'static str) -> impl FnOnce(E) -> OpenError {
    move |source| OpenError::Create { store, source: source.into() }
}
