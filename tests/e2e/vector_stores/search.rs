//! Searches: by meaning and by words, filtered, and of the caller's own stores only.

use kit::send;
use serde_json::{Value, json};
use shared::model::project::Policy;

use super::{CATS, PUMPS, STORES, Site, TAXES, names};
use crate::budget;

#[tokio::test(start_paused = true)]
async fn a_search_returns_the_nearest_chunk_first() {
    let site = Site::new().await;
    let store = site.store_with(&[("pumps.md", PUMPS), ("cats.txt", CATS), ("taxes.txt", TAXES)]).await;
    for (query, name) in [
        ("Which pump is the XK-4471?", "pumps.md"),
        ("When do cats hunt?", "cats.txt"),
        ("tax in Germany", "taxes.txt"),
    ] {
        let page = site.search(&store, json!({"query": query, "max_num_results": 2})).await;
        assert_eq!(names(&page)[0], name, "{page}");
        assert!(names(&page).len() <= 2);
        let scores: Vec<f64> =
            page["data"].as_array().unwrap().iter().map(|found| found["score"].as_f64().unwrap()).collect();
        assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)), "{scores:?}");
    }
    let page = site.search(&store, json!({"query": "When do cats hunt?", "max_num_results": 1})).await;
    let (file_id, score) = (page["data"][0]["file_id"].clone(), page["data"][0]["score"].clone());
    assert_eq!(
        page,
        json!({
            "object": "vector_store.search_results.page", "search_query": ["When do cats hunt?"], "has_more": false, "next_page": null,
            "data": [{
                "file_id": file_id, "filename": "cats.txt", "score": score, "attributes": {"name": "cats.txt"},
                "content": [{"type": "text", "text": CATS}],
            }],
        })
    );
}

#[tokio::test(start_paused = true)]
async fn several_queries_are_searched_together_and_thresholds_leave_out_what_is_far() {
    let site = Site::new().await;
    let store = site.store_with(&[("pumps.md", PUMPS), ("cats.txt", CATS), ("taxes.txt", TAXES)]).await;
    let mut both =
        names(&site.search(&store, json!({"query": ["cats hunt", "tax in Germany"], "max_num_results": 2})).await);
    both.sort();
    assert_eq!(both, ["cats.txt", "taxes.txt"]);
    let near = json!({"query": "cats hunt mice at night", "ranking_options": {"score_threshold": 0.5}});
    assert_eq!(names(&site.search(&store, near).await), ["cats.txt"]);
    let none =
        json!({"query": "quantum chromodynamics", "ranking_options": {"score_threshold": 0.9, "ranker": "none"}});
    assert_eq!(names(&site.search(&store, none).await), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_filter_leaves_out_files_by_their_attributes() {
    let site = Site::new().await;
    let store = site.store().await;
    for (name, year) in [("a.txt", 2020), ("b.txt", 2022), ("c.txt", 2024)] {
        site.attach(
            &store,
            name,
            &format!("Report of the year about cats, by {name}."),
            json!({"year": year, "lang": "en"}),
        )
        .await;
    }
    site.work().await;
    for (filters, expected) in [
        (json!({"type": "eq", "key": "year", "value": 2022}), vec!["b.txt"]),
        (json!({"type": "gte", "key": "year", "value": 2022}), vec!["b.txt", "c.txt"]),
        (json!({"type": "in", "key": "year", "value": [2020, 2024]}), vec!["a.txt", "c.txt"]),
        (
            json!({"type": "and", "filters": [{"type": "ne", "key": "year", "value": 2020}, {"type": "eq", "key": "lang", "value": "en"}]}),
            vec!["b.txt", "c.txt"],
        ),
        (json!({"type": "eq", "key": "lang", "value": "de"}), vec![]),
    ] {
        let mut found = names(&site.search(&store, json!({"query": "report about cats", "filters": filters})).await);
        found.sort();
        assert_eq!(found, expected, "{filters}");
    }
    let calls = site.app.first.call_count();
    let nothing = json!({"query": "cats", "filters": {"type": "eq", "key": "lang", "value": "de"}});
    site.search(&store, nothing).await;
    assert_eq!(site.app.first.call_count(), calls, "nothing is embedded where nothing can be found");
}

/// The text that both have is found by each project in its own store only, under every way to name the other's.
#[tokio::test(start_paused = true)]
async fn two_tenants_with_equal_content_never_see_each_other() {
    let site = Site::new().await;
    let store = site.store_with(&[("mine.txt", CATS)]).await;
    let (_, other) = site.app.project(budget(1.0), Policy::default()).await;
    let own = Site { key: other, ..site };
    let theirs = own.store_with(&[("theirs.txt", CATS)]).await;
    assert_eq!(own.found(&theirs, "cats").await, ["theirs.txt"]);
    for path in [store.clone(), format!("{store}/files")] {
        assert_eq!(own.send("GET", &path, Value::Null).await.status, 404, "{path}");
    }
    let reply = own.send("POST", &format!("{store}/search"), json!({"query": "cats"})).await;
    assert_eq!(reply.status, 404, "{}", reply.text());
    assert_eq!(own.get(STORES).await["data"].as_array().unwrap().len(), 1);
}

/// A search costs the embedding of its query, and an empty store costs nothing.
#[tokio::test(start_paused = true)]
async fn embeddings_are_charged_to_the_caller() {
    let site = Site::new().await;
    let empty = site.store().await;
    assert_eq!(site.found(&empty, "cats").await, [""; 0]);
    assert_eq!(site.app.books(&site.project).await, (0, 0));
    // One micro-dollar buys ten tokens.
    let words = "cat ".repeat(500);
    let store = site.store_with(&[("words.txt", &words)]).await;
    assert_eq!(site.app.books(&site.project).await, (50, 0));
    let reply = send(
        &site.router,
        "POST",
        &format!("{store}/search"),
        &site.key,
        &[],
        json!({"query": "cat ".repeat(100)}).to_string(),
    )
    .await;
    assert_eq!(reply.header("x-weir-cost-usd"), "0.000010", "{}", reply.text());
    assert_eq!(site.app.books(&site.project).await, (60, 0));
}

#[tokio::test(start_paused = true)]
async fn who_has_no_money_left_can_neither_search_nor_ingest() {
    let site = Site::with(budget(0.00004)).await;
    let store = site.store().await;
    site.attach(&store, "small.txt", CATS, json!({})).await;
    let large = site.attach(&store, "large.txt", &"cat ".repeat(700), json!({})).await;
    site.work().await;
    let failed = site.get(&format!("{store}/files/{large}")).await;
    assert_eq!(
        (&failed["status"], &failed["last_error"]["code"]),
        (&json!("failed"), &json!("server_error")),
        "{failed}"
    );
    assert!(failed["last_error"]["message"].as_str().unwrap().contains("budget"), "{failed}");
    let counts = &site.get(&store).await["file_counts"];
    assert_eq!((&counts["completed"], &counts["failed"]), (&json!(1), &json!(1)));
    let reply = site.send("POST", &format!("{store}/search"), json!({"query": "cat ".repeat(600)})).await;
    assert_eq!(reply.status, 429, "{}", reply.text());
    let (spent, held) = site.app.books(&site.project).await;
    assert!(spent <= 40 && held == 0, "{spent} {held}");
}
