//! Messages twice, late, out of order or never; workers at once, workers that die.

use std::time::Duration;

use futures_util::future::join_all;
use kit::{Fault, HookReply};
use shared::data::Queue;
use shared::model::message::DeliveryKey;

use crate::deliveries::Deliveries;

#[tokio::test]
async fn an_event_that_is_announced_twice_is_delivered_once() {
    let deliveries = Deliveries::new().await;
    let endpoint = deliveries.endpoint(&deliveries.hook.url()).await;
    let event = deliveries.event("resp_1");
    let key = deliveries.announce(&endpoint, &event).await;
    deliveries.clock.advance_ms(5_000);
    assert_eq!(deliveries.announce(&endpoint, &event).await, key);
    deliveries.work().await;
    assert_eq!(deliveries.announce(&endpoint, &event).await, key);
    deliveries.work().await;
    assert_eq!(deliveries.hook.received().len(), 1);
    assert_eq!(deliveries.outcome(&key).await, "delivered");
}

#[tokio::test]
async fn messages_that_come_twice_late_or_early_make_no_attempt() {
    let deliveries = Deliveries::new().await;
    deliveries.hook.then(HookReply::status(500));
    let (_, key) = deliveries.announced().await;
    deliveries.app.queues.duplicate_all(Queue::Deliver.name()).unwrap();
    let twice = deliveries.app.take_messages(Queue::Deliver);
    assert_eq!(twice.records.len(), 2);
    deliveries.deliver(twice.clone()).await;
    assert_eq!(deliveries.hook.received().len(), 1, "two messages at once are one attempt");
    deliveries.clock.advance_ms(4_999);
    deliveries.deliver(twice.clone()).await;
    assert_eq!(deliveries.hook.received().len(), 1, "an early message is none");
    deliveries.step(&key).await;
    assert_eq!((deliveries.hook.received().len(), deliveries.outcome(&key).await.as_str()), (2, "delivered"));
    deliveries.clock.advance_ms(3_600_000);
    deliveries.deliver(twice).await;
    assert_eq!(deliveries.hook.received().len(), 2, "a late message is none");
}

#[tokio::test]
async fn of_many_workers_one_makes_the_attempt() {
    let deliveries = Deliveries::new().await;
    deliveries.hook.always(HookReply::status(200).after(Duration::from_millis(100)));
    let (_, key) = deliveries.announced().await;
    let workers: Vec<_> = (0..16).map(|_| deliveries.app.instance().deliverer()).collect();
    let done = join_all(workers.iter().map(|worker| worker.deliver(&key))).await;
    assert!(done.iter().all(Result::is_ok), "{done:?}");
    assert_eq!(deliveries.hook.received().len(), 1);
    assert_eq!(deliveries.delivery(&key).await.attempts.len(), 1);
}

/// Lets a worker die when the receiver has its request.
async fn killed_in_the_attempt(deliveries: &Deliveries, key: &DeliveryKey) {
    let before = deliveries.hook.received().len();
    let doomed = deliveries.app.instance().deliverer();
    tokio::select! {
        done = doomed.deliver(key) => panic!("{done:?}"),
        () = async {
            while deliveries.hook.received().len() == before {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        } => {}
    }
}

#[tokio::test]
async fn a_worker_that_dies_between_attempt_and_record_is_followed_by_another() {
    let deliveries = Deliveries::new().await;
    deliveries.hook.then(HookReply::status(200).after(Duration::from_secs(60)));
    let (_, key) = deliveries.announced().await;
    killed_in_the_attempt(&deliveries, &key).await;
    deliveries.work().await;
    assert_eq!(deliveries.hook.received().len(), 1, "the claim keeps others out");
    deliveries.clock.advance_ms(59_999);
    deliveries.sweep().await;
    assert_eq!(deliveries.work().await, 0);
    deliveries.step(&key).await;
    let [first, second] = deliveries.hook.received().try_into().unwrap();
    assert_eq!(first.header("webhook-id"), second.header("webhook-id"));
    assert_eq!(deliveries.outcome(&key).await, "delivered");
}

#[tokio::test]
async fn what_kills_every_worker_ends_as_a_dead_letter() {
    let deliveries = Deliveries::new().await;
    deliveries.hook.always(HookReply::status(200).after(Duration::from_secs(60)));
    let (_, key) = deliveries.announced().await;
    for _ in 0..10 {
        killed_in_the_attempt(&deliveries, &key).await;
        deliveries.clock.advance_ms(60_000);
    }
    deliveries.sweep().await;
    deliveries.work().await;
    assert_eq!((deliveries.outcome(&key).await.as_str(), deliveries.hook.received().len()), ("attempts_exhausted", 10));
}

#[tokio::test]
async fn the_sweeper_finds_what_was_never_sent() {
    let deliveries = Deliveries::new().await;
    deliveries.lose_messages(true);
    let (_, key) = deliveries.announced().await;
    assert_eq!(deliveries.work().await, 0);
    deliveries.lose_messages(false);
    deliveries.clock.advance_ms(60_000);
    let others: Vec<_> = (0..4).map(|_| deliveries.app.instance().sweeper()).collect();
    for swept in join_all(others.iter().map(|sweeper| sweeper.sweep())).await {
        swept.unwrap();
    }
    assert_eq!(deliveries.work().await, 1, "four sweepers send one message");
    assert_eq!((deliveries.outcome(&key).await.as_str(), deliveries.hook.received().len()), ("delivered", 1));
}

#[tokio::test]
async fn the_sweeper_finds_a_repetition_that_was_never_sent() {
    let deliveries = Deliveries::new().await;
    deliveries.hook.then(HookReply::status(500));
    let (_, key) = deliveries.announced().await;
    let first = deliveries.app.take_messages(Queue::Deliver);
    deliveries.lose_messages(true);
    deliveries.deliver(first).await;
    deliveries.lose_messages(false);
    deliveries.step(&key).await;
    assert_eq!((deliveries.outcome(&key).await.as_str(), deliveries.hook.received().len()), ("delivered", 2));
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_recognised() {
    let deliveries = Deliveries::new().await;
    let (_, key) = deliveries.announced().await;
    let mut lost = false;
    deliveries.app.faults.set(move |operation| {
        if operation == "PutItem" && !std::mem::replace(&mut lost, true) { Fault::LoseAnswer } else { Fault::None }
    });
    deliveries.instance.deliverer().deliver(&key).await.unwrap();
    deliveries.app.faults.clear();
    assert_eq!((deliveries.outcome(&key).await.as_str(), deliveries.hook.received().len()), ("delivered", 1));
}

#[tokio::test]
async fn receivers_of_one_project_that_hang_have_ten_attempts_at_the_same_time_and_the_others_wait() {
    let deliveries = Deliveries::new().await;
    deliveries.hook.always(HookReply::status(200).after(Duration::from_secs(1)));
    let endpoint = deliveries.endpoint(&deliveries.hook.url()).await;
    let mut keys = Vec::new();
    for n in 0..14 {
        keys.push(deliveries.announce(&endpoint, &deliveries.event(&format!("resp_{n}"))).await);
    }
    let workers: Vec<_> = (0..2).map(|_| deliveries.app.instance().deliverer()).collect();
    let done = join_all(keys.iter().enumerate().map(|(n, key)| workers[n % 2].deliver(key))).await;
    assert!(done.iter().all(Result::is_ok), "{done:?}");
    assert_eq!(deliveries.hook.received().len(), 10);
    for key in &keys {
        let delivery = deliveries.delivery(key).await;
        let waits = delivery.pending().map(|pending| deliveries.clock.now().until(pending.next_attempt_at));
        assert!(waits.is_none_or(|wait| (5_000..=10_000).contains(&wait) && delivery.tries == 0), "{delivery:?}");
    }
    deliveries.clock.advance_ms(10_000);
    while deliveries.work().await > 0 {}
    for key in &keys {
        assert_eq!(deliveries.outcome(key).await, "delivered");
    }
}
