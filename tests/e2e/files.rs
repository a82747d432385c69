//! Files: what clients upload comes back byte for byte, until it is deleted or expires, and nothing is left of what was refused.

use axum::Router;
use axum::body::{Body, Bytes};
use futures_util::stream::{self, StreamExt as _};
use kit::{ADMIN_KEY, FORM, Fault, Reply, TestApp, file_form, form, send, shown_item};
use shared::model::project::{Limits, Policy};
use shared::model::retention::Retention;

const FILES: &str = "/v1/files";
const DAY_MS: u64 = 86_400_000;

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
        let app = TestApp::new().await;
        let (project, key) = app.project(Limits::default(), policy).await;
        Self { router: app.router(), app, project_id: project.id, key }
    }

    async fn post(&self, content_type: &str, body: impl Into<Body>) -> Reply {
        send(&self.router, "POST", FILES, &self.key, &[("content-type", content_type)], body).await
    }

    async fn upload(&self, content: &[u8], texts: &[(&str, &str)]) -> Reply {
        self.post(FORM, file_form(Some(("a b.txt", content)), texts)).await
    }

    /// The id of a new file.
    async fn new_file(&self, content: &[u8], purpose: &str) -> String {
        let made = self.upload(content, &[("purpose", purpose)]).await;
        assert_eq!(made.status, 200, "{}", made.text());
        made.json()["id"].as_str().unwrap().to_owned()
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        send(&self.router, "GET", &format!("{FILES}{path}"), &self.key, headers, "").await
    }

    async fn delete(&self, id: &str) -> Reply {
        send(&self.router, "DELETE", &format!("{FILES}/{id}"), &self.key, &[], "").await
    }

    async fn ids(&self, query: &str) -> (Vec<String>, bool) {
        let list = self.get(&format!("?{query}"), &[]).await.json();
        let ids = list["data"].as_array().unwrap().iter().map(|file| file["id"].as_str().unwrap().to_owned());
        (ids.collect(), list["has_more"].as_bool().unwrap())
    }

    /// The bytes and the objects that the project stores.
    async fn stored(&self) -> (u64, u64) {
        let path = format!("/v1/organization/projects/{}/storage", self.project_id);
        let stored = send(&self.router, "GET", &path, ADMIN_KEY, &[], "").await.json();
        let number = |name: &str| stored["stored"][name].as_u64().unwrap();
        (number("bytes"), number("objects"))
    }

    /// The objects of the bucket and the items of the table that belong to files.
    async fn left(&self) -> (usize, usize) {
        let objects = self.app.objects().await.into_iter().filter(|key| key.contains("/files/")).count();
        let items = self.app.items().await;
        (objects, items.iter().filter(|item| shown_item(item).contains("FILES#")).count())
    }

    async fn sweep(&self) {
        self.app.instance().sweeper().sweep().await.unwrap();
    }
}

#[tokio::test]
async fn a_file_comes_back_byte_for_byte() {
    let client = Client::new().await;
    let part = 8 * 1024 * 1024;
    // Around the size of the parts that go to the bucket.
    for length in [0, 1, part - 1, part, part + 1, 2 * part, 2 * part + 3] {
        let content: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
        let id = client.new_file(&content, "user_data").await;
        let (file, read) = (client.get(&format!("/{id}"), &[]).await, client.get(&format!("/{id}/content"), &[]).await);
        assert_eq!(file.json()["bytes"], length);
        assert_eq!((read.status, read.header("content-length")), (200, &*length.to_string()));
        assert!(read.body == content, "{length} bytes");
        assert_eq!(read.header("content-disposition"), "attachment; filename*=UTF-8''a%20b.txt");
        assert_eq!(client.delete(&id).await.status, 200);
    }
    assert_eq!((client.left().await, client.stored().await), ((0, 0), (0, 0)));
}

#[tokio::test]
async fn a_part_of_a_file_is_read_and_a_copy_is_not_sent_again() {
    let client = Client::new().await;
    let path = format!("/{}/content", client.new_file(b"0123456789", "user_data").await);
    for (range, status, body, of) in [
        ("bytes=2-5", 206, "2345", "bytes 2-5/10"),
        ("bytes=8-", 206, "89", "bytes 8-9/10"),
        ("bytes=-3", 206, "789", "bytes 7-9/10"),
        ("bytes=-99", 206, "0123456789", "bytes 0-9/10"),
        ("bytes=0-99", 206, "0123456789", "bytes 0-9/10"),
        ("bytes=10-", 416, "", "bytes */10"),
        ("bytes=0-1,3-4", 200, "0123456789", ""),
        ("lines=1", 200, "0123456789", ""),
    ] {
        let read = client.get(&path, &[("range", range)]).await;
        assert_eq!((read.status, read.text(), read.header("content-range")), (status, body, of), "{range}");
    }
    let tag = client.get(&path, &[]).await.header("etag").to_owned();
    let unchanged = client.get(&path, &[("if-none-match", &tag)]).await;
    assert_eq!((unchanged.status, unchanged.text(), unchanged.header("etag")), (304, "", &*tag));
    let newer = client.get(&path, &[("range", "bytes=1-1"), ("if-range", "\"older\"")]).await;
    assert_eq!((newer.status, newer.text()), (200, "0123456789"));
}

#[tokio::test]
async fn a_list_has_pages_in_both_orders_and_of_one_purpose() {
    let client = Client::new().await;
    let mut made = Vec::new();
    for purpose in ["batch", "user_data", "batch", "vision", "batch"] {
        made.push(client.new_file(b"a", purpose).await);
        client.app.clock.advance_ms(1);
    }
    let newest: Vec<String> = made.iter().rev().cloned().collect();
    assert_eq!(client.ids("").await, (newest.clone(), false));
    assert_eq!(client.ids("order=asc&limit=2").await, (made[..2].to_vec(), true));
    assert_eq!(client.ids(&format!("order=asc&limit=3&after={}", made[1])).await, (made[2..].to_vec(), false));
    assert_eq!(client.ids(&format!("limit=2&after={}", newest[0])).await, (newest[1..3].to_vec(), true));
    let batches = vec![made[4].clone(), made[2].clone()];
    assert_eq!(client.ids("purpose=batch&limit=2").await, (batches, true));
    // A page goes on after a file that was deleted.
    client.delete(&made[4]).await;
    assert_eq!(client.ids(&format!("after={}&limit=1", made[4])).await.0, [made[3].clone()]);
    for query in ["limit=0", "limit=10001", "order=up", "purpose=fine-tune", &format!("after={}", "a".repeat(65))] {
        let refused = client.get(&format!("?{query}"), &[]).await;
        assert_eq!((refused.status, refused.json()["error"]["param"].as_str()), (400, query.split('=').next()));
    }
}

#[tokio::test]
async fn a_wrong_form_is_refused_with_its_field_and_leaves_nothing() {
    let client = Client::new().await;
    let file = Some(("a.txt", b"Hello".as_slice()));
    let cut = |form: Vec<u8>| form[..form.len() - 8].to_vec();
    let part = ("file", Some("a.txt"), b"Hello".as_slice());
    for (body, param, message) in [
        (file_form(file, &[]), "purpose", "Missing required parameter"),
        (file_form(None, &[("purpose", "batch")]), "file", "Missing required parameter"),
        (file_form(None, &[("file", "Hello"), ("purpose", "batch")]), "file", "must be a file"),
        (file_form(file, &[("purpose", "fine-tune")]), "purpose", "expected one of: assistants, batch"),
        (file_form(file, &[("purpose", "batch"), ("porpose", "batch")]), "porpose", "Did you mean 'purpose'?"),
        (file_form(file, &[("purpose", "batch"), ("expires_after[seconds]", "1")]), "expires_after[seconds]", "3600"),
        (form(&[part, part]), "file", "more than once"),
        (cut(file_form(file, &[("purpose", "batch")])), "", "ends before its last boundary"),
        (b"no form".to_vec(), "", "no whole part that begins with the boundary"),
    ] {
        let refused = client.post(FORM, body).await;
        let error = &refused.json()["error"];
        assert_eq!((refused.status, error["param"].as_str().unwrap_or_default()), (400, param), "{error}");
        assert!(error["message"].as_str().unwrap().contains(message), "{error}");
    }
    let json = client.post("application/json", r#"{"purpose":"batch"}"#).await;
    assert!(json.status == 400 && json.text().contains("expected 'multipart/form-data'"), "{}", json.text());
    assert_eq!((client.left().await, client.stored().await), ((0, 0), (0, 0)));
}

#[tokio::test]
async fn a_body_without_a_part_is_refused_before_it_is_held() {
    let client = Client::new().await;
    for begin in ["", "--kit-boundary\r\nx: "] {
        let piece = Bytes::from("a".repeat(16_384));
        let pieces = stream::iter(std::iter::repeat_n(Ok::<_, std::convert::Infallible>(piece), 1_000));
        let begin = stream::iter([Ok(Bytes::from(begin))]);
        let refused = client.post(FORM, Body::from_stream(begin.chain(pieces))).await;
        assert_eq!(refused.status, 400, "{}", refused.text());
        assert!(refused.text().contains("more than 65536 bytes before a part"), "{}", refused.text());
    }
    assert_eq!(client.left().await, (0, 0));
}

#[tokio::test]
async fn a_file_expires_to_the_second_and_the_sweeper_deletes_it() {
    for (policy, texts, seconds) in [
        (Policy::default(), &[("purpose", "batch")][..], 30 * 86_400),
        (
            Policy::default(),
            &[("purpose", "vision"), ("expires_after[anchor]", "created_at"), ("expires_after[seconds]", "7200")],
            7_200,
        ),
        (Policy { retention: Some(Retention::Days(2)), ..Policy::default() }, &[("purpose", "batch")], 2 * 86_400),
    ] {
        let client = Client::with(policy).await;
        let made = client.upload(b"Hello", texts).await.json();
        let id = made["id"].as_str().unwrap();
        let created = made["created_at"].as_u64().unwrap();
        assert_eq!(made["expires_at"].as_u64(), Some(created + seconds), "{made}");
        let end = client.app.clock.now().plus_ms(seconds * 1_000);
        while client.app.clock.now().plus_ms(DAY_MS) < end {
            client.app.clock.advance_ms(DAY_MS);
            client.sweep().await;
        }
        client.app.clock.advance_ms(end.0 - client.app.clock.now().0 - 1_000);
        assert_eq!(client.get(&format!("/{id}/content"), &[]).await.text(), "Hello");
        client.app.clock.advance_ms(1_000);
        assert_eq!(client.get(&format!("/{id}"), &[]).await.status, 404);
        assert_eq!(client.ids("").await.0, Vec::<String>::new());
        client.sweep().await;
        assert_eq!((client.left().await, client.stored().await), ((0, 0), (0, 0)));
    }
}

#[tokio::test]
async fn what_a_project_may_store_ends_an_upload() {
    let policy = Policy { max_stored_bytes: Some(1_000), max_stored_objects: Some(2), ..Policy::default() };
    let client = Client::with(policy).await;
    client.new_file(&[0; 400], "user_data").await;
    let refused = client.upload(&[0; 601], &[("purpose", "user_data")]).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "storage_limit_exceeded"));
    client.new_file(&[0; 600], "user_data").await;
    let refused = client.upload(&[], &[("purpose", "user_data")]).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "storage_limit_exceeded"));
    assert_eq!((client.left().await, client.stored().await), ((2, 2), (1_000, 2)));
    let nothing_kept = Client::with(Policy { retention: Some(Retention::Nothing), ..Policy::default() }).await;
    let refused = nothing_kept.upload(b"a", &[("purpose", "batch")]).await;
    assert_eq!((refused.status, refused.code().as_str()), (400, "nothing_is_kept"));
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_what_the_sweeper_removes() {
    let client = Client::new().await;
    let whole = file_form(Some(("a.txt", &[7; 9 * 1024 * 1024])), &[("purpose", "user_data")]);
    let begin = whole[..whole.len() - 1_000].to_vec();
    // The rest never comes.
    let body = Body::from_stream(stream::unfold(Some(begin), async |begin| match begin {
        Some(begin) => Some((Ok::<_, std::convert::Infallible>(Bytes::from(begin)), None)),
        None => std::future::pending().await,
    }));
    let upload = tokio::time::timeout(std::time::Duration::from_secs(2), client.post(FORM, body));
    assert!(upload.await.is_err(), "the client hangs up");
    assert_eq!((client.ids("").await.0.len(), client.stored().await), (0, (0, 0)));
    assert_eq!(client.left().await.1, 1);
    client.app.clock.advance_ms(3_600_000);
    client.sweep().await;
    assert_eq!(client.left().await, (0, 0));
}

#[tokio::test]
async fn a_process_that_dies_in_an_upload_in_parts_leaves_a_whole_file_or_what_the_sweeper_removes() {
    let content = vec![7; 9 * 1024 * 1024];
    let (mut died, mut made) = (0, 0);
    for call in 0..14 {
        let client = Client::new().await;
        client.app.faults.at(call, Fault::HangAfter);
        let upload = client.upload(&content, &[("purpose", "user_data")]);
        died += usize::from(client.app.faults.or_die(upload).await.is_none());
        client.app.faults.clear();
        for id in client.ids("").await.0 {
            made += 1;
            assert!(client.get(&format!("/{id}/content"), &[]).await.body == content, "{call}");
            assert_eq!(client.delete(&id).await.status, 200, "{call}");
        }
        client.app.clock.advance_ms(3_600_000);
        client.sweep().await;
        assert_eq!((client.left().await, client.stored().await), ((0, 0), (0, 0)), "{call}");
    }
    assert!(died >= 8 && made >= 1, "{died} died, {made} files were made");
}

#[tokio::test]
async fn a_process_that_dies_at_any_call_leaves_a_whole_file_or_what_the_sweeper_removes() {
    let (mut died, mut made) = (0, 0);
    for call in 0..12 {
        for fault in [Fault::Hang, Fault::HangAfter] {
            let client = Client::new().await;
            client.app.faults.at(call, fault);
            let upload = client.upload(b"Hello", &[("purpose", "user_data")]);
            died += usize::from(client.app.faults.or_die(upload).await.is_none());
            client.app.faults.clear();
            for id in client.ids("").await.0 {
                made += 1;
                assert_eq!(client.get(&format!("/{id}/content"), &[]).await.text(), "Hello", "{fault:?} at {call}");
                client.app.faults.at(call, fault);
                let deletion = client.app.faults.or_die(client.delete(&id)).await;
                client.app.faults.clear();
                if deletion.is_none() && client.get(&format!("/{id}"), &[]).await.status == 200 {
                    client.delete(&id).await; // It died before its first write.
                }
            }
            client.app.clock.advance_ms(3_600_000);
            client.sweep().await;
            let left = (client.left().await, client.stored().await);
            assert_eq!(left, ((0, 0), (0, 0)), "{fault:?} at {call}");
        }
    }
    assert!(died >= 10 && made >= 5, "{died} died, {made} files were made");
}
