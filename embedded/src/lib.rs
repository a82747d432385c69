//! DynamoDB, S3 and SQS inside the process: `dynoxide-rs`, `s3s-fs` and queues in memory behind the real AWS SDK clients.
//!
//! A connector that calls the engine directly replaces the SDK's HTTP connector. So requests, retries and errors are
//! the SDK's own, and no port is opened. Tests wrap the connector to inject faults.

mod dynamo;
mod expiry;
mod health;
mod s3;
mod schema;
mod sqs;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_smithy_runtime_api::client::http::{SharedHttpConnector, http_client_fn};
use aws_smithy_types::retry::{ReconnectMode, RetryConfig};

pub use dynamo::serve_dynamo;
pub use expiry::{Expired, Expiry};
pub use health::{FolderHealth, Ill};
pub use s3::serve_s3;
pub use schema::{BUCKET, TABLE};
pub use sqs::{Counts, NowMs, QUEUES, QueueSettings, Received, Refusal, Sqs, queue_arn, queue_url};

/// Where the stores keep their data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In memory, until the process ends.
    Memory,
    /// In this folder, which is created if it does not exist.
    Folder(PathBuf),
}

/// Why the stores could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the data folder `{0}` is in use by another weir; stop that one, or choose another folder with --data")]
    Locked(PathBuf),
    #[error("could not {action} `{path}`")]
    Folder {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "could not open `{path}`; if another program has it open, end that one; if it is damaged, put a copy of the data folder in its place, or choose another folder with --data"
    )]
    Database {
        path: PathBuf,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("could not open the embedded {engine}")]
    Engine {
        engine: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The opened engines, with the table [`TABLE`] and the bucket [`BUCKET`]. The data folder stays locked until this is
/// dropped.
pub struct Engines {
    pub dynamo: SharedHttpConnector,
    pub s3: SharedHttpConnector,
    pub sqs: Sqs,
    pub expiry: Expiry,
    /// Of the data folder; `None` in memory.
    pub health: Option<FolderHealth>,
    _temporary: Option<tempfile::TempDir>,
}

impl Engines {
    /// Opens or creates the stores. `now` is the clock of the queues, which start empty in every place, and of expiry.
    ///
    /// # Errors
    /// `Locked` if another process uses the folder. `Folder` if the disk fails. `Database` or `Engine` if an engine fails.
    pub fn open(place: &Place, now: NowMs) -> Result<Self, OpenError> {
        match place {
            Place::Memory => {
                let temporary = tempfile::tempdir().map_err(folder("create", Path::new("a temporary folder")))?;
                let database = dynamo::in_memory(Arc::clone(&now))?;
                let engines = Self::with(database, temporary.path().to_owned(), now)?;
                Ok(Self { _temporary: Some(temporary), ..engines })
            }
            Place::Folder(path) => {
                std::fs::create_dir_all(path).map_err(folder("create", path))?;
                let health = FolderHealth::new(path.clone(), lock(path)?);
                let database = dynamo::in_file(&path.join("dynamodb.sqlite"))?;
                Ok(Self { health: Some(health), ..Self::with(database, path.join("s3"), now)? })
            }
        }
    }

    fn with(database: dynoxide::Database, objects: PathBuf, now: NowMs) -> Result<Self, OpenError> {
        let bucket = objects.join(BUCKET);
        std::fs::create_dir_all(&bucket).map_err(folder("create", &bucket))?;
        Ok(Self {
            dynamo: dynamo::connector(database.clone()),
            s3: s3::connector(&objects)?,
            sqs: Sqs::new(Arc::clone(&now)),
            expiry: Expiry { database, objects, now },
            health: None,
            _temporary: None,
        })
    }
}

fn lock(folder_path: &Path) -> Result<File, OpenError> {
    let path = folder_path.join(health::LOCK);
    let file = File::create(&path).map_err(folder("create", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(OpenError::Locked(folder_path.to_owned())),
        Err(std::fs::TryLockError::Error(source)) => Err(OpenError::Folder { action: "lock", path, source }),
    }
}

fn folder(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> OpenError {
    let path = path.to_owned();
    move |source| OpenError::Folder { action, path, source }
}

/// Retries as usual. There is no connection that the SDK could close after a failure; it would log an error each time.
fn retries() -> RetryConfig {
    RetryConfig::standard().with_reconnect_mode(ReconnectMode::ReuseAllConnections)
}

/// A DynamoDB client that sends its requests to `connector`.
///
/// No client of this crate watches for stalled streams: inside the process, only a busy machine delays one.
#[must_use]
pub fn dynamo_client(connector: SharedHttpConnector) -> aws_sdk_dynamodb::Client {
    use aws_sdk_dynamodb::config::{BehaviorVersion, Builder, Region, StalledStreamProtectionConfig};
    let config = Builder::new()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        // The engine checks no signature, and making one costs a twentieth of a call.
        .allow_no_auth()
        .endpoint_url("http://dynamodb.embedded")
        .retry_config(retries())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .build();
    aws_sdk_dynamodb::Client::from_conf(config)
}

/// An S3 client that sends its requests to `connector`.
#[must_use]
pub fn s3_client(connector: SharedHttpConnector) -> aws_sdk_s3::Client {
    let config = s3_config("http://s3.embedded").http_client(http_client_fn(move |_, _| connector.clone()));
    aws_sdk_s3::Client::from_conf(config.build())
}

/// An S3 client of an engine in another process, at `url`. See [`serve_s3`].
#[must_use]
pub fn remote_s3_client(url: &str) -> aws_sdk_s3::Client {
    aws_sdk_s3::Client::from_conf(s3_config(url).build())
}

fn s3_config(url: &str) -> aws_sdk_s3::config::Builder {
    use aws_sdk_s3::config::{BehaviorVersion, Builder, Credentials, Region, StalledStreamProtectionConfig};
    Builder::new()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(s3::ACCESS_KEY, s3::SECRET_KEY, None, None, "embedded"))
        .endpoint_url(url)
        .force_path_style(true)
        .retry_config(retries())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
}

/// An SQS client that sends its requests to `connector`.
#[must_use]
pub fn sqs_client(connector: SharedHttpConnector) -> aws_sdk_sqs::Client {
    use aws_sdk_sqs::config::{BehaviorVersion, Builder, Region, StalledStreamProtectionConfig};
    let config = Builder::new()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .allow_no_auth()
        .endpoint_url("http://sqs.embedded")
        .retry_config(retries())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .build();
    aws_sdk_sqs::Client::from_conf(config)
}
