//! The bodies of OpenAI's Batch API, and the lines of its files.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::body::{parse, shortened};
use super::openai_responses::metadata;
use crate::model::batch::{BatchEndpoint, BatchError};
use crate::model::invalid::Invalid;
use crate::model::object::Object;

/// A checked body of `POST /v1/batches`.
#[derive(Debug, Clone)]
pub struct CreateBatch {
    pub input_file_id: String,
    pub endpoint: BatchEndpoint,
    pub metadata: Object,
    /// Seconds after which the files of results expire.
    pub output_seconds: Option<u64>,
    /// The body.
    pub object: Object,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateShape {
    input_file_id: String,
    endpoint: String,
    completion_window: String,
    #[serde(default, rename = "metadata")]
    _metadata: Option<Box<RawValue>>,
    #[serde(default)]
    output_expires_after: Option<ExpiresAfter>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpiresAfter {
    anchor: String,
    seconds: u64,
}

/// An hour to 30 days, as OpenAI has it.
const OUTPUT_SECONDS: std::ops::RangeInclusive<u64> = 3_600..=2_592_000;

impl CreateBatch {
    /// Reads and checks a body.
    ///
    /// # Errors
    /// If the body is not a JSON object, or a member is missing, unknown, or has a wrong value. The error names it.
    pub fn parse(json: &[u8]) -> Result<Self, Invalid> {
        let shape: CreateShape = parse(json)?;
        let object = Object::parse(json).unwrap_or_default();
        let not_one_of = |param: &str, value: &str, expected: &str| {
            Invalid::field(param, format!("`{param}` is `{}`, expected {expected}.", shortened(value)))
        };
        let endpoint = BatchEndpoint::of_url(&shape.endpoint).ok_or_else(|| {
            let urls = BatchEndpoint::ALL.map(|endpoint| format!("`{}`", endpoint.url())).join(", ");
            not_one_of("endpoint", &shape.endpoint, &format!("one of {urls}"))
        })?;
        if shape.completion_window != "24h" {
            return Err(not_one_of("completion_window", &shape.completion_window, "`24h`"));
        }
        if let Some(ExpiresAfter { anchor, .. }) =
            shape.output_expires_after.as_ref().filter(|it| it.anchor != "created_at")
        {
            return Err(not_one_of("output_expires_after.anchor", anchor, "`created_at`"));
        }
        let output_seconds = shape.output_expires_after.map(|expires| expires.seconds);
        if let Some(seconds) = output_seconds.filter(|seconds| !OUTPUT_SECONDS.contains(seconds)) {
            return Err(not_one_of("output_expires_after.seconds", &seconds.to_string(), "3600 to 2592000"));
        }
        let metadata = metadata(&object)?;
        Ok(Self { input_file_id: shape.input_file_id, endpoint, metadata, output_seconds, object })
    }
}

/// A line of a batch's file: a request.
#[derive(Debug, Clone)]
pub struct BatchLine {
    pub custom_id: String,
    pub model: String,
    pub body: Bytes,
}

/// The most bytes of a model's name: more than any model has.
const MAX_MODEL: usize = 300;
/// The most bytes of a `custom_id`.
const MAX_CUSTOM_ID: usize = 512;

#[derive(Deserialize)]
struct LineShape {
    custom_id: Option<String>,
    method: Option<String>,
    url: Option<String>,
    body: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Named {
    model: Option<String>,
}

impl BatchLine {
    /// Reads a line, and checks what OpenAI checks before it runs a batch. The body itself is checked when the line is run.
    ///
    /// # Errors
    /// The error for `errors.data` of the batch, without the number of the line.
    pub fn read(text: &[u8], endpoint: BatchEndpoint) -> Result<Self, BatchError> {
        let not_json = || wrong("invalid_json_line", "This line is not parseable as valid JSON.", None);
        let shape: LineShape = match serde_json::from_slice(text) {
            Ok(shape) => shape,
            Err(error) if error.is_data() => {
                let message =
                    format!("This line is not a JSON object with the members of a request: {}.", reason(&error));
                return Err(wrong("invalid_json_line", message, None));
            }
            Err(_) => return Err(not_json()),
        };
        let missing =
            |param| wrong("missing_required_parameter", format!("Missing required parameter: '{param}'."), Some(param));
        let custom_id = shape.custom_id.filter(|id| !id.is_empty()).ok_or_else(|| missing("custom_id"))?;
        if custom_id.len() > MAX_CUSTOM_ID {
            let message = format!("The custom_id has {} bytes, expected at most {MAX_CUSTOM_ID}.", custom_id.len());
            return Err(wrong("invalid_custom_id", message, Some("custom_id")));
        }
        let method = shape.method.ok_or_else(|| missing("method"))?;
        if method != "POST" {
            let message = format!("The method is `{}`, expected `POST`.", shortened(&method));
            return Err(wrong("invalid_method", message, Some("method")));
        }
        let url = shape.url.ok_or_else(|| missing("url"))?;
        if url != endpoint.url() {
            let message =
                format!("The URL `{}` is not the endpoint of the batch, `{}`.", shortened(&url), endpoint.url());
            return Err(wrong("url_mismatch", message, Some("url")));
        }
        let body = shape.body.ok_or_else(|| missing("body"))?;
        let named: Named = serde_json::from_str(body.get())
            .map_err(|_| wrong("invalid_body", "The body is not a JSON object with a model.", Some("body")))?;
        let model = named.model.ok_or_else(|| missing("body.model"))?;
        if model.len() > MAX_MODEL {
            let message = format!("The name of the model has {} bytes, expected at most {MAX_MODEL}.", model.len());
            return Err(wrong("invalid_body", message, Some("body.model")));
        }
        Ok(Self { custom_id, model, body: Bytes::from(String::from(Box::<str>::from(body))) })
    }
}

fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    shortened(text.split(" at line ").next().unwrap_or_default()).to_owned()
}

/// An error in the file of a batch.
fn wrong(code: &'static str, message: impl Into<String>, param: Option<&str>) -> BatchError {
    BatchError { code: code.into(), message: message.into(), param: param.map(str::to_owned), line: None }
}

/// A line of the file of results or errors.
#[derive(Serialize)]
struct Row<'a> {
    id: String,
    custom_id: &'a str,
    response: Option<RowResponse<'a>>,
    error: Option<RowError<'a>>,
}

#[derive(Serialize)]
struct RowResponse<'a> {
    status_code: u16,
    request_id: &'a str,
    body: Box<RawValue>,
}

#[derive(Serialize)]
struct RowError<'a> {
    code: &'a str,
    message: &'a str,
}

/// The row of a line that was answered, with this status and body. `id` tells the request from others.
#[must_use]
pub fn answered(custom_id: &str, id: &str, status_code: u16, body: &Bytes) -> Box<RawValue> {
    let body = one_line(body).unwrap_or_else(|| raw(&String::from_utf8_lossy(body)));
    let request_id = format!("req_{id}");
    let response = Some(RowResponse { status_code, request_id: &request_id, body });
    raw(&Row { id: format!("batch_req_{id}"), custom_id, response, error: None })
}

/// The JSON of an answer on one line, else as it came: numbers keep their digits. Within JSON, ends of lines are only between tokens.
fn one_line(json: &[u8]) -> Option<Box<RawValue>> {
    let json: Box<RawValue> = serde_json::from_slice(json).ok()?;
    if !json.get().contains(['\n', '\r']) {
        return Some(json);
    }
    RawValue::from_string(json.get().replace(['\n', '\r'], "")).ok()
}

/// The row of a line that was not run.
#[must_use]
pub fn not_run(custom_id: &str, id: &str, code: &str, message: &str) -> Box<RawValue> {
    raw(&Row { id: format!("batch_req_{id}"), custom_id, response: None, error: Some(RowError { code, message }) })
}

fn raw(value: &(impl Serialize + ?Sized)) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::provider::Endpoint;

    #[test]
    fn a_body_is_read_or_its_wrong_member_is_named() {
        let read = |json: &str| CreateBatch::parse(json.as_bytes());
        let good = r#"{"input_file_id":"file-1","endpoint":"/v1/responses","completion_window":"24h","metadata":{"a":"b"},
            "output_expires_after":{"anchor":"created_at","seconds":3600}}"#;
        let batch = read(good).unwrap();
        assert_eq!((batch.endpoint, batch.output_seconds), (BatchEndpoint::Responses, Some(3_600)));
        for (from, to, param) in [
            ("/v1/responses", "/v1/images/edits", "endpoint"),
            ("24h", "1h", "completion_window"),
            ("created_at", "now", "output_expires_after.anchor"),
            ("3600", "1", "output_expires_after.seconds"),
            ("\"b\"", "7", "metadata.a"),
            ("\"metadata\"", "\"meta\"", "meta"),
            ("\"file-1\"", "null", "input_file_id"),
        ] {
            assert_eq!(read(&good.replace(from, to)).unwrap_err().param.as_deref(), Some(param), "{from}");
        }
    }

    #[test]
    fn a_line_is_read_or_refused_with_the_code_of_openai() {
        let read = |line: &str| BatchLine::read(line.as_bytes(), BatchEndpoint::Call(Endpoint::Embeddings));
        let good = r#"{"custom_id":"a","method":"POST","url":"/v1/embeddings","body":{"model":"m","input":"x"}}"#;
        let line = read(good).unwrap();
        assert_eq!((&*line.custom_id, &*line.model, &line.body[..]), ("a", "m", &br#"{"model":"m","input":"x"}"#[..]));
        for (from, to, code, param) in [
            (good, "garbage", "invalid_json_line", None),
            (good, "", "invalid_json_line", None),
            (good, "[1]", "invalid_json_line", None),
            ("\"a\"", "7", "invalid_json_line", None),
            ("\"a\"", "\"\"", "missing_required_parameter", Some("custom_id")),
            ("\"custom_id\":\"a\",", "", "missing_required_parameter", Some("custom_id")),
            ("POST", "GET", "invalid_method", Some("method")),
            ("embeddings", "responses", "url_mismatch", Some("url")),
            ("\"model\":\"m\",", "", "missing_required_parameter", Some("body.model")),
            ("\"m\"", "7", "invalid_body", Some("body")),
        ] {
            let error = read(&good.replace(from, to)).unwrap_err();
            assert_eq!((&*error.code, error.param.as_deref()), (code, param), "{from} -> {to}");
        }
    }

    #[test]
    fn an_answer_on_several_lines_is_a_row_on_one() {
        let body = Bytes::from_static(b"{\r\n  \"x\": 1.50,\n  \"text\": \"a\\nb\"\n}\n");
        let row = answered("a", "1", 200, &body);
        assert!(!row.get().contains(['\n', '\r']), "{row}");
        assert!(row.get().contains(r#""body":{  "x": 1.50,  "text": "a\nb"}"#), "{row}");
    }

    #[test]
    fn rows_are_those_of_openai() {
        let body = Bytes::from_static(b"{\"id\":\"x\"}");
        assert_eq!(
            answered("a", "1", 200, &body).get(),
            r#"{"id":"batch_req_1","custom_id":"a","response":{"status_code":200,"request_id":"req_1","body":{"id":"x"}},"error":null}"#
        );
        assert_eq!(
            not_run("a", "1", "batch_expired", "Too late.").get(),
            r#"{"id":"batch_req_1","custom_id":"a","response":null,"error":{"code":"batch_expired","message":"Too late."}}"#
        );
    }
}
