//! What is wrong is refused with its reason, and makes no file.

use kit::{FORM, form, send};
use serde_json::json;
use shared::model::project::Policy;
use shared::model::retention::Retention;

use super::{Client, UPLOADS, file_of, of};

#[tokio::test]
async fn wrong_parts_are_refused_and_the_upload_goes_on() {
    let client = Client::new().await;
    let upload = client.new_upload(5).await;
    let (first, second) = (client.new_part(&upload, b"Hel").await, client.new_part(&upload, b"lo").await);
    let other = client.new_upload(2).await;
    let foreign = client.new_part(&other, b"lo").await;
    let path = format!("/{upload}/complete");
    for (body, param, code) in [
        (json!({"part_ids": [first, "part_x"]}), "part_ids[1]", "part_not_found"),
        (json!({"part_ids": [first, "ä".repeat(100)]}), "part_ids[1]", "part_not_found"),
        (json!({"part_ids": [first, foreign]}), "part_ids[1]", "part_not_found"),
        (json!({"part_ids": [first, second, first]}), "part_ids[2]", "invalid_value"),
        (json!({"part_ids": [first]}), "part_ids", "wrong_number_of_bytes"),
        (json!({"part_ids": []}), "part_ids", "wrong_number_of_bytes"),
        (json!({"part_ids": [first, second], "md5": "00000000000000000000000000000000"}), "md5", "wrong_md5"),
        (json!({"part_ids": [second, first], "md5": "8b1a9953c4611296a827abf8c47804d7"}), "md5", "wrong_md5"),
        (json!({"part_ids": [first, second], "md5": "x"}), "md5", "invalid_value"),
        (json!({"md5": "x"}), "part_ids", "missing_required_parameter"),
    ] {
        let refused = client.post(&path, body).await;
        let error = &refused.json()["error"];
        assert_eq!((refused.status, error["param"].as_str(), &*refused.code()), (400, Some(param), code), "{error}");
        assert!(!error["message"].as_str().unwrap().is_empty());
    }
    assert_eq!((client.files().await.len(), client.stored().await, client.left().await.1), (0, (0, 0), 0));
    let file = file_of(&client.complete(&upload, &[&first, &second]).await);
    assert_eq!(client.read(&file).await.text(), "Hello");
}

#[tokio::test]
async fn a_wrong_part_is_refused_and_leaves_nothing() {
    let client = Client::new().await;
    let upload = client.new_upload(5).await;
    let path = format!("{UPLOADS}/{upload}/parts");
    let data = ("data", Some("a"), b"Hello".as_slice());
    let mut cut = form(&[data]);
    cut.truncate(cut.len() - 8);
    for (body, param, message) in [
        (form(&[]), "data", "Missing required parameter"),
        (form(&[data, data]), "data", "more than once"),
        (form(&[data, ("date", None, b"a")]), "date", "Did you mean 'data'?"),
        (form(&[("data", Some("a"), b"Hello!")]), "data", "more bytes than the whole upload"),
        (cut, "", "ends before its last boundary"),
    ] {
        let refused = send(&client.router, "POST", &path, &client.key, &[("content-type", FORM)], body).await;
        let error = &refused.json()["error"];
        assert_eq!((refused.status, error["param"].as_str().unwrap_or_default()), (400, param), "{error}");
        assert!(error["message"].as_str().unwrap().contains(message), "{error}");
    }
    assert_eq!(client.left().await, (0, 0, 1));
    // A part can be sent twice, and not three times.
    for _ in 0..2 {
        client.new_part(&upload, b"Hello").await;
    }
    let refused = client.send_part(&upload, b"Hello").await;
    assert_eq!((refused.status, &*refused.code()), (400, "too_many_parts"));
    assert_eq!(client.left().await, (2, 0, 1));
}

#[tokio::test]
async fn an_upload_that_is_not_there_is_not_found() {
    let (client, other) = (Client::new().await, Client::new().await);
    let foreign = other.new_upload(5).await;
    for upload in [&*foreign, "upload_x", "upload_%2F", "file-x", &format!("upload_{}", "x".repeat(99))] {
        for reply in
            [client.send_part(upload, b"Hello").await, client.complete(upload, &[]).await, client.cancel(upload).await]
        {
            assert_eq!((reply.status, &*reply.code()), (404, "not_found"), "{upload}: {}", reply.text());
        }
    }
}

#[tokio::test]
async fn what_a_project_may_store_holds_for_uploads() {
    let policy = Policy { max_stored_bytes: Some(10), ..Policy::default() };
    let client = Client::with(policy).await;
    let refused = client.create(of(11)).await;
    assert_eq!((refused.status, &*refused.code()), (403, "storage_limit_exceeded"));
    let (one, two) = (client.new_upload(6).await, client.new_upload(6).await);
    let (part_one, part_two) = (client.new_part(&one, b"Hello.").await, client.new_part(&two, b"Hello.").await);
    let file = file_of(&client.complete(&one, &[&part_one]).await);
    let refused = client.complete(&two, &[&part_two]).await;
    assert_eq!((refused.status, &*refused.code()), (403, "storage_limit_exceeded"));
    assert_eq!((client.left().await.1, client.stored().await), (1, (6, 1)));
    // There is room again.
    client.delete_file(&file).await;
    file_of(&client.complete(&two, &[&part_two]).await);
    let nothing_kept = Client::with(Policy { retention: Some(Retention::Nothing), ..Policy::default() }).await;
    let refused = nothing_kept.create(of(1)).await;
    assert_eq!((refused.status, &*refused.code()), (400, "nothing_is_kept"));
}
