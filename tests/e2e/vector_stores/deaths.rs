//! Workers that die at each of their steps, messages that come twice or never, and providers that fail.

use std::sync::Arc;

use kit::{Fault, Script};
use serde_json::json;
use shared::data::Queue;
use shared::model::provider::Failure;

use super::{CATS, Site, TAXES};

/// About 100 chunks, which are embedded by four calls.
fn long_text() -> String {
    (0..600).map(|n| format!("Sentence number {n} tells something about cats and mice. ")).collect()
}

async fn attach_long(site: &Site, store: &str) -> String {
    let file_id = site.upload("long.txt", &long_text()).await;
    let strategy = json!({"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}});
    site.post(&format!("{store}/files"), json!({"file_id": file_id, "chunking_strategy": strategy})).await;
    file_id
}

/// A worker dies before and after some calls of a store. The file is searched in the end, no chunk is there twice, and at most the
/// chunks of one call are embedded again.
#[tokio::test(start_paused = true)]
async fn a_worker_that_dies_at_any_call_loses_and_doubles_nothing() {
    let whole = Site::new().await;
    let store = whole.store().await;
    attach_long(&whole, &store).await;
    whole.work().await;
    let (calls, chunks) = (whole.app.first.call_count(), whole.leftovers().await.len());
    let (cost, _) = whole.app.books(&whole.project).await;
    assert!(calls >= 3, "{calls}");
    for fault in [Fault::Hang, Fault::HangAfter] {
        // Every call of the first ones, then some of the many writes.
        for n in (0..12).chain((12..180).step_by(41)) {
            let site = Site::new().await;
            let store = site.store().await;
            let file_id = attach_long(&site, &store).await;
            site.app.faults.at(n, fault);
            site.app.faults.or_die(site.work_once()).await;
            let has_died = site.app.faults.hangs();
            site.app.faults.clear();
            site.minutes(5).await;
            let file = site.get(&format!("{store}/files/{file_id}")).await;
            assert_eq!(file["status"], "completed", "{fault:?} at {n}: {file}");
            assert_eq!(site.leftovers().await.len(), chunks, "{fault:?} at {n}");
            let again = site.app.first.call_count() - calls;
            assert!(again <= 1, "{fault:?} at {n}: {again} calls more");
            site.minutes(40).await;
            let (spent, held) = site.app.books(&site.project).await;
            assert!(held == 0 && spent >= cost, "{fault:?} at {n}: {spent} spent, {held} held");
            if !has_died {
                assert_eq!(spent, cost, "{fault:?} at {n}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_detached_file_stays_detached_although_its_worker_still_writes() {
    let site = Site::new().await;
    let store = site.store().await;
    let file_id = attach_long(&site, &store).await;
    // The worker waits for the provider while the file is detached; then it stores its chunks.
    site.app.first.always(Script::slow(std::time::Duration::from_secs(5), "", 0, 0));
    let work = site.work_once();
    let detach = async {
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        site.delete(&format!("{store}/files/{file_id}")).await;
    };
    tokio::join!(work, detach);
    assert_eq!(site.found(&store, "cats").await, [""; 0]);
    site.minutes(64).await;
    let left = site.leftovers().await;
    assert!(left.iter().all(|pk| pk.starts_with("VSTORES#")), "{left:?}");
    assert_eq!(site.get(&store).await["file_counts"]["total"], 0);
}

#[tokio::test(start_paused = true)]
async fn messages_may_come_twice_and_not_at_all() {
    let site = Site::new().await;
    let store = site.store().await;
    attach_long(&site, &store).await;
    let event = site.app.take_messages(Queue::Ingest);
    let workers: Vec<_> =
        (0..3).map(|_| site.app.instance().ingest_worker(Arc::new(ingest::FileReader), shared::edge::render)).collect();
    let jobs = workers.iter().map(|worker| ingest::job(event.clone(), Arc::clone(worker), None));
    let done = futures_util::future::join_all(jobs).await;
    site.app.acknowledge(Queue::Ingest, &event, &done[0]);
    let calls = site.app.first.call_count();
    assert_eq!(site.get(&store).await["file_counts"]["completed"], 1);
    // A message that is lost.
    site.attach(&store, "cats.txt", CATS, json!({})).await;
    drop(site.app.take_messages(Queue::Ingest));
    site.minutes(3).await;
    assert_eq!(site.get(&store).await["file_counts"]["completed"], 2);
    assert_eq!(site.app.first.call_count(), calls + 1);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_fails_is_tried_again_and_given_up_after_hours() {
    let unavailable = || Failure::Unavailable { status: 503, message: String::new(), retry_after: None };
    let site = Site::new().await;
    let store = site.store().await;
    site.app.first.always(Script::Fail(unavailable));
    let file_id = site.attach(&store, "cats.txt", CATS, json!({})).await;
    site.minutes(30).await;
    assert_eq!(site.get(&format!("{store}/files/{file_id}")).await["status"], "in_progress");
    site.app.first.always(Script::answer("", 0, 0));
    site.minutes(20).await;
    assert_eq!(site.get(&format!("{store}/files/{file_id}")).await["status"], "completed");
    site.app.first.always(Script::Fail(unavailable));
    let file_id = site.attach(&store, "taxes.txt", TAXES, json!({})).await;
    site.minutes(420).await;
    let failed = site.get(&format!("{store}/files/{file_id}")).await;
    assert_eq!(
        (&failed["status"], &failed["last_error"]["code"]),
        (&json!("failed"), &json!("server_error")),
        "{failed}"
    );
    // Attaching it again tries again.
    site.app.first.always(Script::answer("", 0, 0));
    site.app.clock.advance_ms(600_000);
    site.post(&format!("{store}/files"), json!({"file_id": file_id})).await;
    site.work().await;
    assert_eq!(site.get(&format!("{store}/files/{file_id}")).await["status"], "completed");
}

#[tokio::test(start_paused = true)]
async fn a_model_that_does_not_fit_the_index_fails_the_file_and_the_search() {
    fn short(_: &shared::model::provider::ProviderRequest) -> Script {
        Script::Body(json!({"data": [{"index": 0, "embedding": "AACAPw=="}]}).to_string().into())
    }
    let site = Site::new().await;
    let store = site.store_with(&[("cats.txt", CATS)]).await;
    site.app.first.always(Script::Choose(short));
    let file_id = site.attach(&store, "taxes.txt", TAXES, json!({})).await;
    site.work().await;
    let failed = site.get(&format!("{store}/files/{file_id}")).await;
    assert!(
        failed["last_error"]["message"].as_str().unwrap().contains("vectors of 1 numbers, and the index has 1024"),
        "{failed}"
    );
    let reply = site.send("POST", &format!("{store}/search"), json!({"query": "cats"})).await;
    assert_eq!(reply.status, 500, "{}", reply.text());
}
