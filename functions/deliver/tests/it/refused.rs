//! What must not be reached is not reached: no connection is made.

use std::time::Duration;

use kit::HookReply;
use outbound::Options;
use shared::model::webhook::{Attempt, SendError};

use crate::stage::Stage;

async fn last_attempt(stage: &Stage, key: &shared::model::message::DeliveryKey) -> Attempt {
    stage.delivery(key).await.attempts.pop().unwrap()
}

#[tokio::test]
async fn a_name_that_turns_inwards_after_its_registration_is_not_connected_to() {
    let stage = Stage::new().await;
    let names = &stage.app.names;
    names.set("hook.test", &["127.0.0.1"]);
    let endpoint = stage.endpoint(&stage.hook.url_of("hook.test")).await;
    let key = stage.announce(&endpoint, &stage.event("resp_0")).await;
    stage.work().await;
    assert_eq!((stage.outcome(&key).await.as_str(), stage.hook.connections()), ("delivered", 1));
    for (n, address) in ["169.254.169.254", "10.0.0.1", "fd00:ec2::254", "::ffff:10.0.0.1", "0.0.0.0", "100.64.0.1"]
        .into_iter()
        .enumerate()
    {
        // One that could be connected to stands beside it: neither is.
        names.set("hook.test", &["127.0.0.1", address]);
        let key = stage.announce(&endpoint, &stage.event(&format!("resp_in_{n}"))).await;
        stage.work().await;
        let attempt = last_attempt(&stage, &key).await;
        assert_eq!((attempt.status, attempt.error), (None, Some(SendError::AddressRefused)), "{address}");
    }
    assert_eq!(stage.hook.connections(), 1);
}

#[tokio::test]
async fn a_deployment_does_not_connect_to_itself() {
    let stage = Stage::new().await;
    let endpoint = stage.endpoint(&stage.hook.url()).await;
    stage.app.names.set("hook.test", &["127.0.0.1"]);
    let by_name = stage.hook.url_of("hook.test").replace("http:", "https:");
    let by_name = stage.endpoint(&by_name).await;
    let event = stage.event("resp_1");
    let keys = [stage.announce(&endpoint, &event).await, stage.announce(&by_name, &event).await];
    let strict = Stage { instance: stage.gateway_with(Options::default()), ..stage };
    strict.work().await;
    let errors = [last_attempt(&strict, &keys[0]).await.error, last_attempt(&strict, &keys[1]).await.error];
    assert_eq!(errors, [Some(SendError::UrlRefused), Some(SendError::AddressRefused)]);
    assert_eq!(strict.hook.connections(), 0);
}

#[tokio::test]
async fn redirects_are_failures_and_not_followed() {
    let stage = Stage::new().await;
    let elsewhere = kit::Hook::start(&stage.clock).await;
    let targets = ["http://169.254.169.254/latest/meta-data/".to_owned(), elsewhere.url()];
    for (n, (status, target)) in [301, 302, 303, 307, 308].into_iter().zip(targets.iter().cycle()).enumerate() {
        stage.hook.then(HookReply::status(status).header("location", target.clone()));
        let endpoint = stage.endpoint(&stage.hook.url()).await;
        let key = stage.announce(&endpoint, &stage.event(&format!("resp_{n}"))).await;
        stage.work().await;
        assert_eq!(last_attempt(&stage, &key).await.status, Some(status));
        stage.instance.delete_endpoint(&stage.caller, &endpoint.id).await.unwrap();
    }
    assert_eq!((stage.hook.received().len(), elsewhere.connections()), (5, 0));
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_is_not_waited_for() {
    let stage = Stage::with(Options { permit_loopback: true, timeout: Duration::from_millis(300) }).await;
    stage.hook.then(HookReply::status(200).after(Duration::from_secs(60)));
    let (_, key) = stage.announced().await;
    stage.work().await;
    let attempt = last_attempt(&stage, &key).await;
    assert_eq!(attempt.error, Some(SendError::TimedOut));
    assert!((300..5_000).contains(&attempt.duration_ms), "{attempt:?}");
    stage.step(&key).await;
    assert_eq!(stage.outcome(&key).await, "delivered");
}

#[tokio::test]
async fn why_there_was_no_answer_is_recorded() {
    let stage = Stage::new().await;
    stage.app.names.set("hook.test", &["127.0.0.1"]);
    let endpoint = stage.endpoint(&stage.hook.url_of("hook.test")).await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refusing = stage.endpoint(&format!("http://{closed}/")).await;
    stage.app.names.forget("hook.test");
    let event = stage.event("resp_1");
    let keys = [stage.announce(&endpoint, &event).await, stage.announce(&refusing, &event).await];
    stage.work().await;
    let errors = [last_attempt(&stage, &keys[0]).await.error, last_attempt(&stage, &keys[1]).await.error];
    assert_eq!(errors, [Some(SendError::NameNotResolved), Some(SendError::NotConnected)]);
}

#[tokio::test]
async fn a_long_answer_is_cut_off() {
    let stage = Stage::new().await;
    let mut reply = HookReply::status(200);
    reply.body = vec![b'x'; 64 * 1024 * 1024].into();
    stage.hook.then(reply);
    let (_, key) = stage.announced().await;
    stage.work().await;
    let attempt = last_attempt(&stage, &key).await;
    assert_eq!((attempt.status, stage.outcome(&key).await.as_str()), (Some(200), "delivered"));
}
