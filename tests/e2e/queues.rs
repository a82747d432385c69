//! Messages on the way from those who send them to workers, with deaths in between.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use embedded::Counts;
use kit::{Fault, TestApp};
use shared::data::{Queue, StoreError};
use shared::edge::worker::{MoreMessages, SqsBatchResponse, SqsEvent, batch, batch_and_more};
use shared::model::message::{Message, ResponseKey};

fn message(response_id: &str) -> String {
    Message::new(ResponseKey { project_id: "proj_1".into(), response_id: response_id.into() }, None).to_json()
}

async fn send(app: &TestApp, response_id: &str) -> Result<(), StoreError> {
    app.stores.queues.send(Queue::Respond, "proj_1", message(response_id), Duration::ZERO).await
}

/// A worker that reads the table twice for every message and counts those that it is done with.
async fn read_twice(app: &TestApp, event: SqsEvent, done: &AtomicUsize) -> SqsBatchResponse {
    let job = async |message: Message<ResponseKey>| {
        for _ in 0..2 {
            app.stores.projects().get(&message.key.project_id).await?;
        }
        done.fetch_add(1, Ordering::SeqCst);
        Ok::<_, StoreError>(())
    };
    batch("respond", event, job).await
}

#[tokio::test]
async fn a_message_reaches_its_worker_once_it_is_sent_and_is_gone_when_it_is_done() {
    let app = TestApp::new().await;
    let _ = app.log.take();
    send(&app, "resp_1").await.unwrap();
    assert_eq!(app.log.take(), ["SendMessage"]);
    let event = app.take_messages(Queue::Respond);
    let record = &event.records[0];
    assert_eq!(record.body.as_deref().unwrap(), message("resp_1"));
    assert_eq!(record.attributes["ApproximateReceiveCount"], "1");
    assert_eq!(record.attributes["MessageGroupId"], "proj_1");
    assert_eq!(record.event_source_arn.as_deref(), Some("arn:aws:sqs:us-east-1:000000000000:respond"));
    let done = AtomicUsize::new(0);
    let response = read_twice(&app, event.clone(), &done).await;
    app.acknowledge(Queue::Respond, &event, &response);
    assert_eq!((done.into_inner(), app.queues.counts("respond").unwrap()), (1, Counts::default()));
}

#[tokio::test]
async fn a_worker_that_dies_at_any_of_its_calls_gets_the_message_again() {
    for fault in [Fault::Hang, Fault::HangAfter] {
        for (call, survives) in [(0, false), (1, false), (2, true)] {
            let app = TestApp::new().await;
            send(&app, "resp_1").await.unwrap();
            let done = AtomicUsize::new(0);
            app.faults.at(call, fault);
            assert_eq!(app.work_once(Queue::Respond, |event| read_twice(&app, event, &done)).await, 1);
            assert_eq!(done.load(Ordering::SeqCst) == 1, survives);
            app.faults.clear();
            app.clock.advance_ms(5_400_000);
            app.work_once(Queue::Respond, |event| read_twice(&app, event, &done)).await;
            assert_eq!((done.into_inner(), app.queues.counts("respond").unwrap()), (1, Counts::default()));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_send_whose_answer_is_lost_may_send_twice_and_one_that_is_throttled_is_repeated() {
    let app = TestApp::new().await;
    app.faults.at(0, Fault::LoseAnswer);
    send(&app, "resp_1").await.unwrap();
    assert_eq!(app.queues.bodies("respond").unwrap(), [message("resp_1"), message("resp_1")]);
    app.faults.at(0, Fault::Throttle);
    send(&app, "resp_2").await.unwrap();
    app.faults.set(|_| Fault::Lose);
    assert_eq!(send(&app, "resp_3").await.unwrap_err().to_string(), "the queue did not take the message");
    assert_eq!(app.queues.bodies("respond").unwrap().len(), 3);
}

#[tokio::test]
async fn a_message_of_no_use_ends_among_the_dead_letters() {
    let app = TestApp::new().await;
    app.stores.queues.send(Queue::Respond, "proj_1", "{}".to_owned(), Duration::ZERO).await.unwrap();
    let done = AtomicUsize::new(0);
    let mut deliveries = 0;
    while app.work_once(Queue::Respond, |event| read_twice(&app, event, &done)).await == 1 {
        deliveries += 1;
        app.clock.advance_ms(5_400_000);
    }
    assert_eq!((deliveries, done.into_inner()), (5, 0));
    assert_eq!(app.queues.bodies("respond-dead-letters").unwrap(), ["{}"]);
}

#[tokio::test]
async fn a_hang_is_noticed_whenever_it_comes() {
    let app = TestApp::new().await;
    app.faults.at(0, Fault::Hang);
    assert_eq!(app.faults.or_die(async { send(&app, "resp_1").await.is_ok() }).await, None);
    app.faults.hang().await;
    assert_eq!(app.faults.or_die(async { 1 }).await, None);
    app.faults.clear();
    assert_eq!(app.faults.or_die(async { 1 }).await, Some(1));
    assert_eq!(app.queues.counts("respond").unwrap(), Counts::default());
}

#[tokio::test(start_paused = true)]
async fn an_invocation_with_room_receives_more_messages_and_deletes_those_that_are_done() {
    let app = TestApp::new().await;
    for n in 0..3 {
        send(&app, &format!("resp_{n}")).await.unwrap();
    }
    let event = app.take_messages(Queue::Respond);
    for n in 3..16 {
        send(&app, &format!("resp_{n}")).await.unwrap();
    }
    let more = MoreMessages::of(app.stores.queues.clone(), Queue::Respond, app.clock.clone());
    let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = async |message: Message<ResponseKey>| {
        most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(5)).await;
        running.fetch_sub(1, Ordering::SeqCst);
        match &*message.key.response_id {
            "resp_1" | "resp_12" => Err(StoreError::Damaged { key: "the job".to_owned(), attribute: "none" }),
            _ => Ok(()),
        }
    };
    let (first, later) = (event.records.len(), app.clock.now().plus_ms(60_000));
    let response = batch_and_more("respond", event.clone(), Some(&more.clone().until(later)), work).await;
    assert_eq!((first, most.load(Ordering::SeqCst)), (3, 10));
    assert_eq!(response.batch_item_failures.len(), 1, "Lambda knows of its own messages only");
    app.acknowledge(Queue::Respond, &event, &response);
    let left = app.queues.counts("respond").unwrap();
    assert_eq!(left, Counts { visible: 0, in_flight: 2, delayed: 0 }, "those that failed are delivered again");

    // Without the time for another, it takes none.
    for n in 0..2 {
        send(&app, &format!("resp_{n}")).await.unwrap();
    }
    let mut event = app.take_messages(Queue::Respond);
    event.records.truncate(1);
    send(&app, "resp_20").await.unwrap();
    let response = batch_and_more("respond", event, Some(&more.until(app.clock.now())), work).await;
    assert_eq!(response, SqsBatchResponse::default());
    assert_eq!(app.queues.counts("respond").unwrap().visible, 1);
}
