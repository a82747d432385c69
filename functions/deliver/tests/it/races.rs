//! Messages twice, late, out of order or never; workers at once, workers that die.

use std::time::Duration;

use futures_util::future::join_all;
use kit::{Fault, HookReply};
use shared::model::message::{DeliveryKey, Message};

use crate::stage::{Stage, sqs_event};

#[tokio::test]
async fn an_event_that_is_announced_twice_is_delivered_once() {
    let stage = Stage::new().await;
    let endpoint = stage.endpoint(&stage.hook.url()).await;
    let event = stage.event("resp_1");
    let key = stage.announce(&endpoint, &event).await;
    stage.clock.advance_ms(5_000);
    assert_eq!(stage.announce(&endpoint, &event).await, key);
    stage.work().await;
    assert_eq!(stage.announce(&endpoint, &event).await, key);
    stage.work().await;
    assert_eq!(stage.hook.received().len(), 1);
    assert_eq!(stage.outcome(&key).await, "delivered");
}

#[tokio::test]
async fn messages_that_come_twice_late_or_early_make_no_attempt() {
    let stage = Stage::new().await;
    stage.hook.then(HookReply::status(500));
    let (_, key) = stage.announced().await;
    assert_eq!(stage.queue.take().len(), 1);
    let message = Message::new(key.clone(), None).to_json();
    let thrice = sqs_event(&[message.clone(), message.clone(), message.clone()]);
    let answer = deliver::job(thrice.clone(), stage.instance.deliverer()).await;
    assert!(answer.batch_item_failures.is_empty());
    assert_eq!(stage.hook.received().len(), 1, "three messages at once are one attempt");
    stage.clock.advance_ms(4_999);
    deliver::job(thrice.clone(), stage.instance.deliverer()).await;
    assert_eq!(stage.hook.received().len(), 1, "an early message is none");
    stage.step(&key).await;
    assert_eq!((stage.hook.received().len(), stage.outcome(&key).await.as_str()), (2, "delivered"));
    stage.clock.advance_ms(3_600_000);
    deliver::job(thrice, stage.instance.deliverer()).await;
    assert_eq!(stage.hook.received().len(), 2, "a late message is none");
}

#[tokio::test]
async fn of_many_workers_one_makes_the_attempt() {
    let stage = Stage::new().await;
    stage.hook.always(HookReply::status(200).after(Duration::from_millis(100)));
    let (_, key) = stage.announced().await;
    let workers: Vec<_> = (0..16).map(|_| stage.other_gateway()).collect();
    let done = join_all(workers.iter().map(|worker| worker.deliver(&key))).await;
    assert!(done.iter().all(Result::is_ok), "{done:?}");
    assert_eq!(stage.hook.received().len(), 1);
    assert_eq!(stage.delivery(&key).await.attempts.len(), 1);
}

/// Lets a worker die when the receiver has its request.
async fn killed_in_the_attempt(stage: &Stage, key: &DeliveryKey) {
    let before = stage.hook.received().len();
    let doomed = stage.other_gateway();
    tokio::select! {
        done = doomed.deliver(key) => panic!("{done:?}"),
        () = async {
            while stage.hook.received().len() == before {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        } => {}
    }
}

#[tokio::test]
async fn a_worker_that_dies_between_attempt_and_record_is_followed_by_another() {
    let stage = Stage::new().await;
    stage.hook.then(HookReply::status(200).after(Duration::from_secs(60)));
    let (_, key) = stage.announced().await;
    killed_in_the_attempt(&stage, &key).await;
    stage.work().await;
    assert_eq!(stage.hook.received().len(), 1, "the claim keeps others out");
    stage.clock.advance_ms(59_999);
    stage.instance.sweeper().sweep().await.unwrap();
    assert_eq!(stage.work().await, 0);
    stage.step(&key).await;
    let [first, second] = stage.hook.received().try_into().unwrap();
    assert_eq!(first.header("webhook-id"), second.header("webhook-id"));
    assert_eq!(stage.outcome(&key).await, "delivered");
}

#[tokio::test]
async fn what_kills_every_worker_ends_as_a_dead_letter() {
    let stage = Stage::new().await;
    stage.hook.always(HookReply::status(200).after(Duration::from_secs(60)));
    let (_, key) = stage.announced().await;
    for _ in 0..10 {
        killed_in_the_attempt(&stage, &key).await;
        stage.clock.advance_ms(60_000);
    }
    stage.instance.sweeper().sweep().await.unwrap();
    stage.work().await;
    assert_eq!((stage.outcome(&key).await.as_str(), stage.hook.received().len()), ("attempts_exhausted", 10));
}

#[tokio::test]
async fn the_sweeper_finds_what_was_never_sent() {
    let stage = Stage::new().await;
    stage.queue.lose(true);
    let (_, key) = stage.announced().await;
    assert_eq!(stage.work().await, 0);
    stage.queue.lose(false);
    stage.clock.advance_ms(60_000);
    let others: Vec<_> = (0..4).map(|_| stage.other_gateway()).collect();
    for swept in join_all(others.iter().map(|sweeper| sweeper.sweep())).await {
        swept.unwrap();
    }
    assert_eq!(stage.work().await, 1, "four sweepers send one message");
    assert_eq!((stage.outcome(&key).await.as_str(), stage.hook.received().len()), ("delivered", 1));
}

#[tokio::test]
async fn the_sweeper_finds_a_repetition_that_was_never_sent() {
    let stage = Stage::new().await;
    stage.hook.then(HookReply::status(500));
    let (_, key) = stage.announced().await;
    let first = stage.queue.take();
    stage.queue.lose(true);
    deliver::job(sqs_event(&first), stage.instance.deliverer()).await;
    stage.queue.lose(false);
    stage.step(&key).await;
    assert_eq!((stage.outcome(&key).await.as_str(), stage.hook.received().len()), ("delivered", 2));
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_recognised() {
    let stage = Stage::new().await;
    let (_, key) = stage.announced().await;
    let mut lost = false;
    stage.app.faults.set(move |operation| {
        if operation == "PutItem" && !std::mem::replace(&mut lost, true) { Fault::LoseAnswer } else { Fault::None }
    });
    stage.instance.deliver(&key).await.unwrap();
    stage.app.faults.clear();
    assert_eq!((stage.outcome(&key).await.as_str(), stage.hook.received().len()), ("delivered", 1));
}
