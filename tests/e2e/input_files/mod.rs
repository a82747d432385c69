//! Uploaded files as input of model calls: each client names them in its own words, and each provider gets their contents in its own.

mod background;
mod counting;
mod refused;
mod wires;

use axum::Router;
use kit::{FORM, Reply, TestApp, file_form, send};
use serde_json::{Value, json};
use shared::model::project::{Policy, Project};

use crate::budget;

pub(super) const CHAT: &str = "/v1/chat/completions";
pub(super) const RESPONSES: &str = "/v1/responses";
pub(super) const MESSAGES: &str = "/v1/messages";

pub(super) const PDF: (&str, &[u8]) = ("report.pdf", b"%PDF-1.4\n\xff");
pub(super) const PNG: (&str, &[u8]) = ("photo", b"\x89PNG\r\n\x1a\n");
pub(super) const TEXT: (&str, &[u8]) = ("notes.md", "# Grüße".as_bytes());
pub(super) const ZIP: (&str, &[u8]) = ("all.zip", b"PK\x03\x04\xff");

/// What the contents are in base64.
pub(super) const PDF_DATA: &str = "JVBERi0xLjQK/w==";
pub(super) const PNG_DATA: &str = "iVBORw0KGgo=";
pub(super) const TEXT_DATA: &str = "IyBHcsO8w59l";

/// A project with a budget and its files.
pub(super) struct Site {
    pub app: TestApp,
    pub router: Router,
    pub project: Project,
    pub key: String,
}

impl Site {
    pub(super) async fn new() -> Self {
        Self::of(TestApp::new().await).await
    }

    pub(super) async fn of(app: TestApp) -> Self {
        let (project, key) = app.project(budget(10.0), Policy::default()).await;
        Self { router: app.router(), app, project, key }
    }

    /// The id of a new file.
    pub(super) async fn upload(&self, (name, content): (&str, &[u8])) -> String {
        upload(&self.router, &self.key, name, content).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.post_with(path, &self.key, &[], body).await
    }

    pub(super) async fn post_with(&self, path: &str, key: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
        send(&self.router, "POST", path, key, headers, body.to_string()).await
    }

    pub(super) async fn delete(&self, file: &str) {
        let reply = send(&self.router, "DELETE", &format!("/v1/files/{file}"), &self.key, &[], "").await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    /// The messages that the provider got with its last call.
    pub(super) fn sent(&self) -> Value {
        let body: Value = serde_json::from_slice(&self.app.first.calls().last().unwrap().body.to_bytes()).unwrap();
        body["messages"].clone()
    }

    /// Micro-dollars spent and held.
    pub(super) async fn books(&self) -> (u64, u64) {
        self.app.books(&self.project).await
    }
}

pub(super) async fn upload(router: &Router, key: &str, name: &str, content: &[u8]) -> String {
    let form = file_form(Some((name, content)), &[("purpose", "user_data")]);
    let reply = send(router, "POST", "/v1/files", key, &[("content-type", FORM)], form).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["id"].as_str().unwrap().to_owned()
}

/// A call of each dialect whose only message has these parts.
pub(super) fn chat(parts: Value) -> Value {
    json!({"model": "priced", "max_tokens": 100, "messages": [{"role": "user", "content": parts}]})
}

pub(super) fn response(parts: Value) -> Value {
    json!({"model": "priced", "max_output_tokens": 100, "input": [{"role": "user", "content": parts}]})
}

/// A call of each dialect that names a file, and the path of its id.
pub(super) fn calls_with(file: &str) -> [(&'static str, Value, &'static str); 5] {
    let image = json!([{"type": "input_image", "file_id": file}]);
    let block = json!([{"type": "document", "source": {"type": "file", "file_id": file}}]);
    let result = json!([{"type": "input_file", "file_id": file}]);
    let output = json!({"type": "function_call_output", "call_id": "c", "output": result});
    let call = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"});
    [
        (CHAT, chat(json!([{"type": "file", "file": {"file_id": file}}])), "messages[0].content[0].file.file_id"),
        (RESPONSES, response(json!([{"type": "input_file", "file_id": file}])), "input[0].content[0].file_id"),
        (RESPONSES, response(image), "input[0].content[0].file_id"),
        (
            RESPONSES,
            json!({"model": "priced", "max_output_tokens": 100, "input": [call, output]}),
            "input[1].output[0].file_id",
        ),
        (MESSAGES, chat(block), "messages[0].content[0].source.file_id"),
    ]
}

/// A PDF in each of the calls, as the provider gets it in the chat call.
#[tokio::test]
async fn a_file_is_sent_in_place_of_its_id() {
    let site = Site::new().await;
    let file = site.upload(PDF).await;
    let data = format!("data:application/pdf;base64,{PDF_DATA}");
    let part = json!([{"type": "file", "file": {"filename": "report.pdf", "file_data": data}}]);
    for (path, call, _) in calls_with(&file) {
        let reply = site.post(path, &call).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        let messages = site.sent();
        let content = &messages.as_array().unwrap().last().unwrap()["content"];
        if path == MESSAGES {
            let source = json!({"type": "base64", "media_type": "application/pdf", "data": PDF_DATA});
            assert_eq!(*content, json!([{"type": "document", "source": source, "title": "report.pdf"}]));
        } else {
            assert_eq!(*content, part, "{path}");
        }
        assert_eq!(site.books().await.1, 0, "{path}: nothing is held");
    }
}

#[tokio::test]
async fn the_content_decides_what_the_file_is() {
    let site = Site::new().await;
    let (png, text) = (site.upload(PNG).await, site.upload(TEXT).await);
    let url = format!("data:image/png;base64,{PNG_DATA}");
    let image = json!({"type": "input_image", "file_id": png, "detail": "low"});
    site.post(RESPONSES, &response(json!([image, {"type": "input_file", "file_id": png}]))).await;
    let expected = json!([
        {"type": "image_url", "image_url": {"url": url, "detail": "low"}},
        {"type": "image_url", "image_url": {"url": url}},
    ]);
    assert_eq!(site.sent()[0]["content"], expected);
    let named = json!({"type": "input_file", "file_id": text, "filename": "other.md"});
    site.post(RESPONSES, &response(json!([named]))).await;
    let data = format!("data:text/markdown;base64,{TEXT_DATA}");
    let expected = json!([{"type": "file", "file": {"filename": "other.md", "file_data": data}}]);
    assert_eq!(site.sent()[0]["content"], expected);
    let block = |kind: &str, file: &str| json!({"type": kind, "source": {"type": "file", "file_id": file}});
    let result = json!({"type": "tool_result", "tool_use_id": "t", "content": [block("image", &png)]});
    let reply = site.post(MESSAGES, &chat(json!([block("document", &text), result]))).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let source = json!({"type": "text", "media_type": "text/plain", "data": "# Grüße"});
    assert_eq!(site.sent()[0]["content"][0], json!({"type": "document", "source": source, "title": "notes.md"}));
    let source = json!({"type": "base64", "media_type": "image/png", "data": PNG_DATA});
    assert_eq!(site.sent()[0]["content"][1]["content"], json!([{"type": "image", "source": source}]));
}

#[tokio::test]
async fn ids_of_providers_pass_in_chats_and_messages() {
    let site = Site::new().await;
    let theirs = "file-6F2ksmvXxt4VdoqmHRw6kL";
    let part = json!([{"type": "file", "file": {"file_id": theirs}}]);
    assert_eq!(site.post(CHAT, &chat(part.clone())).await.status, 200);
    assert_eq!(site.sent()[0]["content"], part);
    let block = json!([{"type": "document", "source": {"type": "file", "file_id": "file_011CNha8iCJcU1wXNR6q4V8w"}}]);
    assert_eq!(site.post(MESSAGES, &chat(block.clone())).await.status, 200);
    assert_eq!(site.sent()[0]["content"], block);
}

#[tokio::test]
async fn stored_items_have_the_id_as_it_was_sent_and_later_turns_read_the_file_again() {
    let site = Site::new().await;
    let file = site.upload(PDF).await;
    let first = site.post(RESPONSES, &response(json!([{"type": "input_file", "file_id": file}]))).await.json();
    let id = first["id"].as_str().unwrap();
    let items = send(&site.router, "GET", &format!("{RESPONSES}/{id}/input_items"), &site.key, &[], "").await.json();
    assert_eq!(items["data"][0]["content"], json!([{"type": "input_file", "file_id": file}]));
    let next = json!({"model": "priced", "input": "And?", "previous_response_id": id, "max_output_tokens": 100});
    assert_eq!(site.post(RESPONSES, &next).await.status, 200);
    assert!(site.sent()[0]["content"][0]["file"]["file_data"].as_str().unwrap().ends_with(PDF_DATA));
    site.delete(&file).await;
    let reply = site.post(RESPONSES, &next).await;
    assert_eq!((reply.status, &*reply.code()), (400, "file_not_found"), "{}", reply.text());
    let error = &reply.json()["error"];
    assert!(error["message"].as_str().unwrap().starts_with("An earlier item cannot be used: no file"), "{error}");
    assert_eq!(error["param"], Value::Null);
}

#[tokio::test]
async fn a_key_and_the_cache_know_a_call_by_the_ids_of_its_files() {
    let site = Site::new().await;
    let (one, other) = (site.upload(PDF).await, site.upload(PDF).await);
    let call = |file: &str| chat(json!([{"type": "file", "file": {"file_id": file}}]));
    let headers = [("idempotency-key", "k")];
    let first = site.post_with(CHAT, &site.key, &headers, &call(&one)).await;
    let again = site.post_with(CHAT, &site.key, &headers, &call(&one)).await;
    assert_eq!((first.status, first.text()), (again.status, again.text()));
    assert_eq!(site.post_with(CHAT, &site.key, &headers, &call(&other)).await.status, 422);
    assert_eq!(site.app.first.call_count(), 1);
}
