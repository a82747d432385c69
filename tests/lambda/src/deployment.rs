//! A deployment on loopback, whose functions are real processes.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::path::Path;

use kit::{ADMIN_KEY, World};
use serde_json::{Value, json};
use shared::model::clock::Clock;
use tempfile::NamedTempFile;

use crate::{Aws, Failure, Function, Upstream};

/// Stores, AWS in front of them, and a provider that the test holds in its hands.
pub struct Deployment {
    /// The stores as the test sees them: the same as the functions'.
    pub world: World,
    pub aws: Aws,
    pub upstream: Upstream,
    models: NamedTempFile,
}

/// The name of the admin key in Secrets Manager.
const ADMIN_KEY_SECRET: &str = "weir-admin-key";
/// The name of the provider's key there.
const PROVIDER_KEY_SECRET: &str = "weir/upstream";

impl Deployment {
    /// # Errors
    /// If there is no free port or no room for a file.
    pub async fn start() -> io::Result<Self> {
        let world = World::builder().clock(Clock::system()).build().await;
        let secrets = [(ADMIN_KEY_SECRET, ADMIN_KEY), (PROVIDER_KEY_SECRET, "sk-upstream")];
        let secrets: HashMap<_, _> = secrets.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let aws = Aws::start(world.connectors(), secrets).await?;
        let upstream = Upstream::start().await?;
        let mut models = NamedTempFile::new()?;
        models.write_all(catalog(upstream.url()).as_bytes())?;
        Ok(Self { world, aws, upstream, models })
    }

    /// Starts a function of this deployment; `mode` is its `RESPONSE_MODE`.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn function(&self, bootstrap: &Path, mode: &str) -> Result<Function, Failure> {
        Function::start(bootstrap, &self.variables(mode)).await
    }

    /// What `template.yaml` tells functions, all of it to all of them.
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
            ("RESPOND_DEAD_LETTERS_URL", queue("respond-dead-letters")),
            ("DELIVER_DEAD_LETTERS_URL", queue("deliver-dead-letters")),
            ("RESPONSE_MODE", mode.to_owned()),
            ("LOG_LEVEL", "info".to_owned()),
            ("AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH", "true".to_owned()),
        ];
        let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
        self.aws.variables().into_iter().chain(own).collect()
    }
}

/// The test's provider and, for recorded events, the simulator.
fn catalog(upstream: &str) -> String {
    format!(
        r#"
[[provider]]
name = "upstream"
kind = "openai"
base_url = "{upstream}"
api_key_secret = "{PROVIDER_KEY_SECRET}"

[[model]]
name = "priced"
kind = "chat"
price = {{ input = 1.0, output = 2.0 }}
context_tokens = 128000
max_output_tokens = 4096
targets = [{{ provider = "upstream", model = "upstream-1" }}]

{}"#,
        include_str!("../../../models/models.toml")
    )
}

/// A request as API Gateway's REST API gives it to a function.
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
