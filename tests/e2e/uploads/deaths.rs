//! Processes that die at each call of a store: nothing that was answered is lost, and no half file is made.

use kit::{Fault, TestApp};
use shared::model::project::Policy;

use super::{Client, file_of};

async fn new_client() -> Client {
    Client::of(TestApp::builder().troubled_bucket().build().await, Policy::default()).await
}

/// Whether a process died after a call of a store while it did this. That is before the next call, too.
async fn dies<T>(client: &Client, call: usize, work: impl Future<Output = T>) -> bool {
    client.app.faults.at(call, Fault::HangAfter);
    let died = client.app.faults.or_die(work).await.is_none();
    client.app.faults.clear();
    died
}

async fn check_that_nothing_is_left(client: &Client, context: &str) {
    client.rest().await;
    assert_eq!((client.left().await, client.stored().await), ((0, 0, 0), (0, 0)), "{context}");
}

#[tokio::test]
async fn a_completion_that_died_can_be_repeated() {
    let (mut died, mut made) = (0, 0);
    for call in 0..16 {
        let client = new_client().await;
        let upload = client.new_upload(5).await;
        let (one, two) = (client.new_part(&upload, b"Hel").await, client.new_part(&upload, b"lo").await);
        died += usize::from(dies(&client, call, client.complete(&upload, &[&one, &two])).await);
        let context = format!("after call {call}");
        made += client.files().await.len();
        for file in client.files().await {
            assert_eq!(client.read(&file).await.text(), "Hello", "{context}");
        }
        // The client sends it again, and the sweeper is as late as it may be.
        let file = file_of(&client.complete(&upload, &[&one, &two]).await);
        assert_eq!(client.files().await, [&*file], "{context}");
        client.rest().await;
        assert_eq!(client.read(&file).await.text(), "Hello", "{context}");
        assert_eq!((client.left().await, client.stored().await), ((0, 1, 1), (5, 1)), "{context}");
        client.delete_file(&file).await;
        check_that_nothing_is_left(&client, &context).await;
    }
    assert!(died >= 12 && made >= 16 - died, "{died} died, {made} files were made");
}

#[tokio::test]
async fn a_completion_that_died_and_is_not_repeated_leaves_a_whole_file_or_nothing() {
    for call in 0..14 {
        let client = new_client().await;
        let upload = client.new_upload(5).await;
        let part = client.new_part(&upload, b"Hello").await;
        dies(&client, call, client.complete(&upload, &[&part])).await;
        let context = format!("after call {call}");
        client.rest().await;
        for file in client.files().await {
            assert_eq!(client.read(&file).await.text(), "Hello", "{context}");
            client.delete_file(&file).await;
        }
        check_that_nothing_is_left(&client, &context).await;
    }
}

#[tokio::test]
async fn parts_cancellations_and_sweeps_that_died_leave_nothing() {
    let mut died = [0; 4];
    for call in 0..8 {
        let context = format!("after call {call}");
        let client = new_client().await;
        died[0] += usize::from(dies(&client, call, client.new_upload(5)).await);
        let upload = client.new_upload(5).await;
        died[1] += usize::from(dies(&client, call, client.send_part(&upload, b"Hello")).await);
        let part = client.new_part(&upload, b"Hello").await;
        died[2] += usize::from(dies(&client, call, client.cancel(&upload)).await);
        let cancelled = client.cancel(&upload).await;
        assert_eq!(cancelled.status, 200, "{context}: {}", cancelled.text());
        assert_eq!(client.complete(&upload, &[&part]).await.code(), "upload_cancelled", "{context}");
        client.app.clock.advance_ms(61 * super::MINUTE_MS);
        died[3] += usize::from(dies(&client, call, client.sweep()).await);
        check_that_nothing_is_left(&client, &context).await;
    }
    assert!(died.iter().all(|died| *died >= 2), "{died:?}");
}
