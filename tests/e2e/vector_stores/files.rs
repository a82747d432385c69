//! The files of stores: attached, listed, read, changed and detached; deleted and expired files are in no store.

use kit::{FORM, file_form, send};
use serde_json::{Value, json};

use super::{CATS, PUMPS, Site, TAXES};

#[tokio::test(start_paused = true)]
async fn a_file_is_attached_read_changed_and_detached() {
    let site = Site::new().await;
    let store = site.store().await;
    let file_id = site.attach(&store, "pumps.md", PUMPS, json!({"a": 1.5, "b": true})).await;
    let path = format!("{store}/files/{file_id}");
    let pending = send(&site.router, "GET", &path, &site.key, &[], "").await;
    assert_eq!(pending.header("openai-poll-after-ms"), "500");
    site.work().await;
    let file = site.get(&path).await;
    assert_eq!(
        file,
        json!({
            "id": file_id, "object": "vector_store.file", "usage_bytes": PUMPS.len(), "created_at": file["created_at"],
            "vector_store_id": store.rsplit('/').next(), "status": "completed", "last_error": null, "attributes": {"a": 1.5, "b": true},
            "chunking_strategy": {"type": "static", "static": {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 400}},
        })
    );
    let content = site.get(&format!("{path}/content")).await;
    assert_eq!(content["data"], json!([{"type": "text", "text": PUMPS}]));
    assert_eq!(site.post(&path, json!({"attributes": {"c": "d"}})).await["attributes"], json!({"c": "d"}));
    site.delete(&path).await;
    assert_eq!(site.found(&store, "pump").await, [""; 0]);
    assert_eq!(site.send("GET", &path, Value::Null).await.status, 404);
    assert_eq!(site.get(&store).await["usage_bytes"], 0);
    site.work().await;
    assert_eq!(site.leftovers().await.iter().filter(|pk| pk.starts_with("CHUNKS#")).count(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_text_of_a_long_file_is_complete_although_its_chunks_overlap() {
    let site = Site::new().await;
    let store = site.store().await;
    let text: String = (0..400).map(|n| format!("Sentence number {n} is here. ")).collect();
    let file_id = site.upload("long.txt", &text).await;
    let strategy = json!({"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 50}});
    site.post(&format!("{store}/files"), json!({"file_id": file_id, "chunking_strategy": strategy})).await;
    site.work().await;
    let content = site.get(&format!("{store}/files/{file_id}/content")).await;
    let pieces: Vec<&str> =
        content["data"].as_array().unwrap().iter().map(|piece| piece["text"].as_str().unwrap()).collect();
    assert!(pieces.len() > 10, "{}", pieces.len());
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(&pieces.join(" ")), words(&text));
    assert_eq!(
        site.search(&store, json!({"query": "sentence number 321", "max_num_results": 1})).await["data"][0]["content"]
            [0]["text"]
            .as_str()
            .map(|text| text.contains("number 321 ")),
        Some(true)
    );
}

#[tokio::test(start_paused = true)]
async fn files_are_listed_in_pages_and_by_status() {
    let site = Site::new().await;
    let store = site.store().await;
    let mut ids = Vec::new();
    for name in ["a.txt", "b.txt", "c.txt"] {
        ids.push(site.attach(&store, name, CATS, json!({})).await);
    }
    ids.push(site.attach(&store, "movie.mp4", "\u{0}\u{1}\u{2}", json!({})).await);
    site.work().await;
    let listed = async |query: &str| -> Vec<String> {
        let list = site.get(&format!("{store}/files?{query}")).await;
        list["data"].as_array().unwrap().iter().map(|file| file["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(listed("order=asc").await, ids);
    assert_eq!(listed("order=asc&limit=2").await, ids[..2]);
    assert_eq!(listed(&format!("order=asc&after={}", ids[1])).await, ids[2..]);
    // Those next to the id, in the order of the list.
    assert_eq!(listed(&format!("order=asc&before={}&limit=2", ids[3])).await, ids[1..3]);
    let newest_first: Vec<_> = ids[1..3].iter().rev().cloned().collect();
    assert_eq!(listed(&format!("before={}&limit=2", ids[0])).await, newest_first);
    assert_eq!(listed("filter=failed").await, ids[3..]);
    assert_eq!(listed("filter=in_progress").await, [""; 0]);
    let failed = site.get(&format!("{store}/files/{}", ids[3])).await;
    assert_eq!(failed["last_error"]["code"], "unsupported_file", "{failed}");
}

/// A broken file fails alone.
#[tokio::test(start_paused = true)]
async fn a_file_that_cannot_be_read_fails_and_the_others_are_searched() {
    let site = Site::new().await;
    let store = site.store().await;
    let files = [
        ("broken.pdf", "%PDF-1.7 nothing", "invalid_file"),
        ("empty.txt", "  \n", "invalid_file"),
        ("zip.docx", "PK\u{3}\u{4}no", "unsupported_file"),
    ];
    for (name, content, code) in files {
        let file_id = site.attach(&store, name, content, json!({})).await;
        site.work().await;
        let file = site.get(&format!("{store}/files/{file_id}")).await;
        assert_eq!((&file["status"], &file["last_error"]["code"]), (&json!("failed"), &json!(code)), "{file}");
        assert!(file["last_error"]["message"].as_str().unwrap().ends_with('.'), "{file}");
    }
    site.attach(&store, "cats.txt", CATS, json!({})).await;
    site.work().await;
    let counts = &site.get(&store).await["file_counts"];
    assert_eq!((&counts["failed"], &counts["completed"], &counts["in_progress"]), (&json!(3), &json!(1), &json!(0)));
    assert_eq!(site.found(&store, "cats").await, ["cats.txt"]);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_file_is_in_no_store_at_once() {
    let site = Site::new().await;
    let stores = [site.store().await, site.store().await];
    let file_id = site.upload("cats.txt", CATS).await;
    for store in &stores {
        site.post(&format!("{store}/files"), json!({"file_id": file_id})).await;
    }
    site.work().await;
    site.delete(&format!("/v1/files/{file_id}")).await;
    for store in &stores {
        assert_eq!(site.found(store, "cats").await, [""; 0]);
        assert_eq!(site.get(store).await["file_counts"]["total"], 0);
        assert_eq!(site.send("GET", &format!("{store}/files/{file_id}/content"), Value::Null).await.status, 404);
    }
    site.minutes(62).await;
    let left = site.leftovers().await;
    assert!(left.iter().all(|pk| pk.starts_with("VSTORES#")), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn an_expired_file_is_not_found_also_before_the_sweep() {
    let site = Site::new().await;
    let store = site.store().await;
    let fields =
        [("purpose", "assistants"), ("expires_after[anchor]", "created_at"), ("expires_after[seconds]", "3600")];
    let form = file_form(Some(("cats.txt", CATS.as_bytes())), &fields);
    let made = send(&site.router, "POST", "/v1/files", &site.key, &[("content-type", FORM)], form).await.json();
    site.post(&format!("{store}/files"), json!({"file_id": made["id"]})).await;
    site.work().await;
    assert_eq!(site.found(&store, "cats").await, ["cats.txt"]);
    site.app.clock.advance_ms(3_601_000);
    assert_eq!(site.found(&store, "cats").await, [""; 0]);
    site.minutes(64).await;
    assert_eq!(site.get(&store).await["file_counts"]["total"], 0);
}

/// The earlier chunks are found until the new ones take their place, and never both.
#[tokio::test(start_paused = true)]
async fn a_file_that_is_cut_anew_is_searched_all_the_time() {
    let site = Site::new().await;
    let store = site.store().await;
    let text = format!("{CATS}\n\n{TAXES}\n\n").repeat(8);
    let file_id = site.attach(&store, "mixed.txt", &text, json!({})).await;
    site.work().await;
    let whole = site.found(&store, "cats").await.len();
    let strategy = json!({"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}});
    let again = site.post(&format!("{store}/files"), json!({"file_id": file_id, "chunking_strategy": strategy})).await;
    assert_eq!(again["status"], "in_progress");
    assert_eq!(site.found(&store, "cats").await.len(), whole);
    site.work().await;
    let small = site.search(&store, json!({"query": "cats", "max_num_results": 50})).await;
    let texts: Vec<&str> =
        small["data"].as_array().unwrap().iter().map(|found| found["content"][0]["text"].as_str().unwrap()).collect();
    assert!(texts.len() > whole && texts.iter().all(|text| text.len() < 600), "{texts:?}");
    // The same strategy again changes nothing but the attributes.
    let calls = site.app.first.call_count();
    let same = site
        .post(
            &format!("{store}/files"),
            json!({"file_id": file_id, "chunking_strategy": strategy, "attributes": {"x": "y"}}),
        )
        .await;
    assert_eq!((&same["status"], &same["attributes"]), (&json!("completed"), &json!({"x": "y"})));
    site.work().await;
    assert_eq!(site.app.first.call_count(), calls);
}

#[tokio::test(start_paused = true)]
async fn a_file_can_be_attached_again_after_it_was_detached() {
    let site = Site::new().await;
    let store = site.store_with(&[("cats.txt", CATS)]).await;
    let file_id = site.get(&format!("{store}/files")).await["data"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("{store}/files/{file_id}");
    site.delete(&path).await;
    site.post(&format!("{store}/files"), json!({"file_id": file_id})).await;
    site.work().await;
    assert_eq!(site.found(&store, "cats").await, ["cats.txt"]);
    site.minutes(62).await;
    assert_eq!(site.found(&store, "cats").await, ["cats.txt"]);
    assert_eq!(site.get(&store).await["file_counts"]["completed"], 1);
}
