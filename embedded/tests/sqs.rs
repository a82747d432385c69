//! The queues through the real SDK client, and as the platform sees them.
#![expect(clippy::unwrap_used, reason = "in a test that is the failure")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{Message, MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName};
use embedded::{Counts, Engines, Place, Refusal, Sqs, queue_url};

const START_MS: u64 = 1_795_366_800_000;

struct World {
    _engines: Engines,
    sqs: Sqs,
    client: Client,
    now_ms: Arc<AtomicU64>,
}

impl World {
    fn new() -> Self {
        let now_ms = Arc::new(AtomicU64::new(START_MS));
        let clock = Arc::clone(&now_ms);
        let engines = Engines::open(&Place::Memory, Arc::new(move || clock.load(Ordering::SeqCst))).unwrap();
        let sqs = engines.sqs.clone();
        Self { _engines: engines, client: embedded::sqs_client(sqs.connector()), sqs, now_ms }
    }

    fn pass(&self, seconds: u64) {
        self.now_ms.fetch_add(seconds * 1_000, Ordering::SeqCst);
    }

    async fn send(&self, body: &str, delay_seconds: i32) -> String {
        let request = self.client.send_message().queue_url(queue_url("respond"));
        let request = request.message_body(body).message_group_id("proj_1").delay_seconds(delay_seconds);
        request.send().await.unwrap().message_id.unwrap()
    }

    async fn receive(&self, queue: &str) -> Vec<Message> {
        let request = self.client.receive_message().queue_url(queue_url(queue)).max_number_of_messages(10);
        let request = request.message_system_attribute_names(MessageSystemAttributeName::All);
        request.message_attribute_names("All").send().await.unwrap().messages.unwrap_or_default()
    }

    async fn delete(&self, message: &Message) {
        let request = self.client.delete_message().queue_url(queue_url("respond"));
        request.receipt_handle(message.receipt_handle().unwrap()).send().await.unwrap();
    }

    fn counts(&self, queue: &str) -> (usize, usize, usize) {
        let Counts { visible, in_flight, delayed } = self.sqs.counts(queue).unwrap();
        (visible, in_flight, delayed)
    }
}

fn bodies(messages: &[Message]) -> Vec<&str> {
    messages.iter().filter_map(Message::body).collect()
}

fn attribute(message: &Message, name: MessageSystemAttributeName) -> &str {
    &message.attributes().unwrap()[&name]
}

#[tokio::test]
async fn a_message_is_hidden_once_received_and_gone_once_deleted() {
    let world = World::new();
    let id = world.send("hello", 0).await;
    let received = world.receive("respond").await;
    assert_eq!((bodies(&received), received[0].message_id().unwrap()), (vec!["hello"], &*id));
    assert_eq!(received[0].md5_of_body().unwrap(), "5d41402abc4b2a76b9719d911017c592");
    assert_eq!(attribute(&received[0], MessageSystemAttributeName::ApproximateReceiveCount), "1");
    assert_eq!(attribute(&received[0], MessageSystemAttributeName::SentTimestamp), START_MS.to_string());
    assert_eq!(attribute(&received[0], MessageSystemAttributeName::MessageGroupId), "proj_1");
    assert_eq!(world.receive("respond").await, []);
    world.delete(&received[0]).await;
    world.delete(&received[0]).await;
    world.pass(100_000);
    assert_eq!(world.receive("respond").await, []);
    assert_eq!(world.counts("respond"), (0, 0, 0));
}

#[tokio::test]
async fn a_message_that_is_not_deleted_comes_again_and_its_first_receipt_is_void() {
    let world = World::new();
    world.send("again", 0).await;
    let first = world.receive("respond").await;
    world.pass(5_399);
    assert_eq!(world.receive("respond").await, []);
    world.pass(1);
    let second = world.receive("respond").await;
    assert_eq!(attribute(&second[0], MessageSystemAttributeName::ApproximateReceiveCount), "2");
    assert_eq!(
        attribute(&second[0], MessageSystemAttributeName::ApproximateFirstReceiveTimestamp),
        START_MS.to_string()
    );
    world.delete(&first[0]).await;
    assert_eq!(world.counts("respond"), (0, 1, 0));
    world.delete(&second[0]).await;
    assert_eq!(world.counts("respond"), (0, 0, 0));
}

#[tokio::test]
async fn a_delayed_message_is_not_seen_before_its_time() {
    let world = World::new();
    world.send("later", 900).await;
    assert_eq!((world.receive("respond").await, world.counts("respond")), (vec![], (0, 0, 1)));
    world.pass(900);
    assert_eq!(bodies(&world.receive("respond").await), ["later"]);
}

#[tokio::test]
async fn a_clock_that_is_set_back_hides_no_message() {
    let world = World::new();
    world.send("taken", 0).await;
    world.receive("respond").await;
    world.send("later", 900).await;
    world.now_ms.fetch_sub(2 * 86_400_000, Ordering::SeqCst);
    assert_eq!(bodies(&world.receive("respond").await), ["taken", "later"]);
}

#[tokio::test]
async fn a_message_that_came_too_often_is_a_dead_letter() {
    let world = World::new();
    let id = world.send("poison", 0).await;
    for _ in 0..5 {
        assert_eq!(world.receive("respond").await.len(), 1);
        world.pass(5_400);
    }
    assert_eq!(world.counts("respond-dead-letters"), (0, 0, 0));
    assert_eq!(world.receive("respond").await, []);
    assert_eq!((world.counts("respond"), world.counts("respond-dead-letters")), ((0, 0, 0), (1, 0, 0)));
    let dead = world.receive("respond-dead-letters").await;
    assert_eq!((bodies(&dead), dead[0].message_id().unwrap()), (vec!["poison"], &*id));
}

#[tokio::test]
async fn visibility_can_be_changed_while_a_message_is_in_flight() {
    let world = World::new();
    world.send("one", 0).await;
    let received = world.receive("respond").await;
    let change = |seconds| {
        let request = world.client.change_message_visibility().queue_url(queue_url("respond"));
        request.receipt_handle(received[0].receipt_handle().unwrap()).visibility_timeout(seconds).send()
    };
    change(10).await.unwrap();
    world.pass(9);
    change(10).await.unwrap();
    world.pass(9);
    assert_eq!(world.receive("respond").await, []);
    change(0).await.unwrap();
    assert!(change(10).await.unwrap_err().into_service_error().is_message_not_inflight());
    assert_eq!(world.receive("respond").await.len(), 1);
}

#[tokio::test]
async fn attributes_are_carried_and_counted() {
    let world = World::new();
    let trace = MessageAttributeValue::builder().data_type("String").string_value("00-1-2-01").build().unwrap();
    let request = world.client.send_message().queue_url(queue_url("deliver")).message_body("traced");
    request.message_attributes("traceparent", trace.clone()).send().await.unwrap();
    let counted = || async {
        let request = world.client.get_queue_attributes().queue_url(queue_url("deliver"));
        let counted = request.attribute_names(QueueAttributeName::All).send().await.unwrap().attributes.unwrap();
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        ];
        names.map(|name| counted[&name].clone())
    };
    assert_eq!(counted().await, ["1", "0", "0"]);
    let received = world.receive("deliver").await;
    assert_eq!(received[0].message_attributes().unwrap()["traceparent"], trace);
    assert_eq!(counted().await, ["0", "1", "0"]);
}

#[tokio::test]
async fn refuses_requests_with_the_errors_of_sqs() {
    let world = World::new();
    let send = |queue: &str| world.client.send_message().queue_url(queue_url(queue));
    let unknown = send("respnod").message_body("x").send().await.unwrap_err().into_service_error();
    assert!(unknown.is_queue_does_not_exist(), "{unknown:?}");
    let delete = world.client.delete_message().queue_url(queue_url("respond")).receipt_handle("made/up");
    let invalid = delete.send().await.unwrap_err().into_service_error();
    assert!(invalid.is_receipt_handle_is_invalid(), "{invalid:?}");
    for wrong in [send("respond").message_body("x").delay_seconds(901), send("respond").message_body("")] {
        let error = wrong.send().await.unwrap_err().into_service_error();
        assert_eq!(error.meta().code(), Some("InvalidParameterValue"), "{error:?}");
    }
    let purge = world.client.purge_queue().queue_url(queue_url("respond")).send().await;
    assert_eq!(
        purge.unwrap_err().into_service_error().meta().code(),
        Some("AWS.SimpleQueueService.UnsupportedOperation")
    );
    assert_eq!(world.sqs.receive("respnod", 1), Err(Refusal::UnknownQueue));
}

#[tokio::test]
async fn tests_can_have_messages_twice_and_out_of_order() {
    let world = World::new();
    let id = world.send("a", 0).await;
    world.send("b", 0).await;
    world.sqs.reverse("respond").unwrap();
    world.sqs.duplicate_all("respond").unwrap();
    let received = world.sqs.receive("respond", 10).unwrap();
    assert_eq!(received.iter().map(|message| &*message.body).collect::<Vec<_>>(), ["b", "a", "b", "a"]);
    assert_eq!([&received[1].message_id, &received[3].message_id], [&id, &id]);
    world.sqs.delete("respond", &received[1].receipt_handle).unwrap();
    assert_eq!(world.sqs.bodies("respond").unwrap(), ["b", "b", "a"]);
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_when_a_message_comes_or_its_delay_ends() {
    let begun = tokio::time::Instant::now();
    let now = move || START_MS + u64::try_from(begun.elapsed().as_millis()).unwrap();
    let engines = Engines::open(&Place::Memory, Arc::new(now)).unwrap();
    let (sqs, client) = (&engines.sqs, embedded::sqs_client(engines.sqs.connector()));
    let send =
        |delay: i32| client.send_message().queue_url(queue_url("respond")).message_body("x").delay_seconds(delay);
    let sending = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        send(100).send().await.unwrap();
        send(20).send().await.unwrap();
    };
    let (waited, ()) = tokio::join!(sqs.wait_for_message("respond"), sending);
    assert_eq!((waited, begun.elapsed().as_secs()), (Ok(()), 23));
    assert_eq!(sqs.receive("respond", 10).unwrap().len(), 1);
    sqs.wait_for_message("respond").await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 103);
    assert_eq!(sqs.wait_for_message("respnod").await, Err(Refusal::UnknownQueue));
}
