//! Deleting conversations and items, whatever dies and whoever adds to them meanwhile.

use std::time::Duration;

use kit::{Fault, TestApp};
use serde_json::{Value, json};
use shared::data::{AddItemsOutcome, ConversationKey, NewItem, Turn};
use shared::model::id::random;

use super::{Client, kept, message};

/// What is left of all conversations: bodies of items in the table and in the bucket, parts of turns, marks, and what counts as
/// stored.
async fn left(app: &TestApp) -> usize {
    let items = app.items().await;
    let counted: i64 =
        items.iter().filter_map(|item| item.get("stored_objects")?.as_n().ok()?.parse::<i64>().ok()).sum();
    let of_conversations = items.iter().filter(|item| item["pk"].as_s().unwrap().starts_with("CONV#"));
    let said =
        of_conversations.filter(|item| !item["sk"].as_s().unwrap().starts_with("ITEM#") || item.contains_key("body"));
    said.count() + bodies(app).await + usize::try_from(counted).unwrap()
}

/// Bodies of items in the bucket.
async fn bodies(app: &TestApp) -> usize {
    let bucket = embedded::s3_client(app.connectors().s3);
    let listed = bucket.list_objects_v2().bucket("weir").prefix("kept/").send().await.unwrap();
    listed.contents.unwrap_or_default().len()
}

/// A small item and one whose body is in the bucket.
fn new_items() -> [NewItem; 2] {
    let item = |id: &str, text: &str| NewItem { id: id.to_owned(), body: kept(id, text).to_string().into() };
    [item("n1", "small"), item("n2", &random(200_000))]
}

#[tokio::test(start_paused = true)]
async fn a_conversation_whose_deletion_died_is_gone_and_its_deletion_goes_on() {
    let large = random(200_000);
    for fault in [Fault::Hang, Fault::HangAfter, Fault::Lose] {
        let mut interrupted = 0;
        for step in 0.. {
            let app = TestApp::new().await;
            let client = Client::new(&app).await;
            let path = client.conversation(json!({"items": [message("m1", "small"), message("m2", &large)]})).await;
            let mut calls = 0..;
            // What is lost is repeated by the SDK, and lost again.
            app.faults.set(move |_| match calls.next() {
                Some(n) if n == step || fault == Fault::Lose && n > step => fault,
                _ => Fault::None,
            });
            let reply = app.faults.or_die(client.send("DELETE", &path, Value::Null)).await;
            app.faults.clear();
            if reply.is_some_and(|reply| reply.status == 200) {
                assert_eq!(left(&app).await, 0);
                break;
            }
            let shown = client.get(&path).await.status;
            let items = client.get(&format!("{path}/items")).await.status;
            assert_eq!(shown, items, "{fault:?} at step {step}: all of it is there, or nothing");
            interrupted += usize::from(shown == 404 && left(&app).await > 0);
            if shown == 404 {
                for (path, body) in [
                    (path.clone(), json!({"metadata": {}})),
                    (format!("{path}/items"), json!({"items": [message("m3", "")]})),
                ] {
                    assert_eq!(client.post(&path, body).await.status, 404, "{fault:?} at step {step}");
                }
            }
            let expected = if left(&app).await > 0 { 200 } else { 404 };
            assert_eq!(client.send("DELETE", &path, Value::Null).await.status, expected, "{fault:?} at step {step}");
            assert_eq!(left(&app).await, 0, "{fault:?} at step {step}");
            assert_eq!(client.send("DELETE", &path, Value::Null).await.status, 404);
        }
        assert!(interrupted >= 3, "{fault:?} left something {interrupted} times");
    }
}

#[tokio::test]
async fn a_conversation_whose_deletion_died_is_erased_by_the_sweep() {
    let large = random(200_000);
    let mut interrupted = 0;
    for step in 0.. {
        let app = TestApp::new().await;
        let client = Client::new(&app).await;
        let path = client.conversation(json!({"items": [message("m1", "small"), message("m2", &large)]})).await;
        app.faults.at(step, Fault::HangAfter);
        let reply = app.faults.or_die(client.send("DELETE", &path, Value::Null)).await;
        app.faults.clear();
        if reply.is_some() {
            break;
        }
        if client.get(&path).await.status == 404 {
            interrupted += usize::from(left(&app).await > 0);
            app.clock.advance_ms(60_001);
            app.instance().sweeper().sweep().await.unwrap();
            assert_eq!(left(&app).await, 0, "at step {step}");
        }
    }
    assert!(interrupted >= 3, "{interrupted}");
}

/// Every call takes 10 ms, so a deletion that begins 5 ms later meets the addition one step later.
#[tokio::test(start_paused = true)]
async fn what_is_added_while_a_conversation_is_deleted_does_not_stay() {
    let app = TestApp::builder().store_latency(Duration::from_millis(10)).build().await;
    let client = Client::new(&app).await;
    let conversations = app.stores.conversations();
    let new = new_items();
    let mut outcomes = [0; 4];
    for n in 0..24 {
        for is_turn in [true, false] {
            let path = client.conversation(Value::Null).await;
            let key = key_of(&client, &path);
            let now = app.clock.now();
            let add = async {
                tokio::time::sleep(Duration::from_millis(60)).await;
                if is_turn {
                    let turn = Turn { at: now.plus_ms(1), id: "resp_1".to_owned() };
                    return conversations.add_turn(&key, &turn, &new, now).await.unwrap().is_written();
                }
                let outcome = conversations.add_items(&key, now, "name", &new).await.unwrap();
                outcome == AddItemsOutcome::Added
            };
            let delete = async {
                tokio::time::sleep(Duration::from_millis(5 * n)).await;
                conversations.delete(&key, app.clock.now(), app.clock.now()).await.unwrap().is_written()
            };
            let (added, deleted) = tokio::join!(add, delete);
            assert!(deleted);
            assert_eq!(left(&app).await, 0, "deleted after {} ms, turn: {is_turn}", 5 * n);
            outcomes[usize::from(is_turn) * 2 + usize::from(added)] += 1;
        }
    }
    assert!(outcomes.iter().all(|n| *n > 2), "{outcomes:?}");
}

#[tokio::test]
async fn a_turn_whose_worker_died_leaves_nothing_in_a_conversation_that_was_deleted_since() {
    let new = new_items();
    for fault in [Fault::Hang, Fault::HangAfter] {
        for step in 0.. {
            let app = TestApp::new().await;
            let client = Client::new(&app).await;
            let path = client.conversation(Value::Null).await;
            let key = key_of(&client, &path);
            let turn = Turn { at: app.clock.now().plus_ms(1), id: "resp_1".to_owned() };
            let conversations = app.stores.conversations();
            let add = || conversations.add_turn(&key, &turn, &new, app.clock.now());
            app.faults.at(step, fault);
            let added = app.faults.or_die(add()).await;
            app.faults.clear();
            assert!(conversations.delete(&key, app.clock.now(), app.clock.now()).await.unwrap().is_written());
            assert!(!add().await.unwrap().is_written(), "{fault:?} at step {step}");
            assert_eq!(left(&app).await, 0, "{fault:?} at step {step}");
            if added.is_some() {
                assert!(step > 1, "adding a turn has more steps than {step}");
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_deletion_that_comes_late_leaves_the_item_that_is_there_by_now() {
    let app = TestApp::new().await;
    let client = Client::new(&app).await;
    let large = random(200_000);
    let path = client.conversation(json!({"items": [message("m1", &large)]})).await;
    let key = key_of(&client, &path);
    let (conversation, seen) = app.stores.conversations().item(&key, "m1", app.clock.now()).await.unwrap().unwrap();
    let item = format!("{path}/items/m1");
    assert_eq!(client.send("DELETE", &item, Value::Null).await.status, 200);
    assert_eq!(bodies(&app).await, 0);
    client.post(&format!("{path}/items"), json!({"items": [message("m1", &large)]})).await;
    app.stores.conversations().delete_item(&conversation, &seen.unwrap(), app.clock.now()).await.unwrap();
    assert!(client.get(&item).await.json() == kept("m1", &large), "it has its body");
    // Who adds what is there already leaves nothing of it.
    let again = client.post(&format!("{path}/items"), json!({"items": [message("m1", &large)]})).await;
    assert_eq!((again.status, bodies(&app).await), (400, 1));
    let ask = json!({"model": "priced", "conversation": key.conversation_id, "input": [message("m1", &large)]});
    assert_eq!(client.post("/v1/responses", ask).await.status, 200);
    assert!(client.texts(&path).await == [&*large, "Hello there."], "it is there once");
    assert_eq!(bodies(&app).await, 1);
}

/// The key of the conversation at a path.
fn key_of(client: &Client, path: &str) -> ConversationKey {
    let conversation_id = path.rsplit('/').next().unwrap().to_owned();
    ConversationKey { project_id: client.project_id.clone(), conversation_id }
}
