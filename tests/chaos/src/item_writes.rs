//! The writes to items of the table, for a call that waits until others have written to its items.

use std::collections::BTreeSet;
use std::sync::Mutex;

use serde_json::Value;
use tokio::sync::oneshot;

use crate::sim::lock;

/// The calls that wait.
#[derive(Default)]
pub(crate) struct ItemWrites(Mutex<Vec<Waiting>>);

struct Waiting {
    items: BTreeSet<Item>,
    /// The writes that are still to come.
    left: u32,
    done: oneshot::Sender<()>,
}

/// The keys of an item.
type Item = (String, String);

impl ItemWrites {
    /// Waits until as many calls have written to one of the items that a call names.
    pub(crate) async fn wait_for(&self, writes: u32, body: &[u8]) {
        let (done, is_done) = oneshot::channel();
        lock(&self.0).push(Waiting { items: written_items(body), left: writes, done });
        let _ = is_done.await;
    }

    /// Counts a write that took effect.
    pub(crate) fn note(&self, body: &[u8]) {
        let mut waiting = lock(&self.0);
        waiting.retain(|waiting| !waiting.done.is_closed());
        if waiting.is_empty() {
            return;
        }
        let items = written_items(body);
        let (met, mut others): (Vec<_>, Vec<_>) =
            waiting.drain(..).partition(|waiting| !waiting.items.is_disjoint(&items));
        for Waiting { items, left, done } in met {
            match left.saturating_sub(1) {
                0 => drop(done.send(())),
                left => others.push(Waiting { items, left, done }),
            }
        }
        *waiting = others;
    }
}

/// Returns the items that a call writes.
fn written_items(body: &[u8]) -> BTreeSet<Item> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let of_transaction = body["TransactItems"].as_array().into_iter().flatten();
    let writes = of_transaction.flat_map(|write| ["Update", "Put", "Delete"].map(|kind| &write[kind]));
    std::iter::once(&body).chain(writes).filter_map(written_item).collect()
}

fn written_item(write: &Value) -> Option<Item> {
    let key = write.get("Key").or_else(|| write.get("Item"))?;
    let part = |name: &str| key[name]["S"].as_str().map(str::to_owned);
    Some((part("pk")?, part("sk")?))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const UPDATE: &[u8] = br#"{"Key":{"pk":{"S":"RESP#1"},"sk":{"S":"META"}}}"#;
    const OTHER: &[u8] = br#"{"Item":{"pk":{"S":"RESP#1"},"sk":{"S":"REQ"}}}"#;
    const TRANSACTION: &[u8] = br#"{"TransactItems":[{"Put":{"Item":{"pk":{"S":"RESP#1"},"sk":{"S":"META"}}}},
        {"ConditionCheck":{"Key":{"pk":{"S":"RESP#2"},"sk":{"S":"META"}}}}]}"#;

    #[tokio::test(start_paused = true)]
    async fn waits_for_writes_to_the_same_item() {
        let writes = ItemWrites::default();
        let mut waiting = std::pin::pin!(writes.wait_for(2, UPDATE));
        let mut is_over = async || tokio::time::timeout(Duration::ZERO, waiting.as_mut()).await.is_ok();
        assert!(!is_over().await);
        for write in [OTHER, UPDATE] {
            writes.note(write);
            assert!(!is_over().await);
        }
        writes.note(TRANSACTION);
        assert!(is_over().await);
    }

    #[test]
    fn a_condition_writes_nothing() {
        assert_eq!(written_items(TRANSACTION), written_items(UPDATE));
    }
}
