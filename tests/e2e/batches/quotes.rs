//! `POST /v1/quote` of a batch: what all its lines can cost at most, what its file has wrong, and what would refuse it now.

use futures_util::future::join_all;
use kit::{Reply, send};
use serde_json::{Value, json};
use shared::model::money::MicroUsd;
use shared::model::project::{Limits, Policy};
use shared::model::retention::Retention;

use super::{Site, chat, line, lines};
use crate::keys::make;

const QUOTE: &str = "/v1/quote";

impl Site {
    async fn quote_of(&self, body: &Value, headers: &[(&str, &str)]) -> Reply {
        let before = (self.app.items().await, self.app.objects().await);
        let reply = send(&self.router, "POST", QUOTE, &self.key, headers, body.to_string()).await;
        assert!(before == (self.app.items().await, self.app.objects().await), "a quote writes nothing");
        assert_eq!(self.app.first.call_count(), 0, "no provider is called for a quote");
        reply
    }

    /// Quotes a batch of chat completions of this file.
    async fn quote_file(&self, content: &[u8]) -> Reply {
        let file_id = self.upload(content).await;
        self.quote_of(&batch_of(&file_id, "/v1/chat/completions"), &[]).await
    }
}

fn batch_of(file_id: &str, endpoint: &str) -> Value {
    json!({"input_file_id": file_id, "endpoint": endpoint, "completion_window": "24h", "metadata": {"of": "test"}})
}

fn micro_usd(dollars: &Value) -> u64 {
    MicroUsd::from_dollars(dollars.as_f64().unwrap_or_else(|| panic!("{dollars}"))).unwrap().0
}

#[tokio::test(start_paused = true)]
async fn a_batch_costs_at_most_what_its_lines_cost_at_most() {
    let site = Site::new(Limits { budget: Some(MicroUsd(5_000_000)), ..Limits::default() }).await;
    let request = |n: usize, url: &str, body: &Value| {
        json!({"custom_id": n.to_string(), "method": "POST", "url": url, "body": body}).to_string() + "\n"
    };
    for (url, bodies) in [
        (
            "/v1/chat/completions",
            [
                json!({"model": "priced", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 7}),
                json!({"model": "priced", "messages": [{"role": "user", "content": "A long story"}], "n": 3}),
            ],
        ),
        ("/v1/responses", [json!({"model": "priced", "input": "Hello"}), json!({"model": "priced", "input": "Bye"})]),
        (
            "/v1/embeddings",
            [json!({"model": "embedding", "input": ["a"]}), json!({"model": "embedding", "input": "b"})],
        ),
        ("/v1/completions", [json!({"model": "priced", "prompt": "Once"}), json!({"model": "priced", "prompt": "a"})]),
    ] {
        let mut sums = (0, 0, 0);
        for body in &bodies {
            let single = site.quote_of(body, &[]).await.json();
            sums.0 += micro_usd(&single["max_cost_usd"]);
            sums.1 += single["max_input_tokens"].as_u64().unwrap();
            sums.2 += single["max_output_tokens"].as_u64().unwrap();
        }
        let content: String = bodies.iter().enumerate().map(|(n, body)| request(n, url, body)).collect();
        let file_id = site.upload(content.as_bytes()).await;
        let quote = site.quote_of(&batch_of(&file_id, url), &[]).await;
        let quoted = quote.json();
        assert_eq!(
            (quote.status, &quoted["object"], &quoted["endpoint"]),
            (200, &json!("quote"), &json!("/v1/batches"))
        );
        let found = (
            micro_usd(&quoted["max_cost_usd"]),
            quoted["max_input_tokens"].as_u64().unwrap(),
            quoted["max_output_tokens"].as_u64().unwrap(),
        );
        assert_eq!(found, sums, "{url}: {quoted}");
        assert_eq!((&quoted["model"], &quoted["admitted"]), (&bodies[0]["model"], &json!(true)));
        assert_eq!(quoted["batch"], json!({"lines": 2, "refused_lines": 0, "first_refused": null}));
        assert_eq!((&quoted["rate_limited_tokens"], quoted["levels"].as_array().unwrap().len()), (&json!(0), 1));
    }
}

/// The lines of the whole batch hold no more than the quote said.
#[tokio::test(start_paused = true)]
async fn a_batch_runs_within_its_quote() {
    let site = Site::new(Limits::default()).await;
    let file_id = site.upload(lines(30).as_bytes()).await;
    let quoted = site.quote_of(&batch_of(&file_id, "/v1/chat/completions"), &[]).await.json();
    let made = site.create(&file_id, "/v1/chat/completions").await.json();
    let batch = site.run(made["id"].as_str().unwrap()).await;
    let (cost, most) = (Site::cost(&batch), micro_usd(&quoted["max_cost_usd"]));
    assert!(cost > 0 && cost <= most, "{cost} of {most}");
    assert_eq!(quoted["batch"]["lines"], batch["request_counts"]["total"]);
}

#[tokio::test(start_paused = true)]
async fn the_level_that_has_no_room_for_all_lines_says_so() {
    let small = Limits { budget: Some(MicroUsd(300)), ..Limits::default() };
    let site = Site::new(Limits::default()).await;
    let (policy, content) = (Policy::default(), lines(2));
    let (of_project, project_key) = site.app.project(small, policy.clone()).await;
    let (of_key, limited_key) = site.app.project_with_limited_key(small, policy).await;
    let run: &[_] = &[("x-weir-run", "r"), ("x-weir-run-budget-usd", "0.0003")];
    let own = (site.project.clone(), site.key.clone());
    let mut site = site;
    for (level, (project, key), headers) in
        [("project", (of_project, project_key), &[][..]), ("api_key", (of_key, limited_key), &[]), ("run", own, run)]
    {
        site = Site { project, key, ..site };
        let file_id = site.upload(content.as_bytes()).await;
        let quoted = site.quote_of(&batch_of(&file_id, "/v1/chat/completions"), headers).await.json();
        assert_eq!(quoted["admitted"], false, "{quoted}");
        let levels = quoted["levels"].as_array().unwrap();
        let refusing: Vec<_> = levels.iter().filter(|level| !level["refusal"].is_null()).collect();
        assert_eq!((refusing.len(), &refusing[0]["level"]), (1, &json!(level)), "{quoted}");
        assert_eq!(refusing[0]["refusal"]["code"], "budget_exceeded");
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_would_fail_its_batch_is_refused_with_its_first_wrong_line() {
    let site = Site::new(Limits::default()).await;
    let rows = [
        (String::new(), "empty_file", None),
        ("\n \r\n".to_owned(), "empty_file", None),
        (format!("{}\nx\ny\n", line("a")), "invalid_json_line", Some(2)),
        (format!("{}\n\n{}", line("a"), line("a")), "duplicate_custom_id", Some(3)),
        ([line("a"), line("b").replace("priced", "unpriced")].join("\n"), "model_mismatch", Some(2)),
        (line("a").replace("chat/completions", "embeddings"), "url_mismatch", Some(1)),
        (line("a").replace("POST", "GET"), "invalid_method", Some(1)),
        (line("a").replace("custom_id", "id"), "missing_required_parameter", Some(1)),
        ([line("a"), chat("b", "priced", json!({"user": "x".repeat(7 << 20)}))].join("\n"), "line_too_large", Some(2)),
        ((0..=50_000).map(|n| line(&n.to_string()) + "\n").collect(), "too_many_tasks", None),
    ];
    for (content, code, number) in rows {
        let refused = site.quote_file(content.as_bytes()).await;
        let error = &refused.json()["error"];
        assert_eq!((refused.status, &*refused.code(), &error["type"]), (400, code, &json!("invalid_request_error")));
        let message = error["message"].as_str().unwrap();
        assert_eq!(message.contains("Line "), number.is_some(), "{message}");
        assert!(number.is_none_or(|number| message.contains(&format!("Line {number} of"))), "{message}");
        assert!(error["param"].is_string(), "{error}");
        assert_eq!(message.contains("the first of 2 errors"), content.contains("\ny\n"), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn garbage_is_not_read_to_its_end() {
    let site = Site::new(Limits::default()).await;
    for (content, code) in [("{\n".repeat(10 << 20), "invalid_json_line"), ("{".repeat(20 << 20), "line_too_large")] {
        assert_eq!(site.quote_file(content.as_bytes()).await.code(), code);
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_that_would_not_run_costs_nothing_and_is_told() {
    let site = Site::new(Limits { budget: Some(MicroUsd(5_000_000)), ..Limits::default() }).await;
    let good = site.quote_file(lines(1).as_bytes()).await.json();
    let bad = [line("line-0"), chat("b", "priced", json!({"stream": true})), chat("c", "priced", json!({"n": "x"}))];
    let quoted = site.quote_file(bad.join("\n").as_bytes()).await.json();
    assert_eq!((&quoted["max_cost_usd"], &quoted["batch"]["lines"]), (&good["max_cost_usd"], &json!(3)), "{quoted}");
    let (batch, first) = (&quoted["batch"], &quoted["batch"]["first_refused"]);
    assert_eq!((&batch["refused_lines"], &first["line"], &first["status_code"]), (&json!(2), &json!(2), &json!(400)));
    assert_eq!(
        (&first["error"]["param"], &first["error"]["type"]),
        (&json!("stream"), &json!("invalid_request_error"))
    );
    // A model without a price cannot be paid by a budget.
    let unpriced = site.quote_file(line("a").replace("\"priced\"", "\"unpriced\"").as_bytes()).await.json();
    assert_eq!((&unpriced["max_cost_usd"], &unpriced["batch"]["refused_lines"]), (&Value::Null, &json!(1)));
    assert_eq!(unpriced["batch"]["first_refused"]["error"]["code"], "model_not_priced");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_would_be_refused_has_no_quote() {
    let site = Site::new(Limits::default()).await;
    let file_id = site.upload(lines(1).as_bytes()).await;
    let body = batch_of(&file_id, "/v1/chat/completions");
    for body in [
        batch_of("file-unknown", "/v1/chat/completions"),
        batch_of(&file_id, "/v1/images/generations"),
        json!({"input_file_id": file_id, "endpoint": "/v1/chat/completions"}),
        json!({"input_file_id": file_id, "endpoint": "/v1/chat/completions", "completion_window": "24h", "x": 1}),
    ] {
        let quote = site.quote_of(&body, &[]).await;
        let made = send(&site.router, "POST", "/v1/batches", &site.key, &[], body.to_string()).await;
        assert_eq!((quote.status, quote.json()), (400, made.json()), "{}", quote.text());
    }
    let nobody = site.quote_file(line("a").replace("priced", "nobody").as_bytes()).await;
    assert_eq!((nobody.status, &*nobody.code()), (404, "model_not_found"));
    let embedding = site.quote_file(line("a").replace("priced", "embedding").as_bytes()).await;
    assert_eq!((embedding.status, &*embedding.code()), (400, "model_not_supported"));
    // Of another project, of a project that keeps nothing.
    let (_, other) = site.app.project(Limits::default(), Policy::default()).await;
    let foreign = send(&site.router, "POST", QUOTE, &other, &[], body.to_string()).await;
    assert_eq!((foreign.status, foreign.json()["error"]["param"].as_str()), (400, Some("input_file_id")));
    let nothing = Policy { retention: Some(Retention::Nothing), ..Policy::default() };
    let (_, key) = site.app.project(Limits::default(), nothing).await;
    assert_eq!(send(&site.router, "POST", QUOTE, &key, &[], body.to_string()).await.code(), "nothing_is_kept");
}

#[tokio::test(start_paused = true)]
async fn a_quote_of_a_batch_needs_what_its_key_may_do() {
    let site = Site::new(Limits::default()).await;
    let body = batch_of(&site.upload(lines(1).as_bytes()).await, "/v1/chat/completions").to_string();
    let quote = async |rights: Value| {
        let key = make(&site.router, &site.project.id, rights).await.text;
        let reply = send(&site.router, "POST", QUOTE, &key, &[], body.clone()).await;
        (reply.status, if reply.status == 200 { String::new() } else { reply.code() })
    };
    assert_eq!(quote(json!({"scopes": ["api.model.read", "api.files.read"]})).await, (200, String::new()));
    assert_eq!(quote(json!({"scopes": ["api.model.read"]})).await, (403, "missing_scope".to_owned()));
    assert_eq!(quote(json!({"models": ["other"]})).await, (403, "model_not_found".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn quotes_at_the_same_moment_wait_for_each_other() {
    let site = Site::new(Limits::default()).await;
    let body = batch_of(&site.upload(lines(500).as_bytes()).await, "/v1/chat/completions").to_string();
    let replies = join_all((0..8).map(|_| send(&site.router, "POST", QUOTE, &site.key, &[], body.clone()))).await;
    assert!(replies.iter().all(|reply| reply.status == 200 && reply.json()["batch"]["lines"] == 500));
}
