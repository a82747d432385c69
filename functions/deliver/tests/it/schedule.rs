//! The schedule: receivers that fail for days, that ask for time, that are gone.

use kit::HookReply;
use shared::model::webhook::{DisabledReason, EndpointStatus};

use crate::deliveries::Deliveries;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DELAYS: [u64; 9] =
    [5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR];

#[tokio::test]
async fn a_delivery_is_made_at_once_and_signed() {
    let deliveries = Deliveries::new().await;
    let (endpoint, key) = deliveries.announced().await;
    assert_eq!(deliveries.work().await, 1);
    let [request] = deliveries.hook.received().try_into().unwrap();
    let delivery = deliveries.delivery(&key).await;
    assert_eq!(request.header("webhook-id"), key.delivery_id);
    assert_eq!(request.header("webhook-timestamp"), deliveries.clock.now().seconds().to_string());
    assert_eq!(request.header("content-type"), "application/json");
    assert!(request.header("user-agent").starts_with("weir-webhooks/"));
    assert_eq!(request.body, delivery.body);
    assert!(request.is_signed_with(endpoint.secrets.current.secret().expose()));
    assert_eq!((delivery.state.name(), delivery.attempts.len()), ("delivered", 1));
    assert_eq!(delivery.attempts[0].status, Some(200));
    deliveries.clock.advance_ms(48 * HOUR);
    deliveries.sweep().await;
    assert_eq!(deliveries.work().await, 0, "nothing is due any more");
}

#[tokio::test]
async fn a_receiver_that_fails_for_days_gets_the_schedule_and_then_a_dead_letter() {
    let deliveries = Deliveries::new().await;
    deliveries.hook.always(HookReply::status(500));
    let (_, key) = deliveries.announced().await;
    deliveries.work().await;
    while deliveries.outcome(&key).await == "pending" {
        deliveries.step(&key).await;
    }
    assert_eq!(deliveries.outcome(&key).await, "attempts_exhausted");
    let received = deliveries.hook.received();
    assert_eq!(received.len(), 10);
    for (pair, delay) in received.windows(2).zip(DELAYS) {
        let waited = pair[0].at.until(pair[1].at);
        // Queues keep messages back in whole seconds.
        let latest = delay + delay / 10 + if delay < 15 * MINUTE { SECOND } else { 0 };
        assert!((delay..=latest).contains(&waited), "{waited} ms instead of {delay}");
    }
    let first = &received[0];
    let same = |name: &str| received.iter().all(|request| request.header(name) == first.header(name));
    assert!(same("webhook-id") && received.iter().all(|request| request.body == first.body));
    assert!(!same("webhook-timestamp"), "each attempt is signed anew");

    let dead = deliveries.delivery(&key).await;
    assert_eq!((dead.attempts.len(), dead.tries), (10, 10));
    deliveries.clock.advance_ms(72 * HOUR);
    deliveries.sweep().await;
    assert_eq!(deliveries.work().await, 0);

    deliveries.hook.always(HookReply::status(204));
    deliveries.instance.webhooks().redeliver(&deliveries.caller, &key.endpoint_id, &key.delivery_id).await.unwrap();
    assert_eq!(deliveries.work().await, 1);
    assert_eq!(deliveries.outcome(&key).await, "delivered");
    let last = deliveries.hook.received().pop().unwrap();
    assert_eq!((last.header("webhook-id"), &last.body), (&*key.delivery_id, &first.body));
    assert_eq!(deliveries.delivery(&key).await.attempts.len(), 10);
}

#[tokio::test]
async fn retry_after_lengthens_the_delay() {
    let deliveries = Deliveries::new().await;
    deliveries.hook.then(HookReply::status(503).header("retry-after", "120"));
    // 2026-11-22 is the day the clock starts at; three hours later.
    deliveries.hook.then(HookReply::status(429).header("retry-after", "Sun, 22 Nov 2026 20:02:00 GMT"));
    deliveries.hook.then(HookReply::status(503).header("retry-after", "1"));
    let (_, key) = deliveries.announced().await;
    deliveries.work().await;
    for _ in 0..3 {
        deliveries.step(&key).await;
    }
    let at: Vec<_> = deliveries.hook.received().iter().map(|request| request.at).collect();
    assert_eq!(at[0].until(at[1]), 120 * SECOND);
    assert_eq!(at[1].until(at[2]), 3 * HOUR);
    assert!(at[2].until(at[3]) >= 30 * MINUTE, "never shorter than the schedule");
    assert_eq!(deliveries.outcome(&key).await, "delivered");
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_disabled() {
    let deliveries = Deliveries::new().await;
    deliveries.hook.always(HookReply::status(410));
    let (endpoint, key) = deliveries.announced().await;
    let other = deliveries.announce(&endpoint, &deliveries.event("resp_2")).await;
    deliveries.work().await;
    let outcomes = [deliveries.outcome(&key).await, deliveries.outcome(&other).await];
    assert!(outcomes.iter().all(|outcome| outcome == "gone" || outcome == "endpoint_disabled"), "{outcomes:?}");
    let found = deliveries.instance.webhooks().get(&deliveries.caller, &endpoint.id).await.unwrap();
    assert_eq!(found.status, EndpointStatus::Disabled(DisabledReason::Gone));

    let requests = deliveries.hook.received().len();
    deliveries.announce(&endpoint, &deliveries.event("resp_3")).await;
    assert_eq!(deliveries.work().await, 0, "a disabled endpoint is told nothing");
    assert_eq!(deliveries.hook.received().len(), requests);
}

#[tokio::test]
async fn a_delivery_ends_with_its_endpoint() {
    let deliveries = Deliveries::new().await;
    deliveries.hook.always(HookReply::status(500));
    let (endpoint, key) = deliveries.announced().await;
    deliveries.work().await;
    deliveries.instance.webhooks().delete(&deliveries.caller, &endpoint.id).await.unwrap();
    deliveries.step(&key).await;
    assert_eq!(deliveries.outcome(&key).await, "endpoint_deleted");
    assert_eq!(deliveries.hook.received().len(), 1);
}

#[tokio::test]
async fn no_old_secret_signs_after_a_rotation_that_keeps_none() {
    let deliveries = Deliveries::new().await;
    let endpoint = deliveries.endpoint(&deliveries.hook.url()).await;
    let (webhooks, caller) = (deliveries.instance.webhooks(), &deliveries.caller);
    let kept = webhooks.rotate_secret(caller, &endpoint.id, true).await.unwrap();
    let rotated = webhooks.rotate_secret(caller, &endpoint.id, false).await.unwrap();
    deliveries.announce(&endpoint, &deliveries.event("resp_1")).await;
    deliveries.work().await;
    let [sent] = deliveries.hook.received().try_into().unwrap();
    let signs =
        [&endpoint, &kept, &rotated].map(|endpoint| sent.is_signed_with(endpoint.secrets.current.secret().expose()));
    assert_eq!(signs, [false, false, true]);
}

#[tokio::test]
async fn both_secrets_sign_for_a_day_after_a_rotation() {
    let deliveries = Deliveries::new().await;
    let endpoint = deliveries.endpoint(&deliveries.hook.url()).await;
    let rotated = deliveries.instance.webhooks().rotate_secret(&deliveries.caller, &endpoint.id, true).await.unwrap();
    let [old, new] = [&endpoint, &rotated].map(|endpoint| endpoint.secrets.current.secret().expose());
    assert_ne!(old, new);
    deliveries.announce(&endpoint, &deliveries.event("resp_1")).await;
    deliveries.work().await;
    deliveries.clock.advance_ms(24 * HOUR);
    deliveries.announce(&endpoint, &deliveries.event("resp_2")).await;
    deliveries.work().await;
    let [within, after] = deliveries.hook.received().try_into().unwrap();
    assert!(within.is_signed_with(old) && within.is_signed_with(new));
    assert!(!after.is_signed_with(old) && after.is_signed_with(new));
}
