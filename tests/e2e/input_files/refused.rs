//! Files that a call cannot have: the client is told in its own envelope, no provider is called, and nothing is held.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kit::{Fault, Reply};
use serde_json::json;
use shared::model::file::{FileKey, MAX_INPUT_BYTES};
use shared::model::project::{Limits, Policy};

use super::*;

/// Checks the refusal of a call that named `path`.
#[track_caller]
fn refused(reply: &Reply, route: &str, code: &str, path: &str) {
    assert_eq!(reply.status, 400, "{route}: {}", reply.text());
    let error = &reply.json()["error"];
    let message = error["message"].as_str().unwrap();
    assert!(message.contains(&format!("'{path}'")), "{message}");
    if route == MESSAGES {
        assert_eq!(error["details"]["error_code"], code, "{error}");
        assert_eq!(error["type"], "invalid_request_error");
    } else {
        assert_eq!((&error["code"], &error["param"]), (&json!(code), &json!(path)));
    }
}

impl Site {
    async fn is_untouched(&self) {
        assert_eq!((self.app.first.call_count(), self.books().await), (0, (0, 0)));
    }
}

#[tokio::test]
async fn a_file_that_the_project_does_not_have_is_unknown_in_every_route() {
    let site = Site::new().await;
    let (_, other) = site.app.project(budget(1.0), Policy::default()).await;
    let foreign = upload(&site.router, &other, "a.pdf", PDF.1).await;
    let deleted = site.upload(PDF).await;
    site.delete(&deleted).await;
    for file in [foreign.as_str(), &deleted, "file-xxxxxxxxxxxxxxxxxxxxxxxx"] {
        for (route, call, path) in calls_with(file) {
            for members in [json!({}), json!({"stream": true}), json!({"background": true})] {
                if members["background"] == true && route != RESPONSES {
                    continue;
                }
                let mut call = call.clone();
                call.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
                let reply = site.post(route, &call).await;
                refused(&reply, route, "file_not_found", path);
                assert!(reply.text().contains(file), "{}", reply.text());
            }
        }
    }
    site.is_untouched().await;
}

#[tokio::test]
async fn no_file_is_looked_up_for_a_model_that_cannot_be_called() {
    let site = Site::new().await;
    let file = site.upload(PDF).await;
    for (route, mut call, _) in calls_with(&file) {
        call["model"] = json!("nobody");
        for path in [route, "/v1/quote"] {
            let reads = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&reads);
            site.app.faults.set(move |operation| {
                counted.fetch_add(usize::from(operation == "GetItem"), Ordering::Relaxed);
                Fault::None
            });
            let headers: &[_] = if route == MESSAGES { &[("anthropic-version", "2023-06-01")] } else { &[] };
            let reply = site.post_with(path, &site.key, headers, &call).await;
            site.app.faults.clear();
            assert_eq!((reply.status, reads.load(Ordering::Relaxed)), (404, 0), "{path}: {}", reply.text());
        }
    }
    site.is_untouched().await;
}

#[tokio::test]
async fn an_expired_file_is_unknown() {
    let site = Site::new().await;
    let form = kit::file_form(
        Some(PDF),
        &[("purpose", "user_data"), ("expires_after[anchor]", "created_at"), ("expires_after[seconds]", "3600")],
    );
    let made = send(&site.router, "POST", "/v1/files", &site.key, &[("content-type", FORM)], form).await.json();
    site.app.clock.advance_ms(3_600_000);
    let (route, call, path) = &calls_with(made["id"].as_str().unwrap())[0];
    refused(&site.post(route, call).await, route, "file_not_found", path);
    site.is_untouched().await;
}

#[tokio::test]
async fn files_that_are_too_large_or_too_many_are_refused() {
    let site = Site::new().await;
    let half = vec![b'a'; usize::try_from(MAX_INPUT_BYTES / 2).unwrap()];
    let file = site.upload(("half.txt", &half)).await;
    let parts = |number: usize| json!(vec![json!({"type": "file", "file": {"file_id": file}}); number]);
    let path = "messages[0].content[2].file.file_id";
    refused(&site.post(CHAT, &chat(parts(3))).await, CHAT, "file_too_large", path);
    let path = "messages[0].content[100].file.file_id";
    refused(&site.post(CHAT, &chat(parts(101))).await, CHAT, "too_many_files", path);
    site.is_untouched().await;
    // The largest that fits arrives whole.
    assert_eq!(site.post(CHAT, &chat(parts(2))).await.status, 200);
    let data = site.sent()[0]["content"][1]["file"]["file_data"].as_str().unwrap().len();
    assert_eq!(data, "data:text/plain;base64,".len() + half.len().div_ceil(3) * 4);
}

#[tokio::test]
async fn a_block_of_another_kind_is_refused_with_the_right_one() {
    let site = Site::new().await;
    let (pdf, png) = (site.upload(PDF).await, site.upload(PNG).await);
    for (kind, file, says) in [("image", &pdf, "application/pdf"), ("document", &png, "image/png")] {
        let call = chat(json!([{"type": kind, "source": {"type": "file", "file_id": file}}]));
        let reply = site.post(MESSAGES, &call).await;
        refused(&reply, MESSAGES, "unsupported_file", "messages[0].content[0].source.file_id");
        assert!(reply.text().contains(says), "{}", reply.text());
    }
    site.is_untouched().await;
}

#[tokio::test]
async fn a_key_without_the_scope_of_files_names_none() {
    let site = Site::new().await;
    let file = site.upload(PDF).await;
    let scopes = json!({"scopes": ["api.model.request", "api.responses.write"]});
    let key = crate::keys::make(&site.router, &site.project.id, scopes).await.text;
    for (route, call, _) in calls_with(&file) {
        let reply = site.post_with(route, &key, &[], &call).await;
        assert_eq!(reply.status, 403, "{route}: {}", reply.text());
        assert!(reply.text().contains("Missing scopes: api.files.read"), "{}", reply.text());
    }
    site.is_untouched().await;
}

#[tokio::test]
async fn a_content_that_cannot_be_read_costs_nothing_and_frees_the_key() {
    let site = Site::new().await;
    let file = site.upload(PDF).await;
    let key = FileKey { project_id: site.project.id.clone(), file_id: file.clone() };
    let bucket = embedded::s3_client(site.app.connectors().s3);
    let objects = site.app.objects().await;
    let object = objects.iter().find(|object| object.ends_with(&file)).unwrap();
    site.app.stores.files().delete_content(&key).await.unwrap();
    for (number, (route, call, _)) in calls_with(&file).into_iter().enumerate() {
        let reply = site.post_with(route, &site.key, &[("idempotency-key", &number.to_string())], &call).await;
        assert!(reply.status >= 500, "{route}: {}", reply.text());
        assert_eq!((site.app.first.call_count(), site.books().await), (0, (0, 0)), "{route}");
    }
    bucket.put_object().bucket("weir").key(object).body(PDF.1.to_vec().into()).send().await.unwrap();
    for (number, (route, call, _)) in calls_with(&file).into_iter().enumerate() {
        let reply = site.post_with(route, &site.key, &[("idempotency-key", &number.to_string())], &call).await;
        assert_eq!(reply.status, 200, "{route}: {}", reply.text());
    }
}

#[tokio::test]
async fn a_project_without_a_budget_may_name_files_too() {
    let app = TestApp::new().await;
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let router = app.router();
    let file = upload(&router, &key, PDF.0, PDF.1).await;
    for (route, call, _) in calls_with(&file) {
        assert_eq!(send(&router, "POST", route, &key, &[], call.to_string()).await.status, 200, "{route}");
    }
}
