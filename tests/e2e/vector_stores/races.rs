//! What two workers, or a worker and a client, do to one file at the same time.

use kit::Script;
use serde_json::{Value, json};
use shared::data::{IngestEnd, NewChunk};
use shared::model::provider::Failure;
use shared::model::vector_store::{DIMENSIONS, StoreFile, StoreFileKey, VectorStoreKey};

use super::{CATS, Site};

impl Site {
    fn key_of(&self, store: &str, file_id: &str) -> StoreFileKey {
        let store_id = store.rsplit('/').next().unwrap().to_owned();
        let store = VectorStoreKey { project_id: self.project.id.clone(), store_id };
        StoreFileKey { store, file_id: file_id.to_owned() }
    }

    /// The file as a worker takes it up.
    async fn take(&self, store: &str, file_id: &str) -> StoreFile {
        let (key, now) = (self.key_of(store, file_id), self.app.clock.now());
        self.app.stores.store_files().take(&key, now, now.plus_ms(60_000)).await.unwrap().unwrap()
    }

    /// Stores a chunk of a generation, as a worker does.
    async fn put_chunk(&self, file: &StoreFileKey, generation: u32) {
        let chunk = NewChunk {
            n: 0,
            text: CATS.to_owned(),
            start: 0,
            hash: String::new(),
            embedding: vec![1; DIMENSIONS],
            words: Some(vec![1; DIMENSIONS]),
        };
        self.app.stores.chunks().put(file, generation, vec![chunk]).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_deletion_of_chunks_leaves_those_of_later_generations() {
    let site = Site::new().await;
    let file = site.key_of(&site.store().await, "file-1");
    let chunks = site.app.stores.chunks();
    for generation in 1..=4 {
        site.put_chunk(&file, generation).await;
    }
    chunks.delete(&file, 3, Some(2)).await.unwrap();
    let mut left = Vec::new();
    for generation in 1..=4 {
        left.push(chunks.read_all(&file, generation).await.unwrap().len());
    }
    assert_eq!(left, [0, 1, 0, 1]);
}

/// It neither keeps the file nor puts off its erasure.
#[tokio::test(start_paused = true)]
async fn a_worker_changes_nothing_of_a_file_that_was_detached_since() {
    let site = Site::new().await;
    let store = site.store().await;
    let file_id = site.attach(&store, "cats.txt", CATS, json!({})).await;
    let taken = site.take(&store, &file_id).await;
    site.delete(&format!("{store}/files/{file_id}")).await;
    let (files, now) = (site.app.stores.store_files(), site.app.clock.now());
    let end = IngestEnd::Completed { chunks: 1, usage_bytes: 9 };
    assert!(!files.renew(&taken, now, now).await.unwrap().is_written());
    assert!(!files.leave(&taken, now).await.unwrap().is_written());
    assert!(!files.clear_due(&taken).await.unwrap().is_written());
    assert!(!files.end(&taken, &end).await.unwrap().is_written());
    site.put_chunk(&taken.key, taken.generation).await;
    site.minutes(64).await;
    let left = site.leftovers().await;
    assert!(left.iter().all(|pk| pk.starts_with("VSTORES#")), "{left:?}");
}

/// A worker that ended a file deletes the chunks of what it knew, and does not clear what a client began since.
#[tokio::test(start_paused = true)]
async fn a_file_that_is_cut_anew_while_a_worker_tidies_up_is_ingested() {
    let site = Site::new().await;
    let store = site.store().await;
    let file_id = site.attach(&store, "cats.txt", CATS, json!({})).await;
    let taken = site.take(&store, &file_id).await;
    let files = site.app.stores.store_files();
    site.put_chunk(&taken.key, taken.generation).await;
    let end = IngestEnd::Completed { chunks: 1, usage_bytes: 9 };
    assert!(files.end(&taken, &end).await.unwrap().is_written());
    let strategy = json!({"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}});
    site.post(&format!("{store}/files"), json!({"file_id": file_id, "chunking_strategy": strategy})).await;
    assert!(!files.clear_due(&taken).await.unwrap().is_written());
    site.work().await;
    assert_eq!(site.get(&format!("{store}/files/{file_id}")).await["status"], "completed");
    assert_eq!(site.found(&store, "cats").await, ["cats.txt"]);
    // What a worker of the first generation still wrote is gone after an hour.
    site.put_chunk(&taken.key, taken.generation).await;
    site.minutes(64).await;
    assert!(site.app.stores.chunks().read_all(&taken.key, taken.generation).await.unwrap().is_empty());
    assert_eq!(site.found(&store, "cats").await, ["cats.txt"]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_searched_at_the_last_moment_does_not_expire() {
    let site = Site::new().await;
    let store = site.store_with(&[("cats.txt", CATS)]).await;
    site.post(&store, json!({"expires_after": {"anchor": "last_active_at", "days": 1}})).await;
    let (stores, key) = (site.app.stores.vector_stores(), site.key_of(&store, "").store);
    site.app.clock.advance_ms(86_400_000);
    stores.touch(&key, site.app.clock.now()).await.unwrap();
    assert!(!stores.expire(&key, site.app.clock.now()).await.unwrap().is_written());
    assert_eq!(site.found(&store, "cats").await, ["cats.txt"]);
    site.app.clock.advance_ms(86_400_000);
    assert!(stores.expire(&key, site.app.clock.now()).await.unwrap().is_written());
    // Nothing revives it.
    stores.touch(&key, site.app.clock.now()).await.unwrap();
    assert_eq!(site.get(&store).await["status"], "expired");
    let reply = site.send("POST", &store, json!({"expires_after": null})).await;
    assert_eq!((reply.status, reply.code()), (400, "vector_store_expired".to_owned()), "{}", reply.text());
}

#[tokio::test(start_paused = true)]
async fn a_file_is_deleted_while_its_store_is_emptied() {
    let site = Site::new().await;
    let store = site.store().await;
    let file_id = site.attach(&store, "cats.txt", CATS, json!({})).await;
    site.delete(&store).await;
    site.delete(&format!("/v1/files/{file_id}")).await;
    site.minutes(64).await;
    assert_eq!(site.leftovers().await, [""; 0]);
    assert_eq!(site.send("GET", &store, Value::Null).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn a_file_waits_while_its_provider_is_not_called() {
    let unavailable = || Failure::Unavailable { status: 503, message: String::new(), retry_after: None };
    let site = Site::new().await;
    let store = site.store().await;
    site.app.first.always(Script::Fail(unavailable));
    for n in 0..12 {
        site.send("POST", "/v1/embeddings", json!({"model": "embedding", "input": n.to_string()})).await;
    }
    let file_id = site.attach(&store, "cats.txt", CATS, json!({})).await;
    site.work_once().await;
    assert_eq!(site.get(&format!("{store}/files/{file_id}")).await["status"], "in_progress");
    site.app.first.always(Script::answer("", 0, 0));
    site.minutes(20).await;
    assert_eq!(site.get(&format!("{store}/files/{file_id}")).await["status"], "completed");
}
