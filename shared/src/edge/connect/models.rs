//! Reads the models, from a file or from the object that the settings name.

use super::{ConnectError, aws};
use crate::edge::config::ModelsSource;
use crate::model::catalog::Catalog;

type Failure = Box<dyn std::error::Error + Send + Sync>;

pub(super) async fn read(source: &ModelsSource) -> Result<Catalog, ConnectError> {
    let (place, text) = match source {
        ModelsSource::File(path) => (path.clone(), std::fs::read_to_string(path).map_err(Failure::from)),
        ModelsSource::S3 { bucket, key } => (format!("s3://{bucket}/{key}"), read_object(bucket, key).await),
    };
    let text = text.map_err(|source| ConnectError::Models { place: place.clone(), source })?;
    Catalog::parse(&text).map_err(|error| ConnectError::Catalog { place, error })
}

async fn read_object(bucket: &str, key: &str) -> Result<String, Failure> {
    let object = aws::s3().get_object().bucket(bucket).key(key).send().await?;
    Ok(String::from_utf8(object.body.collect().await?.to_vec())?)
}
