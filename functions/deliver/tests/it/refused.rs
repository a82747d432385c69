//! Receivers that must not be reached: no connection is made to them.

use std::time::Duration;

use kit::HookReply;
use outbound::Options;
use shared::model::webhook::{DeliveryAttempt, SendError};

use crate::deliveries::Deliveries;

async fn last_attempt(deliveries: &Deliveries, key: &shared::model::message::DeliveryKey) -> DeliveryAttempt {
    deliveries.delivery(key).await.attempts.pop().unwrap()
}

#[tokio::test]
async fn a_name_that_turns_inwards_after_its_registration_is_not_connected_to() {
    let deliveries = Deliveries::new().await;
    let names = &deliveries.app.names;
    names.set("hook.test", &["127.0.0.1"]);
    let endpoint = deliveries.endpoint(&deliveries.hook.url_of("hook.test")).await;
    let key = deliveries.announce(&endpoint, &deliveries.event("resp_0")).await;
    deliveries.work().await;
    assert_eq!((deliveries.outcome(&key).await.as_str(), deliveries.hook.connections()), ("delivered", 1));
    for (n, address) in ["169.254.169.254", "10.0.0.1", "fd00:ec2::254", "::ffff:10.0.0.1", "0.0.0.0", "100.64.0.1"]
        .into_iter()
        .enumerate()
    {
        // The name also has an address that is allowed: neither is connected to.
        names.set("hook.test", &["127.0.0.1", address]);
        let key = deliveries.announce(&endpoint, &deliveries.event(&format!("resp_in_{n}"))).await;
        deliveries.work().await;
        let attempt = last_attempt(&deliveries, &key).await;
        assert_eq!((attempt.status, attempt.error), (None, Some(SendError::AddressRefused)), "{address}");
    }
    assert_eq!(deliveries.hook.connections(), 1);
}

#[tokio::test]
async fn a_deployment_does_not_connect_to_itself() {
    let deliveries = Deliveries::new().await;
    let endpoint = deliveries.endpoint(&deliveries.hook.url()).await;
    deliveries.app.names.set("hook.test", &["127.0.0.1"]);
    let by_name = deliveries.hook.url_of("hook.test").replace("http:", "https:");
    let by_name = deliveries.endpoint(&by_name).await;
    let event = deliveries.event("resp_1");
    let keys = [deliveries.announce(&endpoint, &event).await, deliveries.announce(&by_name, &event).await];
    let instance = deliveries.app.instance_with_receivers(deliveries.app.receivers(Options::default()));
    let strict = Deliveries { instance, ..deliveries };
    strict.work().await;
    let errors = [last_attempt(&strict, &keys[0]).await.error, last_attempt(&strict, &keys[1]).await.error];
    assert_eq!(errors, [Some(SendError::UrlRefused), Some(SendError::AddressRefused)]);
    assert_eq!(strict.hook.connections(), 0);
}

#[tokio::test]
async fn redirects_are_failures_and_not_followed() {
    let deliveries = Deliveries::new().await;
    let elsewhere = kit::Hook::start(&deliveries.clock).await;
    let targets = ["http://169.254.169.254/latest/meta-data/".to_owned(), elsewhere.url()];
    for (n, (status, target)) in [301, 302, 303, 307, 308].into_iter().zip(targets.iter().cycle()).enumerate() {
        deliveries.hook.then(HookReply::status(status).header("location", target.clone()));
        let endpoint = deliveries.endpoint(&deliveries.hook.url()).await;
        let key = deliveries.announce(&endpoint, &deliveries.event(&format!("resp_{n}"))).await;
        deliveries.work().await;
        assert_eq!(last_attempt(&deliveries, &key).await.status, Some(status));
        deliveries.instance.webhooks().delete(&deliveries.caller, &endpoint.id).await.unwrap();
    }
    assert_eq!((deliveries.hook.received().len(), elsewhere.connections()), (5, 0));
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_is_not_waited_for() {
    let deliveries = Deliveries::with(Options { permit_loopback: true, timeout: Duration::from_millis(300) }).await;
    deliveries.hook.then(HookReply::status(200).after(Duration::from_secs(60)));
    let (_, key) = deliveries.announced().await;
    deliveries.work().await;
    let attempt = last_attempt(&deliveries, &key).await;
    assert_eq!(attempt.error, Some(SendError::TimedOut));
    assert!((300..5_000).contains(&attempt.duration_ms), "{attempt:?}");
    deliveries.step(&key).await;
    assert_eq!(deliveries.outcome(&key).await, "delivered");
}

#[tokio::test]
async fn why_there_was_no_answer_is_recorded() {
    let deliveries = Deliveries::new().await;
    deliveries.app.names.set("hook.test", &["127.0.0.1"]);
    let endpoint = deliveries.endpoint(&deliveries.hook.url_of("hook.test")).await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refusing = deliveries.endpoint(&format!("http://{closed}/")).await;
    deliveries.app.names.forget("hook.test");
    let event = deliveries.event("resp_1");
    let keys = [deliveries.announce(&endpoint, &event).await, deliveries.announce(&refusing, &event).await];
    deliveries.work().await;
    let errors = [last_attempt(&deliveries, &keys[0]).await.error, last_attempt(&deliveries, &keys[1]).await.error];
    assert_eq!(errors, [Some(SendError::NameNotResolved), Some(SendError::NotConnected)]);
}

#[tokio::test]
async fn a_long_answer_is_cut_off() {
    let deliveries = Deliveries::new().await;
    let mut reply = HookReply::status(200);
    reply.body = vec![b'x'; 64 * 1024 * 1024].into();
    deliveries.hook.then(reply);
    let (_, key) = deliveries.announced().await;
    deliveries.work().await;
    let attempt = last_attempt(&deliveries, &key).await;
    assert_eq!((attempt.status, deliveries.outcome(&key).await.as_str()), (Some(200), "delivered"));
}
