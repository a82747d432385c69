//! The stores of the local server.

use std::sync::Arc;

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use embedded::{BUCKET, Engines, Place, TABLE, queue_url};
use shared::data::{Bucket, QueueUrls, Queues, Stores, Table};
use shared::model::clock::Clock;

use crate::{Data, LocalError};

/// Opens the stores. The engines must outlive the stores.
///
/// # Errors
/// `Stores` if the data folder cannot be opened.
pub(crate) fn open(data: &Data) -> Result<(Engines, Stores), LocalError> {
    let now = Arc::new(|| Clock::system().now().0);
    let (engines, dynamo, s3) = match data {
        Data::Embedded(place) => {
            let engines = Engines::open(place, now)?;
            let dynamo = embedded::dynamo_client(engines.dynamo.clone());
            let s3 = embedded::s3_client(engines.s3.clone());
            (engines, dynamo, s3)
        }
        Data::Remote { table_url, bucket_url } => {
            (Engines::open(&Place::Memory, now)?, remote_table(table_url), embedded::remote_s3_client(bucket_url))
        }
    };
    let urls = QueueUrls {
        respond: Some(queue_url("respond")),
        deliver: Some(queue_url("deliver")),
        batch: Some(queue_url("batch")),
        ingest: Some(queue_url("ingest")),
        respond_dead_letters: Some(queue_url("respond-dead-letters")),
        deliver_dead_letters: Some(queue_url("deliver-dead-letters")),
        batch_dead_letters: Some(queue_url("batch-dead-letters")),
        ingest_dead_letters: Some(queue_url("ingest-dead-letters")),
    };
    let queues = Queues::new(embedded::sqs_client(engines.sqs.connector()), urls);
    Ok((engines, Stores { table: Table::new(dynamo, TABLE), bucket: Bucket::embedded(s3, BUCKET), queues }))
}

/// A client of a `DynamoDB` in another process, at `url`.
#[must_use]
pub fn remote_table(url: &str) -> aws_sdk_dynamodb::Client {
    let config = aws_sdk_dynamodb::config::Builder::new()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, "local"))
        .endpoint_url(url)
        .build();
    aws_sdk_dynamodb::Client::from_conf(config)
}
