//! A deployment on loopback, whose functions are real processes.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::path::Path;

use kit::{RECORDED_BASE_PATH, RECORDED_ORIGINS, TestApp};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::{Aws, Failure, Function, Upstream};

/// Stores, AWS in front of them, and a models file.
pub struct Deployment {
    /// The stores, which the test shares with the functions.
    pub app: TestApp,
    pub aws: Aws,
    models: NamedTempFile,
}

/// The name of the admin key in Secrets Manager.
const ADMIN_KEY_SECRET: &str = "weir-admin-key";

impl Deployment {
    /// Starts AWS in front of an app, whose clock should be the system's. The key of the admin API is `admin_key`, and
    /// [`Upstream::KEY_SECRET`] names the key of a provider.
    ///
    /// # Errors
    /// If no port is free, or the models file cannot be written.
    pub async fn start(app: TestApp, models: &str, admin_key: &str) -> io::Result<Self> {
        let secrets = [(ADMIN_KEY_SECRET, admin_key), (Upstream::KEY_SECRET, "sk-upstream")];
        let secrets: HashMap<_, _> = secrets.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let aws = Aws::start(app.connectors(), secrets).await?;
        let mut file = NamedTempFile::new()?;
        file.write_all(models.as_bytes())?;
        Ok(Self { app, aws, models: file })
    }

    /// Starts a function of this deployment; `mode` is its `RESPONSE_MODE`.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn function(&self, bootstrap: &Path, mode: &str) -> Result<Function, Failure> {
        Function::start(bootstrap, &self.variables(mode)).await
    }

    /// Returns the environment variables that `template.yaml` sets, those of all functions together.
    #[must_use]
    pub fn variables(&self, mode: &str) -> Vec<(String, String)> {
        let queue = |name: &str| format!("https://sqs.us-east-1.amazonaws.com/000000000000/{name}");
        let own = [
            ("TABLE_NAME", "weir".to_owned()),
            ("BUCKET_NAME", "weir".to_owned()),
            ("MODELS", self.models.path().display().to_string()),
            ("ADMIN_KEY_SECRET", ADMIN_KEY_SECRET.to_owned()),
            ("RESPOND_QUEUE_URL", queue("respond")),
            ("DELIVER_QUEUE_URL", queue("deliver")),
            ("BATCH_QUEUE_URL", queue("batch")),
            ("INGEST_QUEUE_URL", queue("ingest")),
            ("RESPOND_DEAD_LETTERS_URL", queue("respond-dead-letters")),
            ("DELIVER_DEAD_LETTERS_URL", queue("deliver-dead-letters")),
            ("BATCH_DEAD_LETTERS_URL", queue("batch-dead-letters")),
            ("INGEST_DEAD_LETTERS_URL", queue("ingest-dead-letters")),
            ("RESPONSE_MODE", mode.to_owned()),
            ("LOG_LEVEL", "info".to_owned()),
            // The receivers of recorded events are on loopback.
            ("WEBHOOKS_PERMIT_LOOPBACK", "true".to_owned()),
            ("ALLOWED_ORIGINS", RECORDED_ORIGINS.to_owned()),
            ("BASE_PATH", RECORDED_BASE_PATH.to_owned()),
            ("AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH", "true".to_owned()),
        ];
        let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
        self.aws.variables().into_iter().chain(own).collect()
    }
}

/// Returns the event in which API Gateway's REST API passes a request to a function.
#[must_use]
pub fn request_event(method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> String {
    let one: HashMap<&str, &str> = headers.iter().copied().collect();
    let many: HashMap<&str, [&str; 1]> = headers.iter().map(|(name, value)| (*name, [*value])).collect();
    json!({
        "resource": path, "path": path, "httpMethod": method,
        "headers": one, "multiValueHeaders": many,
        "queryStringParameters": null, "multiValueQueryStringParameters": null,
        "pathParameters": null, "stageVariables": null,
        "requestContext": {
            "stage": "prod", "httpMethod": method, "path": format!("/prod{path}"), "resourcePath": path, "identity": {},
        },
        "body": body.map(Value::to_string), "isBase64Encoded": false,
    })
    .to_string()
}
