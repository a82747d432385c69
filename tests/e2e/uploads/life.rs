//! Uploads that go well.

use kit::{FORM, file_form, send};
use serde_json::json;
use shared::model::project::Policy;
use shared::model::retention::Retention;

use super::{Client, file_of, id_of, of, text};

#[tokio::test]
async fn parts_become_a_file_in_the_order_of_their_ids() {
    let client = Client::new().await;
    let object = 8 * 1024 * 1024;
    // Around the size of the objects that hold parts.
    for lengths in [&[][..], &[5], &[1, 0, 2], &[object, 3], &[object + 1]] {
        let parts: Vec<Vec<u8>> = lengths.iter().enumerate().map(|(n, length)| vec![b'a' + n as u8; *length]).collect();
        let content = parts.concat();
        let upload = client.new_upload(content.len()).await;
        let mut ids = Vec::new();
        // They are sent in the opposite order.
        for part in parts.iter().rev() {
            ids.insert(0, client.new_part(&upload, part).await);
        }
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let file = file_of(&client.complete(&upload, &ids).await);
        let read = client.read(&file).await;
        assert!(read.status == 200 && read.body == content, "{lengths:?}");
        assert_eq!(client.left().await.0, 0, "the parts are gone");
        assert_eq!(client.stored().await, (content.len() as u64, 1));
        client.delete_file(&file).await;
    }
    client.rest().await;
    assert_eq!((client.left().await, client.stored().await), ((0, 0, 0), (0, 0)));
}

#[tokio::test]
async fn an_upload_is_answered_as_openai_answers_it() {
    let client = Client::new().await;
    let created = client.create(of(5)).await.json();
    let (upload, at) = (text(&created["id"]), created["created_at"].as_u64().unwrap());
    assert_eq!(
        created,
        json!({"id": upload, "object": "upload", "bytes": 5, "created_at": at, "expires_at": at + 3_600,
               "filename": "a b.txt", "purpose": "user_data", "status": "pending", "file": null})
    );
    let part = client.send_part(&upload, b"Hello").await.json();
    let id = text(&part["id"]);
    assert_eq!(part, json!({"id": id, "object": "upload.part", "created_at": at, "upload_id": upload}));
    let done = client.complete(&upload, &[&id]).await.json();
    assert_eq!((&done["status"], &done["id"], &done["bytes"]), (&json!("completed"), &json!(upload), &json!(5)));
    let file = client.get(&format!("/v1/files/{}", text(&done["file"]["id"])), &[]).await.json();
    assert_eq!((&done["file"], &file["filename"]), (&file, &json!("a b.txt")));
}

#[tokio::test]
async fn a_file_of_parts_is_as_one_that_came_at_once() {
    let client = Client::new().await;
    let body = file_form(Some(("a b.txt", b"0123456789")), &[("purpose", "user_data")]);
    let whole = id_of(&send(&client.router, "POST", "/v1/files", &client.key, &[("content-type", FORM)], body).await);
    let upload = client.new_upload(10).await;
    let (first, second) = (client.new_part(&upload, b"0123").await, client.new_part(&upload, b"456789").await);
    let of_parts = file_of(&client.complete(&upload, &[&first, &second]).await);
    let path = format!("/v1/files/{of_parts}/content");
    let tag = client.read(&whole).await.header("etag").to_owned();
    assert_eq!(client.read(&of_parts).await.header("etag"), tag);
    let range = client.get(&path, &[("range", "bytes=2-5"), ("if-range", &tag)]).await;
    assert_eq!((range.status, range.text(), range.header("content-range")), (206, "2345", "bytes 2-5/10"));
}

#[tokio::test]
async fn a_part_that_is_not_named_is_left_out() {
    let client = Client::new().await;
    let upload = client.new_upload(5).await;
    // The answer of the first was lost, so it was sent again.
    client.new_part(&upload, b"Hel").await;
    let (first, second) = (client.new_part(&upload, b"Hel").await, client.new_part(&upload, b"lo").await);
    let path = format!("/{upload}/complete");
    let md5 = "8b1a9953c4611296a827abf8c47804d7";
    let done = client.post(&path, json!({"part_ids": [first, second], "md5": md5})).await;
    assert_eq!(client.read(&file_of(&done)).await.text(), "Hello");
    assert_eq!((client.left().await.0, client.stored().await), (0, (5, 1)));
}

#[tokio::test]
async fn a_repeated_completion_answers_the_same_file() {
    let client = Client::new().await;
    let upload = client.new_upload(5).await;
    let part = client.new_part(&upload, b"Hello").await;
    let first = client.complete(&upload, &[&part]).await;
    let again = client.complete(&upload, &[&part]).await;
    assert_eq!((first.json(), client.stored().await), (again.json(), (5, 1)));
    client.delete_file(&file_of(&first)).await;
    let after = client.complete(&upload, &[&part]).await.json();
    assert_eq!((&after["status"], &after["file"]), (&json!("completed"), &json!(null)));
    assert_eq!(client.stored().await, (0, 0));
}

#[tokio::test]
async fn the_file_expires_as_the_upload_said() {
    for (policy, more, seconds) in [
        (Policy::default(), json!({"purpose": "batch"}), Some(30 * 86_400)),
        (Policy::default(), json!({"expires_after": {"anchor": "created_at", "seconds": 7_200}}), Some(7_200)),
        (Policy { retention: Some(Retention::Days(2)), ..Policy::default() }, json!({}), Some(2 * 86_400)),
        (Policy::default(), json!({}), None),
    ] {
        let client = Client::with(policy).await;
        let mut upload = of(5);
        upload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let upload = id_of(&client.create(upload).await);
        client.app.clock.advance_ms(1_000_000);
        let part = client.new_part(&upload, b"Hello").await;
        let file = client.complete(&upload, &[&part]).await.json()["file"].clone();
        let created = file["created_at"].as_u64().unwrap();
        assert_eq!(created, client.app.clock.now().seconds(), "a file begins when it is whole");
        assert_eq!(file["expires_at"].as_u64(), seconds.map(|seconds| created + seconds));
    }
}
