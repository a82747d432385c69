//! Processes that die at each call of a store: nothing that was answered is lost, and no half file is made.

use kit::Fault;

use super::{Client, file_of};

const DEATHS: [Fault; 2] = [Fault::Hang, Fault::HangAfter];

/// Whether a process died while it did this.
async fn dies<T>(client: &Client, call: usize, fault: Fault, work: impl Future<Output = T>) -> bool {
    client.app.faults.at(call, fault);
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
    for call in 0..20 {
        for fault in DEATHS {
            let client = Client::new().await;
            let upload = client.new_upload(5).await;
            let (one, two) = (client.new_part(&upload, b"Hel").await, client.new_part(&upload, b"lo").await);
            died += usize::from(dies(&client, call, fault, client.complete(&upload, &[&one, &two])).await);
            let context = format!("{fault:?} at {call}");
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
    }
    assert!(died >= 20 && made >= 40 - died, "{died} died, {made} files were made");
}

#[tokio::test]
async fn a_completion_that_died_and_is_not_repeated_leaves_a_whole_file_or_nothing() {
    for call in 0..14 {
        for fault in DEATHS {
            let client = Client::new().await;
            let upload = client.new_upload(5).await;
            let part = client.new_part(&upload, b"Hello").await;
            dies(&client, call, fault, client.complete(&upload, &[&part])).await;
            let context = format!("{fault:?} at {call}");
            client.rest().await;
            for file in client.files().await {
                assert_eq!(client.read(&file).await.text(), "Hello", "{context}");
                client.delete_file(&file).await;
            }
            check_that_nothing_is_left(&client, &context).await;
        }
    }
}

#[tokio::test]
async fn parts_cancellations_and_sweeps_that_died_leave_nothing() {
    let mut died = [0; 4];
    for call in 0..8 {
        for fault in DEATHS {
            let context = format!("{fault:?} at {call}");
            let client = Client::new().await;
            died[0] += usize::from(dies(&client, call, fault, client.new_upload(5)).await);
            let upload = client.new_upload(5).await;
            died[1] += usize::from(dies(&client, call, fault, client.send_part(&upload, b"Hello")).await);
            let part = client.new_part(&upload, b"Hello").await;
            died[2] += usize::from(dies(&client, call, fault, client.cancel(&upload)).await);
            let cancelled = client.cancel(&upload).await;
            assert_eq!(cancelled.status, 200, "{context}: {}", cancelled.text());
            assert_eq!(client.complete(&upload, &[&part]).await.code(), "upload_cancelled", "{context}");
            client.app.clock.advance_ms(61 * super::MINUTE_MS);
            died[3] += usize::from(dies(&client, call, fault, client.sweep()).await);
            check_that_nothing_is_left(&client, &context).await;
        }
    }
    assert!(died.iter().all(|died| *died >= 4), "{died:?}");
}
