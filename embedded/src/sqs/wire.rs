//! SQS's JSON protocol: reads requests, writes answers and errors. Refuses members that weir does not use, rather than
//! ignoring them.

use std::ops::RangeInclusive;
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::store::{New, Received, Refusal, Store};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct SendMessage {
    queue_url: String,
    message_body: String,
    #[serde(default)]
    delay_seconds: i64,
    message_group_id: Option<String>,
    #[serde(default)]
    message_attributes: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ReceiveMessage {
    queue_url: String,
    max_number_of_messages: Option<i64>,
    visibility_timeout: Option<i64>,
    /// Ignored. An answer without messages may come early on SQS, too.
    #[serde(rename = "WaitTimeSeconds")]
    _wait_time_seconds: Option<i64>,
    #[serde(default)]
    attribute_names: Vec<String>,
    #[serde(default)]
    message_system_attribute_names: Vec<String>,
    #[serde(default)]
    message_attribute_names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DeleteMessage {
    queue_url: String,
    receipt_handle: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ChangeMessageVisibility {
    queue_url: String,
    receipt_handle: String,
    visibility_timeout: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GetQueueAttributes {
    queue_url: String,
    #[serde(default)]
    attribute_names: Vec<String>,
}

/// The operations that weir and its tests use.
pub(super) fn dispatch(store: &mut Store, operation: &str, body: &[u8], now_ms: u64) -> Result<Value, Refusal> {
    match operation {
        "SendMessage" => send(store, parse(body)?, now_ms),
        "ReceiveMessage" => receive(store, &parse(body)?, now_ms),
        "DeleteMessage" => {
            let request: DeleteMessage = parse(body)?;
            store.delete(name(&request.queue_url), &request.receipt_handle).map(|()| json!({}))
        }
        "ChangeMessageVisibility" => {
            let request: ChangeMessageVisibility = parse(body)?;
            let timeout = seconds("VisibilityTimeout", request.visibility_timeout, 0..=43_200)?;
            let changed = store.change_visibility(name(&request.queue_url), &request.receipt_handle, timeout, now_ms);
            changed.map(|()| json!({}))
        }
        "GetQueueAttributes" => attributes(store, &parse(body)?, now_ms),
        other => Err(Refusal::Unsupported(other.to_owned())),
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::InvalidParameter(error.to_string()))
}

/// The name in a queue's URL.
fn name(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or_default()
}

fn within(parameter: &str, value: i64, range: RangeInclusive<u64>) -> Result<u64, Refusal> {
    let valid = u64::try_from(value).ok().filter(|value| range.contains(value));
    valid.ok_or_else(|| Refusal::InvalidParameter(format!("Value {value} for parameter {parameter} is invalid.")))
}

fn seconds(parameter: &str, value: i64, range: RangeInclusive<u64>) -> Result<Duration, Refusal> {
    within(parameter, value, range).map(Duration::from_secs)
}

/// The most attributes that a message may have.
const MAX_MESSAGE_BYTES: usize = 1 << 20;

fn send(store: &mut Store, request: SendMessage, now_ms: u64) -> Result<Value, Refusal> {
    let delay = seconds("DelaySeconds", request.delay_seconds, 0..=900)?;
    if !(1..=MAX_MESSAGE_BYTES).contains(&request.message_body.len()) {
        return Err(Refusal::InvalidParameter("One or more parameters are invalid. Reason: MessageBody.".to_owned()));
    }
    let new = New {
        body: request.message_body,
        delay,
        group_id: request.message_group_id,
        attributes: request.message_attributes,
    };
    let (message_id, md5) = store.send(name(&request.queue_url), new, now_ms)?;
    Ok(json!({ "MessageId": message_id, "MD5OfMessageBody": md5 }))
}

fn receive(store: &mut Store, request: &ReceiveMessage, now_ms: u64) -> Result<Value, Refusal> {
    let max = within("MaxNumberOfMessages", request.max_number_of_messages.unwrap_or(1), 1..=10)?;
    let visibility = request.visibility_timeout.map(|timeout| seconds("VisibilityTimeout", timeout, 0..=43_200));
    let max = usize::try_from(max).unwrap_or(1);
    let received = store.receive(name(&request.queue_url), max, visibility.transpose()?, now_ms)?;
    let messages: Vec<Value> = received.iter().map(|message| message_json(message, request)).collect();
    // SQS leaves the member out of an answer without messages.
    Ok(if messages.is_empty() { json!({}) } else { json!({ "Messages": messages }) })
}

fn message_json(message: &Received, request: &ReceiveMessage) -> Value {
    let of_system = [&request.attribute_names[..], &request.message_system_attribute_names].concat();
    let mut json = json!({
        "MessageId": message.message_id,
        "ReceiptHandle": message.receipt_handle,
        "MD5OfBody": message.md5_of_body,
        "Body": message.body,
    });
    let system = message.system_attributes().into_iter().map(|(name, value)| (name.to_owned(), Value::from(value)));
    let system: Map<String, Value> = system.filter(|(name, _)| wants(&of_system, name)).collect();
    let mut own = message.attributes.clone();
    own.retain(|name, _| wants(&request.message_attribute_names, name));
    for (member, attributes) in [("Attributes", system), ("MessageAttributes", own)] {
        if !attributes.is_empty() {
            json[member] = Value::from(attributes);
        }
    }
    json
}

fn wants(names: &[String], name: &str) -> bool {
    names.iter().any(|wanted| wanted == "All" || wanted == name)
}

fn attributes(store: &mut Store, request: &GetQueueAttributes, now_ms: u64) -> Result<Value, Refusal> {
    let counts = store.counts(name(&request.queue_url), now_ms)?;
    let known = [
        ("ApproximateNumberOfMessages", counts.visible),
        ("ApproximateNumberOfMessagesNotVisible", counts.in_flight),
        ("ApproximateNumberOfMessagesDelayed", counts.delayed),
    ];
    let asked = known.iter().filter(|(name, _)| wants(&request.attribute_names, name));
    let asked: Map<String, Value> =
        asked.map(|(name, count)| ((*name).to_owned(), Value::from(count.to_string()))).collect();
    Ok(json!({ "Attributes": asked }))
}

pub(super) fn respond(answer: Result<Value, Refusal>) -> Result<HttpResponse, ConnectorError> {
    let (status, body, code) = match answer {
        Ok(body) => (200, body, None),
        Err(refusal) => {
            let (shape, code) = codes(&refusal);
            let body = json!({ "__type": format!("com.amazonaws.sqs#{shape}"), "message": refusal.to_string() });
            (400, body, Some(code))
        }
    };
    let status = u16::try_into(status).map_err(|error| ConnectorError::other(Box::new(error), None))?;
    let mut response = HttpResponse::new(status, SdkBody::from(body.to_string()));
    response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
    if let Some(code) = code {
        // The SDK reads the names of the older protocol.
        response.headers_mut().insert("x-amzn-query-error", format!("{code};Sender"));
    }
    Ok(response)
}

/// The name of an error in this protocol and in the older one.
fn codes(refusal: &Refusal) -> (&'static str, &'static str) {
    match refusal {
        Refusal::UnknownQueue => ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"),
        Refusal::InvalidReceipt => ("ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid"),
        Refusal::NotInFlight => ("MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight"),
        Refusal::InvalidParameter(_) => ("InvalidParameterValueException", "InvalidParameterValue"),
        Refusal::Unsupported(_) => ("UnsupportedOperation", "AWS.SimpleQueueService.UnsupportedOperation"),
    }
}
