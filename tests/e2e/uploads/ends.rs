//! Uploads that are cancelled or expire.

use serde_json::json;

use super::{Client, MINUTE_MS};

/// Checks that an upload takes nothing any more.
async fn refuses(client: &Client, upload: &str, part: &str, code: &str) {
    let (sent, completed) = (client.send_part(upload, b"Hello").await, client.complete(upload, &[part]).await);
    for reply in [sent, completed] {
        assert_eq!((reply.status, &*reply.code()), (400, code), "{}", reply.text());
        assert_eq!(reply.json()["error"]["param"], "upload_id");
    }
}

#[tokio::test]
async fn a_cancelled_upload_has_no_parts_and_takes_none() {
    let client = Client::new().await;
    let upload = client.new_upload(5).await;
    let part = client.new_part(&upload, b"Hello").await;
    for _ in 0..2 {
        let cancelled = client.cancel(&upload).await;
        assert_eq!((cancelled.status, &cancelled.json()["status"]), (200, &json!("cancelled")));
        assert_eq!(client.left().await, (0, 0, 1));
    }
    refuses(&client, &upload, &part, "upload_cancelled").await;
    client.rest().await;
    assert_eq!((client.left().await, client.stored().await), ((0, 0, 0), (0, 0)));
    assert_eq!(client.cancel(&upload).await.status, 404);
}

#[tokio::test]
async fn a_completed_upload_is_not_cancelled() {
    let client = Client::new().await;
    let upload = client.new_upload(5).await;
    let part = client.new_part(&upload, b"Hello").await;
    client.complete(&upload, &[&part]).await;
    let refused = client.cancel(&upload).await;
    assert_eq!((refused.status, &*refused.code()), (400, "upload_completed"));
    let refused = client.send_part(&upload, b"Hello").await;
    assert_eq!((refused.status, &*refused.code()), (400, "upload_completed"));
    client.rest().await;
    // The file stays when nothing is left of its upload.
    assert_eq!((client.left().await, client.stored().await), ((0, 1, 1), (5, 1)));
    assert_eq!(client.read(&client.files().await[0]).await.text(), "Hello");
}

#[tokio::test]
async fn an_upload_expires_to_the_second_and_the_sweeper_deletes_it() {
    let client = Client::new().await;
    let (upload, other) = (client.new_upload(5).await, client.new_upload(5).await);
    let part = client.new_part(&upload, b"Hello").await;
    client.app.clock.advance_ms(60 * MINUTE_MS - 1_000);
    client.sweep().await;
    client.new_part(&other, b"Hello").await;
    client.app.clock.advance_ms(1_000);
    refuses(&client, &upload, &part, "upload_expired").await;
    let refused = client.cancel(&upload).await;
    assert_eq!((refused.status, &*refused.code()), (400, "upload_expired"));
    client.sweep().await;
    assert_eq!(client.left().await, (0, 0, 2), "the parts are gone");
    refuses(&client, &upload, &part, "upload_expired").await;
    client.app.clock.advance_ms(60 * MINUTE_MS);
    client.sweep().await;
    assert_eq!((client.left().await, client.stored().await), ((0, 0, 0), (0, 0)));
}
