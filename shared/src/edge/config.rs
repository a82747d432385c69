//! Settings of a deployed function, read once from the environment.

use super::base_path::{BasePath, BasePathError};
use super::cors::{AllowedOrigins, OriginError};
use super::telemetry::{LogFilter, LogFilterError};
use crate::data::QueueUrls;
use crate::model::invalid::Invalid;
use crate::model::key_rights::AddressRange;

/// Settings of every function.
///
/// | variable | meaning | default |
/// |---|---|---|
/// | `TABLE_NAME` | DynamoDB table | required |
/// | `BUCKET_NAME` | S3 bucket | required |
/// | `MODELS` | `models.toml`: a path in the package, or `s3://bucket/key` | `models.toml` |
/// | `BEDROCK` | `yes` serves the builtin models of Amazon Bedrock beside the models file | `no` |
/// | `ADMIN_KEY_SECRET` | name of the admin key in Secrets Manager | none: the admin API refuses every request |
/// | `RESPOND_QUEUE_URL` | queue of background responses | none: this function sends no message to it |
/// | `BATCH_QUEUE_URL` | queue of batches | none: this function sends no message to it |
/// | `INGEST_QUEUE_URL` | queue of vector stores | none: this function sends no message to it |
/// | `DELIVER_QUEUE_URL` | queue of webhook deliveries | none: this function sends no message to it |
/// | `RESPOND_DEAD_LETTERS_URL`, `BATCH_DEAD_LETTERS_URL`, `INGEST_DEAD_LETTERS_URL`, `DELIVER_DEAD_LETTERS_URL` | queues of their dead letters | none: this function reads no dead letters |
/// | `ADMIN_ADDRESSES` | addresses from which the admin API is reachable, as `203.0.113.0/24`, between commas | all |
/// | `RESPONSE_MODE` | `stream`, or `buffer` where the caller cannot stream (HTTP APIs, ALB, emulators) | `stream` |
/// | `WEBHOOKS_PERMIT_LOOPBACK` | `true` permits webhook endpoints on loopback addresses, also with `http:`, for emulators | `false` |
/// | `LOG_LEVEL` | filter of `tracing`, such as `info` or `warn,shared=debug` | `info` |
///
/// and the variables of [`HttpConfig`] and [`TelemetryConfig`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub table_name: String,
    pub bucket_name: String,
    pub models: ModelsSetting,
    /// Whether the builtin models of Amazon Bedrock are served.
    pub bedrock: bool,
    pub admin_key_secret: Option<String>,
    pub admin_addresses: Option<Vec<AddressRange>>,
    pub queues: QueueUrls,
    pub response_mode: ResponseMode,
    pub webhooks_permit_loopback: bool,
    /// A wrong filter keeps no function from starting.
    pub log_level: Result<LogFilter, LogFilterError>,
    pub http: HttpConfig,
    pub telemetry: TelemetryConfig,
}

/// Settings of functions that serve requests. The default has no base path and allows no pages.
///
/// | variable | meaning | default |
/// |---|---|---|
/// | `ALLOWED_ORIGINS` | origins whose pages may read answers: `*`, or `https://app.example.com` and others between commas | none: no `access-control-*` headers |
/// | `BASE_PATH` | base path of a custom domain, such as `ai`, which is removed from each path | none |
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpConfig {
    pub allowed_origins: AllowedOrigins,
    pub base_path: BasePath,
}

/// Settings of metrics and spans. The variables have the names that CloudWatch and `OpenTelemetry` use.
///
/// | variable | meaning | default |
/// |---|---|---|
/// | `METRICS_NAMESPACE` | CloudWatch namespace of the metrics | none: no metrics are written |
/// | `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` | full URL to which spans are sent | `OTEL_EXPORTER_OTLP_ENDPOINT` and `/v1/traces` |
/// | `OTEL_EXPORTER_OTLP_ENDPOINT` | base URL of a collector that speaks OTLP over HTTP | none: no spans are made |
/// | `OTEL_SERVICE_NAME` | `service.name` of the spans | the one in `OTEL_RESOURCE_ATTRIBUTES`, else `weir` |
/// | `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` | `true` (or `span_only`, `span_and_event`) records prompts and answers on spans | `false` |
/// | `OTEL_SDK_DISABLED` | `true` makes no spans | `false` |
///
/// The SDK itself reads `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER` and its
/// argument.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TelemetryConfig {
    pub metrics_namespace: Option<String>,
    pub traces_endpoint: Option<String>,
    /// Whether the environment names the service, which the SDK then reads itself.
    pub service_is_named: bool,
    /// Whether spans record prompts and answers.
    pub records_messages: bool,
}

/// The place of `models.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelsSetting {
    File(String),
    S3 { bucket: String, key: String },
}

/// Whether the caller of the function receives an answer chunk by chunk or as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseMode {
    Stream,
    Buffer,
}

/// A variable that prevents the start.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("`{0}` is not set")]
    Missing(&'static str),
    #[error("`{name}` is `{value}`: {reason}")]
    Invalid { name: &'static str, value: String, reason: &'static str },
    #[error("`ALLOWED_ORIGINS`: {0}")]
    Origins(OriginError),
    #[error("{0}")]
    Addresses(Invalid),
    #[error("`BASE_PATH`: {0}")]
    BasePath(BasePathError),
}

impl Config {
    /// Reads the settings from the environment.
    ///
    /// # Errors
    /// The name of a variable that is missing or invalid.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::read(env)
    }

    /// Reads the settings through `lookup`, so that tests need not change the environment of the process.
    ///
    /// # Errors
    /// The name of a variable that is missing or invalid.
    pub fn read(lookup: impl Fn(&'static str) -> Option<String> + Copy) -> Result<Self, ConfigError> {
        let required = |name| lookup(name).ok_or(ConfigError::Missing(name));
        Ok(Self {
            table_name: required("TABLE_NAME")?,
            bucket_name: required("BUCKET_NAME")?,
            models: parse_models(lookup("MODELS"))?,
            bedrock: parse_yes("BEDROCK", lookup("BEDROCK"))?,
            admin_key_secret: lookup("ADMIN_KEY_SECRET"),
            admin_addresses: parse_addresses(lookup("ADMIN_ADDRESSES"))?,
            queues: QueueUrls {
                respond: lookup("RESPOND_QUEUE_URL"),
                deliver: lookup("DELIVER_QUEUE_URL"),
                batch: lookup("BATCH_QUEUE_URL"),
                ingest: lookup("INGEST_QUEUE_URL"),
                respond_dead_letters: lookup("RESPOND_DEAD_LETTERS_URL"),
                deliver_dead_letters: lookup("DELIVER_DEAD_LETTERS_URL"),
                batch_dead_letters: lookup("BATCH_DEAD_LETTERS_URL"),
                ingest_dead_letters: lookup("INGEST_DEAD_LETTERS_URL"),
            },
            response_mode: parse_response_mode(lookup("RESPONSE_MODE"))?,
            webhooks_permit_loopback: parse_flag("WEBHOOKS_PERMIT_LOOPBACK", lookup("WEBHOOKS_PERMIT_LOOPBACK"))?
                .unwrap_or(false),
            log_level: lookup("LOG_LEVEL").map_or_else(|| Ok(LogFilter::default()), |filter| filter.parse()),
            http: HttpConfig::read(lookup)?,
            telemetry: TelemetryConfig::read(lookup)?,
        })
    }
}

fn parse_addresses(text: Option<String>) -> Result<Option<Vec<AddressRange>>, ConfigError> {
    AddressRange::parse_list("ADMIN_ADDRESSES", &text.unwrap_or_default()).map_err(ConfigError::Addresses)
}

impl HttpConfig {
    fn read(lookup: impl Fn(&'static str) -> Option<String>) -> Result<Self, ConfigError> {
        let text = |name| lookup(name).unwrap_or_default();
        Ok(Self {
            allowed_origins: text("ALLOWED_ORIGINS").parse().map_err(ConfigError::Origins)?,
            base_path: text("BASE_PATH").parse().map_err(ConfigError::BasePath)?,
        })
    }
}

impl TelemetryConfig {
    /// Reads the settings from the environment.
    ///
    /// # Errors
    /// The name of a variable that is invalid.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::read(env)
    }

    fn read(lookup: impl Fn(&'static str) -> Option<String>) -> Result<Self, ConfigError> {
        let base = || {
            let base = lookup("OTEL_EXPORTER_OTLP_ENDPOINT")?;
            Some(format!("{}/v1/traces", base.trim_end_matches('/')))
        };
        let disabled = lookup("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let names_service =
            |attributes: String| attributes.split(',').any(|pair| pair.trim().starts_with("service.name="));
        Ok(Self {
            metrics_namespace: lookup("METRICS_NAMESPACE"),
            traces_endpoint: lookup("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").or_else(base).filter(|_| !disabled),
            service_is_named: lookup("OTEL_SERVICE_NAME").is_some()
                || lookup("OTEL_RESOURCE_ATTRIBUTES").is_some_and(names_service),
            records_messages: parse_capture(lookup("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"))?
                .unwrap_or(false),
        })
    }
}

/// The variable was a boolean first; `OpenTelemetry`'s own instrumentations now name a place instead. weir records
/// messages on spans only, so `event_only` records none.
fn parse_capture(value: Option<String>) -> Result<Option<bool>, ConfigError> {
    match value.as_deref().map(str::to_ascii_lowercase).as_deref() {
        None => Ok(None),
        Some("true" | "span_only" | "span_and_event") => Ok(Some(true)),
        Some("false" | "no_content" | "event_only") => Ok(Some(false)),
        Some(_) => Err(ConfigError::Invalid {
            name: "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT",
            value: value.unwrap_or_default(),
            reason: "expected `true` or `false`",
        }),
    }
}

/// The value of an environment variable; `None` if it is absent or empty. Templates cannot leave a variable out, so
/// they leave it empty.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "all settings are read through this function")]
pub fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn parse_models(value: Option<String>) -> Result<ModelsSetting, ConfigError> {
    let value = value.unwrap_or_else(|| "models.toml".to_owned());
    let Some(object) = value.strip_prefix("s3://") else { return Ok(ModelsSetting::File(value)) };
    match object.split_once('/') {
        Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => {
            Ok(ModelsSetting::S3 { bucket: bucket.to_owned(), key: key.to_owned() })
        }
        _ => Err(ConfigError::Invalid { name: "MODELS", value, reason: "expected s3://bucket/key" }),
    }
}

/// A setting that has the words of the stack's parameter.
fn parse_yes(name: &'static str, value: Option<String>) -> Result<bool, ConfigError> {
    match value.as_deref() {
        None | Some("no") => Ok(false),
        Some("yes") => Ok(true),
        Some(other) => Err(ConfigError::Invalid { name, value: other.to_owned(), reason: "expected `yes` or `no`" }),
    }
}

fn parse_response_mode(value: Option<String>) -> Result<ResponseMode, ConfigError> {
    match value.as_deref() {
        None | Some("stream") => Ok(ResponseMode::Stream),
        Some("buffer") => Ok(ResponseMode::Buffer),
        Some(other) => Err(ConfigError::Invalid {
            name: "RESPONSE_MODE",
            value: other.to_owned(),
            reason: "expected `stream` or `buffer`",
        }),
    }
}

fn parse_flag(name: &'static str, value: Option<String>) -> Result<Option<bool>, ConfigError> {
    match value.as_deref() {
        None => Ok(None),
        Some("false") => Ok(Some(false)),
        Some("true") => Ok(Some(true)),
        Some(other) => {
            Err(ConfigError::Invalid { name, value: other.to_owned(), reason: "expected `true` or `false`" })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::read(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn a_table_and_a_bucket_are_enough() {
        let config = read(&[("TABLE_NAME", "t"), ("BUCKET_NAME", "b")]).unwrap();
        assert_eq!(
            (config.models, config.response_mode),
            (ModelsSetting::File("models.toml".into()), ResponseMode::Stream)
        );
        assert!(!config.webhooks_permit_loopback);
    }

    #[test]
    fn only_true_permits_loopback() {
        let permitted = |value| {
            let pairs = [("TABLE_NAME", "t"), ("BUCKET_NAME", "b"), ("WEBHOOKS_PERMIT_LOOPBACK", value)];
            read(&pairs).map(|config| config.webhooks_permit_loopback)
        };
        assert_eq!((permitted("true"), permitted("false")), (Ok(true), Ok(false)));
        let error = permitted("yes").unwrap_err().to_string();
        assert_eq!(error, "`WEBHOOKS_PERMIT_LOOPBACK` is `yes`: expected `true` or `false`");
    }

    #[test]
    fn bedrock_is_served_on_request() {
        let bedrock =
            |value| read(&[("TABLE_NAME", "t"), ("BUCKET_NAME", "b"), ("BEDROCK", value)]).map(|config| config.bedrock);
        assert_eq!((bedrock("yes"), bedrock("no")), (Ok(true), Ok(false)));
        assert_eq!(bedrock("true").unwrap_err().to_string(), "`BEDROCK` is `true`: expected `yes` or `no`");
    }

    fn telemetry(pairs: &[(&str, &str)]) -> Result<TelemetryConfig, ConfigError> {
        let base = [("TABLE_NAME", "t"), ("BUCKET_NAME", "b")];
        Ok(read(&[&base, pairs].concat())?.telemetry)
    }

    #[test]
    fn telemetry_is_off_by_default() {
        assert_eq!(telemetry(&[]), Ok(TelemetryConfig::default()));
    }

    #[test]
    fn the_endpoint_of_traces_is_a_full_url_and_the_common_one_is_a_base() {
        let endpoint = |pairs: &[_]| telemetry(pairs).unwrap().traces_endpoint;
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");
        let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://other/spans");
        assert_eq!(endpoint(&[base]).as_deref(), Some("http://collector:4318/v1/traces"));
        assert_eq!(endpoint(&[base, own]).as_deref(), Some("http://other/spans"));
        assert_eq!(endpoint(&[base, ("OTEL_SDK_DISABLED", "true")]), None);
    }

    #[test]
    fn spans_record_prompts_only_on_request() {
        let records = |value| {
            let pair = ("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", value);
            telemetry(&[pair]).map(|config| config.records_messages)
        };
        assert_eq!((records("true"), records("SPAN_ONLY")), (Ok(true), Ok(true)));
        assert_eq!((records("False"), records("NO_CONTENT")), (Ok(false), Ok(false)));
        assert_eq!(
            records("yes").unwrap_err().to_string(),
            "`OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` is `yes`: expected `true` or `false`"
        );
    }

    #[test]
    fn pages_and_a_base_path_are_off_by_default_and_errors_name_the_variable() {
        let http = |name, value| {
            let pairs = [("TABLE_NAME", "t"), ("BUCKET_NAME", "b"), (name, value)];
            read(&pairs).map(|config| config.http).map_err(|error| error.to_string())
        };
        assert_eq!(http("BASE_PATH", ""), Ok(HttpConfig::default()));
        let any = HttpConfig { allowed_origins: AllowedOrigins::Any, ..HttpConfig::default() };
        assert_eq!(http("ALLOWED_ORIGINS", "*"), Ok(any));
        let error = http("ALLOWED_ORIGINS", "https://a.example,b").unwrap_err();
        assert!(error.starts_with("`ALLOWED_ORIGINS`: `b` is no origin: expected"), "{error}");
        let error = http("BASE_PATH", "/v1").unwrap_err();
        assert!(error.starts_with("`BASE_PATH`: `/v1` is no base path: "), "{error}");
    }

    #[test]
    fn errors_name_the_variable() {
        let error = |pairs: &[(&str, &str)]| read(pairs).unwrap_err().to_string();
        assert_eq!(error(&[("TABLE_NAME", "t")]), "`BUCKET_NAME` is not set");
        let base = [("TABLE_NAME", "t"), ("BUCKET_NAME", "b")];
        assert_eq!(error(&[base[0], base[1], ("MODELS", "s3://x")]), "`MODELS` is `s3://x`: expected s3://bucket/key");
        assert_eq!(
            error(&[base[0], base[1], ("RESPONSE_MODE", "x")]),
            "`RESPONSE_MODE` is `x`: expected `stream` or `buffer`"
        );
    }
}
