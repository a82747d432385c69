//! Uploads: parts become a file once and as a whole, and nothing is left of what was not completed.

mod deaths;
mod direct;
mod ends;
mod keys;
mod life;
mod races;
mod refusals;

use axum::Router;
use kit::{ADMIN_KEY, FORM, Reply, TestApp, form, send, shown_item};
use serde_json::{Value, json};
use shared::model::project::{Limits, Policy};

const UPLOADS: &str = "/v1/uploads";
const MINUTE_MS: u64 = 60_000;

struct Client {
    app: TestApp,
    router: Router,
    project_id: String,
    key: String,
}

impl Client {
    async fn new() -> Self {
        Self::with(Policy::default()).await
    }

    async fn with(policy: Policy) -> Self {
        Self::of(TestApp::new().await, policy).await
    }

    async fn of(app: TestApp, policy: Policy) -> Self {
        let (project, key) = app.project(Limits::default(), policy).await;
        Self { router: app.router(), app, project_id: project.id, key }
    }

    async fn post(&self, path: &str, body: Value) -> Reply {
        send(&self.router, "POST", &format!("{UPLOADS}{path}"), &self.key, &[], body.to_string()).await
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        send(&self.router, "GET", path, &self.key, headers, "").await
    }

    async fn create(&self, upload: Value) -> Reply {
        self.post("", upload).await
    }

    /// The id of a new upload.
    async fn new_upload(&self, bytes: usize) -> String {
        id_of(&self.create(of(bytes)).await)
    }

    async fn send_part(&self, upload: &str, content: &[u8]) -> Reply {
        let body = form(&[("data", Some("upload"), content)]);
        let path = format!("{UPLOADS}/{upload}/parts");
        send(&self.router, "POST", &path, &self.key, &[("content-type", FORM)], body).await
    }

    /// The id of a new part.
    async fn new_part(&self, upload: &str, content: &[u8]) -> String {
        id_of(&self.send_part(upload, content).await)
    }

    async fn complete(&self, upload: &str, parts: &[&str]) -> Reply {
        self.post(&format!("/{upload}/complete"), json!({"part_ids": parts})).await
    }

    async fn cancel(&self, upload: &str) -> Reply {
        self.post(&format!("/{upload}/cancel"), json!({})).await
    }

    /// The content of a file.
    async fn read(&self, file: &str) -> Reply {
        self.get(&format!("/v1/files/{file}/content"), &[]).await
    }

    async fn delete_file(&self, file: &str) {
        let deleted = send(&self.router, "DELETE", &format!("/v1/files/{file}"), &self.key, &[], "").await;
        assert_eq!(deleted.status, 200, "{}", deleted.text());
    }

    /// The ids of the project's files.
    async fn files(&self) -> Vec<String> {
        let list = self.get("/v1/files", &[]).await.json();
        list["data"].as_array().unwrap().iter().map(|file| text(&file["id"])).collect()
    }

    /// The bytes and the objects that the project stores.
    async fn stored(&self) -> (u64, u64) {
        let path = format!("/v1/organization/projects/{}/storage", self.project_id);
        let stored = send(&self.router, "GET", &path, ADMIN_KEY, &[], "").await.json();
        let number = |name: &str| stored["stored"][name].as_u64().unwrap();
        (number("bytes"), number("objects"))
    }

    /// The objects of parts, the objects of files, and the items of uploads and files.
    async fn left(&self) -> (usize, usize, usize) {
        let objects = self.app.objects().await;
        let of = |folder: &str| objects.iter().filter(|key| key.contains(folder)).count();
        let items = self.app.items().await;
        let is_ours = |item: &String| item.contains("UPLOADS#") || item.contains("FILES#");
        (of("/uploads/"), of("/files/"), items.iter().map(shown_item).filter(is_ours).count())
    }

    async fn sweep(&self) {
        self.app.instance().sweeper().sweep().await.unwrap();
    }

    /// Lets hours pass in which nothing is done but sweeping.
    async fn rest(&self) {
        for _ in 0..3 {
            self.app.clock.advance_ms(61 * MINUTE_MS);
            self.sweep().await;
        }
    }
}

/// The body for an upload of so many bytes.
fn of(bytes: usize) -> Value {
    json!({"filename": "a b.txt", "purpose": "user_data", "bytes": bytes, "mime_type": "text/plain"})
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

#[track_caller]
fn id_of(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{}", reply.text());
    text(&reply.json()["id"])
}

/// The id of the file of a completed upload.
#[track_caller]
fn file_of(reply: &Reply) -> String {
    assert_eq!((reply.status, &reply.json()["status"]), (200, &json!("completed")), "{}", reply.text());
    text(&reply.json()["file"]["id"])
}
