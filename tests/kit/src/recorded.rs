//! Recorded events: the data that they need, and the parts of their answers that are compared.
//!
//! `events/<function>-<case>.json` is an event, and `events/answers/<function>-<case>.json` is the answer that it must get.
//! The answer to a request is recorded as its status, headers and body, without the parts that differ from run to run;
//! the answer to messages as those that failed; the answer to a schedule as `null`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use shared::data::{
    AddedPart, Conversation, ConversationKey, CreateOutcome, IngestEnd, NewChunk, NewItem, NewResponse, ResponseRecord,
};
use shared::model::admin_key::{AdminKey, AdminScope};
use shared::model::audit::{AUDIT_ID, Actor, AuditAction, AuditEntry};
use shared::model::batch::{Batch, BatchEndpoint, BatchKey};
use shared::model::clock::Timestamp;
use shared::model::file::{File, FileDetails, FileKey, Purpose};
use shared::model::id::Fingerprint;
use shared::model::key_rights::KeyRights;
use shared::model::key_text::ApiKeySecret;
use shared::model::message::ResponseKey;
use shared::model::object::Object;
use shared::model::project::{ApiKey, Limits, Policy, Project, ServiceAccount};
use shared::model::provider::Endpoint;
use shared::model::response::Status;
use shared::model::tokens::Charge;
use shared::model::upload::{Upload, UploadKey, UploadStatus};
use shared::model::vector_store::{
    Attributes, ChunkingStrategy, FileCounts, FileStatus, StoreFile, StoreFileKey, VectorStore, VectorStoreKey,
    lexical_vector,
};

use crate::TestApp;

/// The key of the project that recorded requests come from.
const KEY: &str = "sk-weir-EventProject0000000000000-EventSecret00000000000000000000000000000ofq5WEWsxSUwAXX5";
/// The project that a recorded request purges.
const ARCHIVED: &str = "proj_EventArchived00000000000";
/// The admin key of recorded requests.
pub const RECORDED_ADMIN_KEY: &str = "sk-weir-admin-event";
/// The origin of the pages that sent recorded requests.
pub const RECORDED_ORIGINS: &str = "https://app.example.com";
/// The base path of the custom domain of recorded requests.
pub const RECORDED_BASE_PATH: &str = "ai";

/// The headers of answers that are compared, besides the content type.
const COMPARED: [&str; 12] = [
    "accept-ranges",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "access-control-max-age",
    "allow",
    "cache-control",
    "content-disposition",
    "content-range",
    "etag",
    "vary",
];

/// A recorded event.
#[derive(Debug, Clone)]
pub struct Recorded {
    pub name: String,
    pub text: String,
    /// Where its answer is recorded.
    pub answer: PathBuf,
}

impl Recorded {
    /// The function that it is for.
    #[must_use]
    pub fn function(&self) -> &'static str {
        let is_of = |function: &&str| self.name.strip_prefix(function).is_some_and(|rest| rest.starts_with('-'));
        local::function_names().find(is_of).unwrap_or_else(|| panic!("{} is of no function", self.name))
    }

    /// The answer that it must get.
    #[must_use]
    pub fn expected(&self) -> Value {
        let text =
            std::fs::read_to_string(&self.answer).unwrap_or_else(|_| panic!("{} has no recorded answer", self.name));
        serde_json::from_str(&text).expect("the answer is JSON")
    }
}

/// All recorded events, by name.
#[must_use]
pub fn recorded_events() -> Vec<Recorded> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events");
    let entries = std::fs::read_dir(&folder).expect("there is a folder of events");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("the folder is read").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    let read = |path: PathBuf| Recorded {
        name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        text: std::fs::read_to_string(&path).expect("the event is read"),
        answer: folder.join("answers").join(path.file_name().unwrap_or_default()),
    };
    paths.into_iter().map(read).collect()
}

/// The parts of an answer to a request that are compared. `header` returns the value of a header, or an empty text.
#[must_use]
pub fn compared<'a>(status: u16, header: impl Fn(&str) -> &'a str, body: &str) -> Value {
    let body = blotted(body);
    let body = serde_json::from_str::<Value>(&body).unwrap_or_else(|_| Value::from(body));
    let headers = COMPARED.iter().map(|name| ((*name).to_owned(), Value::from(header(name))));
    let headers: serde_json::Map<_, _> = headers.filter(|(_, value)| value != "").collect();
    json!({ "statusCode": status, "contentType": header("content-type"), "headers": headers, "body": body })
}

/// Replaces the ids and secrets that differ from run to run.
fn blotted(body: &str) -> String {
    let mut out = String::new();
    for word in body.split_inclusive('"') {
        let text = word.trim_end_matches('"');
        // An item of a response has the letters of the response and its index.
        let made = [
            ("proj_", 29),
            ("key_", 28),
            ("svc_acct_", 33),
            ("we_", 27),
            ("resp_", 29),
            ("msg_", 28),
            ("msg_", 31),
            ("msg_", 32),
            ("cmp_", 31),
            ("conv_", 29),
            ("req_", 28),
            ("file-", 29),
            ("batch_", 30),
            ("upload_", 31),
            ("part_", 29),
            ("vs_", 27),
        ];
        let made = made.iter().any(|(prefix, length)| text.starts_with(prefix) && text.len() == *length);
        let secret = ["sk-weir-", "whsec_"].into_iter().find(|prefix| text.starts_with(prefix));
        match (made && !text.contains("Event"), secret) {
            (true, _) => out.push_str(&format!("{}*", &text[..=text.rfind(['_', '-']).unwrap_or(0)])),
            (_, Some(prefix)) => out.push_str(&format!("{prefix}*")),
            _ => out.push_str(text),
        }
        out.push_str(&word[text.len()..]);
    }
    out
}

impl TestApp {
    /// Stores the data that recorded events need: one project with one key of one service account, an archived one, an entry of the audit
    /// log, a conversation with two items, a response that has ended, one that waits in the background, two files, an upload with
    /// two parts, a batch that nobody has begun, and a vector store with one of the files.
    pub async fn provision_recorded(&self) {
        let key = ApiKeySecret::parse(KEY).unwrap();
        let created_at = self.clock.now().seconds();
        let project = Project {
            id: key.project_id().to_owned(),
            name: "Events".to_owned(),
            created_at,
            archived_at: None,
            purge: None,
            limits: Limits::default(),
            revision: 1,
            policy: Policy::default(),
        };
        local::provision_project(&self.stores, &project).await.unwrap();
        let archived = Project { id: ARCHIVED.to_owned(), archived_at: Some(created_at), ..project.clone() };
        local::provision_project(&self.stores, &archived).await.unwrap();
        let stored = ApiKey {
            id: "key_1".to_owned(),
            hash: key.hash(),
            project_id: project.id.clone(),
            name: "backend".to_owned(),
            redacted_value: key.redact(),
            created_at,
            service_account_id: "svc_acct_1".to_owned(),
            limits: Limits::default(),
            rights: KeyRights::default(),
            revision: 1,
        };
        let account = ServiceAccount {
            id: "svc_acct_1".to_owned(),
            project_id: key.project_id().to_owned(),
            name: "backend".to_owned(),
            created_at,
        };
        let written = self.stores.api_keys().create_service_account(&account, &stored, &[]).await.unwrap();
        assert!(written.is_written(), "the key is new");
        let admin_key = AdminKey {
            id: "key_2".to_owned(),
            hash: Fingerprint::of([b"recorded".as_slice()]),
            name: "dashboard".to_owned(),
            redacted_value: "sk-weir-admin-...abcd".to_owned(),
            created_at,
            expires_at: Some(created_at + 86_400),
            scope: AdminScope::Read,
        };
        let written = self.stores.admin_keys().create(&admin_key, None).await.unwrap();
        assert!(written.is_written(), "the admin key is new");
        self.stores.audit().put(&recorded_entry(&project, self.clock.now())).await.unwrap();
        store_responses(self, key.project_id()).await;
        store_file(self, key.project_id(), "file-EventFile000000000000000", Purpose::UserData, b"Hello").await;
        store_file(self, key.project_id(), "file-2", Purpose::Batch, BATCH.as_bytes()).await;
        store_batch(self, key.project_id()).await;
        store_upload(self, key.project_id()).await;
        store_vectors(self, key.project_id()).await;
    }
}

/// An entry of the audit log.
fn recorded_entry(project: &Project, at: Timestamp) -> AuditEntry {
    let actor =
        Actor { key_id: "admin".to_owned(), address: Some("203.0.113.7".to_owned()), request_id: "req_1".to_owned() };
    let entry = AuditEntry::new(&actor, AuditAction::ProjectUpdated, &project.id, at).in_project(project);
    let entry = entry.with_change(json!({"name": "Event"}), json!({"name": project.name}));
    AuditEntry { id: format!("{AUDIT_ID}0"), ..entry }
}

/// The content of the file of a batch.
const BATCH: &str = r#"{"custom_id":"one","method":"POST","url":"/v1/chat/completions","body":{"model":"simulator","messages":[{"role":"user","content":"Hello"}]}}"#;

async fn store_file(app: &TestApp, project_id: &str, file_id: &str, purpose: Purpose, bytes: &[u8]) {
    let (files, now) = (app.stores.files(), app.clock.now());
    let key = FileKey { project_id: project_id.to_owned(), file_id: file_id.to_owned() };
    files.begin(&key, now).await.unwrap();
    let mut writer = files.writer(&key);
    writer.write(bytes).await.unwrap();
    let content = writer.finish().await.unwrap();
    let file = File {
        key,
        filename: if purpose == Purpose::Batch { "requests.jsonl" } else { "greeting.txt" }.to_owned(),
        purpose,
        media_type: "text/plain".to_owned(),
        bytes: content.bytes,
        sha256: content.sha256,
        created_at: now.seconds(),
        expires_at: None,
    };
    assert!(files.complete(&file, None).await.unwrap().is_written(), "the file is new");
}

async fn store_batch(app: &TestApp, project_id: &str) {
    let key = BatchKey { project_id: project_id.to_owned(), batch_id: "batch_1".to_owned() };
    let endpoint = BatchEndpoint::Call(Endpoint::ChatCompletions);
    let batch = Batch {
        metadata: Object::default().with("job", "nightly"),
        ..Batch::new(key, endpoint, "file-2".to_owned(), "key_1".to_owned(), 86_400, app.clock.now())
    };
    let made = app.stores.batches().create(&batch, None).await.unwrap();
    assert_eq!(made, CreateOutcome::Made);
}

/// An upload of five bytes, whose second part came first.
async fn store_upload(app: &TestApp, project_id: &str) {
    let (uploads, now) = (app.stores.uploads(), app.clock.now());
    let key = UploadKey { project_id: project_id.to_owned(), upload_id: "upload_1".to_owned() };
    let upload = Upload {
        key: key.clone(),
        filename: "greeting.txt".to_owned(),
        details: FileDetails { purpose: Purpose::UserData, expires_after: None },
        bytes: 5,
        created_at: now.seconds(),
        status: UploadStatus::Pending,
        parts: BTreeMap::new(),
    };
    assert_eq!(uploads.create(&upload, None, now).await.unwrap(), CreateOutcome::Made);
    for (id, content) in [("part_1", "lo"), ("part_2", "Hel")] {
        let mut writer = uploads.part_writer(&key, id.to_owned());
        writer.write(content.as_bytes()).await.unwrap();
        writer.finish().await.unwrap();
        let added = uploads.add_part(&key, id, writer.part(), upload.bytes, now).await.unwrap();
        assert_eq!(added, AddedPart::Added);
    }
}

/// A vector store with a file of one chunk.
async fn store_vectors(app: &TestApp, project_id: &str) {
    let (records, chunks, now) = (app.stores.store_files(), app.stores.chunks(), app.clock.now());
    let store = VectorStore {
        key: VectorStoreKey { project_id: project_id.to_owned(), store_id: "vs_1".to_owned() },
        name: "Letters".to_owned(),
        description: None,
        metadata: Object::default(),
        created_at: now,
        last_active_at: now,
        expires_after_days: None,
        embedding_model: "simulator-embedding".to_owned(),
        counts: FileCounts::default(),
        usage_bytes: 0,
        has_expired: false,
    };
    assert_eq!(app.stores.vector_stores().create(&store, None, None).await.unwrap(), CreateOutcome::Made);
    let file = StoreFile {
        key: StoreFileKey { store: store.key, file_id: "file-EventFile000000000000000".to_owned() },
        filename: "greeting.txt".to_owned(),
        created_at: now,
        expires_at: None,
        status: FileStatus::InProgress,
        problem: None,
        attributes: Attributes::default(),
        chunking: ChunkingStrategy::default(),
        usage_bytes: 0,
        live: None,
        chunks: 0,
        generation: 1,
        begun_at: now,
        api_key_id: "key_1".to_owned(),
        fence: 0,
        due_at: Some(now),
        detached_at: None,
        traceparent: None,
    };
    assert!(records.attach(&file, None, now).await.unwrap().is_written(), "the file is new");
    let words = lexical_vector("Hello").expect("a word has a vector");
    let embedding = words.iter().copied().map(i16::from).collect();
    let hash = "recorded".to_owned();
    let chunk = NewChunk { n: 0, text: "Hello".to_owned(), start: 0, hash, embedding, words: Some(words) };
    chunks.put(&file.key, 1, vec![chunk]).await.unwrap();
    let taken = records.take(&file.key, now, now.plus_ms(60_000)).await.unwrap().expect("nobody has it");
    let end = IngestEnd::Completed { chunks: 1, usage_bytes: 5 };
    assert!(records.end(&taken, &end).await.unwrap().is_written(), "nobody detached it");
    assert!(records.clear_due(&taken).await.unwrap().is_written(), "nobody detached it");
}

/// A conversation with two items, a response that has ended, and one that waits in the background.
async fn store_responses(app: &TestApp, project_id: &str) {
    let now = app.clock.now();
    let message = |id: &str, text: &str| {
        let content = json!([{"type": "input_text", "text": text}]);
        json!({"id": id, "type": "message", "status": "completed", "role": "user", "content": content})
    };
    let conversation = Conversation {
        key: ConversationKey { project_id: project_id.to_owned(), conversation_id: "conv_1".to_owned() },
        created_at: now.seconds(),
        metadata: Object::default().with("topic", "demo"),
        last_at: now,
        kept_seconds: 86_400,
    };
    let item = |id: &str, text: &str| NewItem { id: id.to_owned(), body: message(id, text).to_string().into() };
    let items = [item("msg_1", "Be brief."), item("msg_2", "Be kind.")];
    app.stores.conversations().create(&conversation, &items).await.unwrap();
    for (id, status) in [("resp_1", Status::Completed), ("resp_2", Status::Queued)] {
        let response = json!({
            "id": id, "object": "response", "created_at": now.seconds(), "status": status.name(), "model": "simulator",
            "background": status == Status::Queued, "output": [], "metadata": {},
        });
        let input = json!([message("msg_3", "Hello"), message("msg_4", "Hello again")]);
        let body = json!({"model": "simulator", "input": input});
        let request = json!({"body": body, "context": [], "skeleton": response, "limit": null, "turn_at": now.0});
        let has_ended = status == Status::Completed;
        let record = ResponseRecord {
            key: ResponseKey { project_id: project_id.to_owned(), response_id: id.to_owned() },
            status,
            background: !has_ended,
            stored: true,
            deleted: false,
            fence: 0,
            lease_until: now,
            not_before: now,
            due_at: None,
            next_sequence: u64::from(!has_ended),
            watched_until: now,
            created_at: now,
            kept_seconds: 86_400,
            finished_at: has_ended.then_some(now),
            model: "simulator".to_owned(),
            api_key_id: "key_1".to_owned(),
            run: None,
            conversation_id: None,
            traceparent: None,
            reservation: None,
            output_bytes: 0,
            charge: Charge::default(),
            runs: 0,
            begun: 0,
            unbegun: 0,
        };
        let new = NewResponse {
            record,
            request: request.to_string().into(),
            events: bytes::Bytes::new(),
            response: has_ended.then(|| response.to_string().into()),
            key: None,
            claim: None,
            erased_at: None,
        };
        let written = app.stores.responses().create(&new).await.unwrap();
        assert!(written.is_written(), "the response is new");
    }
}
