use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// A store of one secret, and how often it was read.
#[derive(Clone, Default)]
struct Store {
    value: Arc<Mutex<Option<&'static str>>>,
    reads: Arc<AtomicUsize>,
}

impl Store {
    fn set(&self, value: Option<&'static str>) {
        *self.value.lock().unwrap() = value;
    }

    fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    fn keys(&self, clock: &Clock) -> SecretKeys {
        let store = self.clone();
        let read = move |name: String| {
            let store = store.clone();
            async move {
                store.reads.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                let value = *store.value.lock().unwrap();
                value.map(Secret::new).ok_or_else(|| KeyError(format!("no `{name}`")))
            }
            .boxed()
        };
        SecretKeys::new(Arc::new(read), clock.clone())
    }
}

fn source() -> KeySource {
    KeySource::Secret("k".to_owned())
}

#[tokio::test]
async fn all_callers_wait_for_one_read() {
    let (store, clock) = (Store::default(), Clock::manual(1));
    store.set(Some("one"));
    let keys = store.keys(&clock);
    let found = futures_util::future::join_all((0..20).map(|_| keys.secret("k"))).await;
    assert!(found.iter().all(|found| found == &Ok(Secret::new("one"))));
    assert_eq!(store.reads(), 1);
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_is_tried_again_after_ten_seconds() {
    let (store, clock) = (Store::default(), Clock::manual(1));
    let keys = store.keys(&clock);
    assert_eq!(keys.key(&source()).await, Err(KeyError("no `k`".to_owned())));
    store.set(Some("one"));
    clock.advance_ms(KEY_RETRY_MS - 1);
    assert!(keys.key(&source()).await.is_err());
    clock.advance_ms(1);
    assert_eq!(keys.key(&source()).await, Ok(Some(Secret::new("one"))));
    assert_eq!(store.reads(), 2);
}

#[tokio::test]
async fn a_refused_key_is_read_again_at_most_once_a_minute() {
    let (store, clock) = (Store::default(), Clock::manual(1));
    store.set(Some("old"));
    let keys = store.keys(&clock);
    let old = keys.secret("k").await.unwrap();
    store.set(Some("new"));
    clock.advance_ms(RENEW_MS - 1);
    assert_eq!(keys.renewed(&source(), &old).await, None);
    clock.advance_ms(1);
    let renewed = futures_util::future::join_all((0..20).map(|_| keys.renewed_secret("k", &old))).await;
    assert!(renewed.iter().all(|found| found == &Some(Secret::new("new"))), "{renewed:?}");
    assert_eq!(keys.secret("k").await, Ok(Secret::new("new")));
    assert_eq!(store.reads(), 2);
    let new = Secret::new("new");
    assert_eq!(keys.renewed(&source(), &new).await, None);
    assert_eq!(store.reads(), 2);
}

#[tokio::test]
async fn a_key_remains_while_its_secret_cannot_be_read_again() {
    let (store, clock) = (Store::default(), Clock::manual(1));
    store.set(Some("old"));
    let keys = store.keys(&clock);
    let old = keys.secret("k").await.unwrap();
    store.set(None);
    clock.advance_ms(RENEW_MS);
    assert_eq!(keys.renewed(&source(), &old).await, None);
    assert_eq!(keys.secret("k").await, Ok(old));
}
