//! Requests for the same upload at the same moment, in many interleavings: one end wins, and nothing is left of the others.

use std::time::Duration;

use kit::{Reply, TestApp};
use serde_json::json;
use shared::model::project::Policy;

use super::{Client, file_of};

const TRIP: Duration = Duration::from_millis(10);

/// A client of stores that take time, with an upload of one part.
async fn client() -> (Client, String, String) {
    let client =
        Client::of(TestApp::builder().store_latency(TRIP).troubled_bucket().build().await, Policy::default()).await;
    let upload = client.new_upload(5).await;
    let part = client.new_part(&upload, b"Hello").await;
    (client, upload, part)
}

/// Runs both, the second one so many trips after the first one.
async fn both<A, B>(first: impl Future<Output = A>, trips: u32, second: impl Future<Output = B>) -> (A, B) {
    let second = async {
        tokio::time::sleep(TRIP * trips + TRIP / 2).await;
        second.await
    };
    tokio::join!(first, second)
}

/// Checks that nothing is left but this file, if there is one.
async fn check_what_is_left(client: &Client, file: Option<&str>, context: &str) {
    let files = client.files().await;
    assert_eq!(files.iter().map(String::as_str).collect::<Vec<_>>(), Vec::from_iter(file), "{context}");
    for file in &files {
        assert_eq!(client.read(file).await.text(), "Hello", "{context}");
    }
    client.rest().await;
    let count = files.len();
    assert_eq!(client.left().await, (0, count, count), "{context}");
    assert_eq!(client.stored().await, (5 * count as u64, count as u64), "{context}");
}

#[tokio::test(start_paused = true)]
async fn of_a_completion_and_a_cancellation_one_wins() {
    let (mut completed, mut cancelled) = (0, 0);
    for trips in 0..14 {
        let (client, upload, part) = client().await;
        let parts = [&*part];
        let (done, cancel) = both(client.complete(&upload, &parts), trips, client.cancel(&upload)).await;
        let context = format!("{trips}: {} {}", done.text(), cancel.text());
        let file = if done.status == 200 {
            completed += 1;
            assert_eq!(cancel.code(), "upload_completed", "{context}");
            Some(file_of(&done))
        } else {
            cancelled += 1;
            assert_eq!((done.status, &*done.code()), (400, "upload_cancelled"), "{context}");
            assert_eq!((cancel.status, &cancel.json()["status"]), (200, &json!("cancelled")), "{context}");
            None
        };
        check_what_is_left(&client, file.as_deref(), &context).await;
    }
    assert!(completed > 0 && cancelled > 0, "{completed} completed, {cancelled} cancelled");
}

#[tokio::test(start_paused = true)]
async fn two_completions_make_one_file() {
    for trips in 0..14 {
        let (client, upload, part) = client().await;
        let parts = [&*part];
        let (one, two) = both(client.complete(&upload, &parts), trips, client.complete(&upload, &parts)).await;
        let (file, context) = (file_of(&one), format!("{trips}: {} {}", one.text(), two.text()));
        assert_eq!(one.json(), two.json(), "{context}");
        check_what_is_left(&client, Some(&file), &context).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_that_comes_with_an_end_is_refused_or_left_out() {
    let was_refused = |reply: &Reply| match reply.status {
        200 => false,
        _ => {
            assert!(["upload_completed", "upload_cancelled"].contains(&&*reply.code()), "{}", reply.text());
            true
        }
    };
    let (mut refused, mut sent) = (0, 0);
    for trips in 0..12 {
        for completes in [true, false] {
            let (client, upload, part) = client().await;
            let parts = [&*part];
            let end =
                async { if completes { client.complete(&upload, &parts).await } else { client.cancel(&upload).await } };
            let (end, late) = both(end, trips, client.send_part(&upload, b"Hello")).await;
            if was_refused(&late) {
                refused += 1
            } else {
                sent += 1
            }
            assert_eq!(end.status, 200, "{}", end.text());
            let file = completes.then(|| file_of(&end));
            check_what_is_left(&client, file.as_deref(), &format!("{trips}: {}", late.text())).await;
        }
    }
    assert!(refused > 0 && sent > 0, "{refused} refused, {sent} sent");
}
