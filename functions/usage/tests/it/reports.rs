//! Reports, from the counters to the answer.

use kit::ADMIN_KEY;
use serde_json::{Value, json};

use crate::api::{DAY, UsageApi};

const USAGE: &str = "/v1/organization/usage";
const COSTS: &str = "/v1/organization/costs";

/// Asks for a report from the first day on and compares the whole answer.
async fn check(api: &UsageApi, path: &str, query: &str, expected: &Value) {
    let (status, answer) = api.send(Some(ADMIN_KEY), &format!("{path}?start_time={DAY}{query}")).await;
    assert_eq!((status, &answer), (200, expected), "{path} {query}");
}

fn page(buckets: &[(u64, u64, Value)], next: Option<u64>) -> Value {
    let hour = |n: u64| DAY + n * 3_600;
    let bucket = |(start, end, results): &(u64, u64, Value)| json!({"object": "bucket", "start_time": hour(*start), "end_time": hour(*end), "results": results});
    let data: Vec<Value> = buckets.iter().map(bucket).collect();
    json!({"object": "page", "data": data, "has_more": next.is_some(), "next_page": next.map(|at| format!("page_{}", hour(at)))})
}

/// A sum of chat calls: requests, and project, key and model where it is grouped by them.
fn chat(requests: u64, group: [Option<&str>; 3]) -> Value {
    let [project, key, model] = group;
    json!({
        "object": "organization.usage.completions.result",
        "input_tokens": requests * 10, "input_cached_tokens": requests * 4, "input_cache_write_tokens": requests,
        "input_uncached_tokens": requests * 5, "input_audio_tokens": requests * 2,
        "output_tokens": requests * 3, "output_audio_tokens": requests, "num_model_requests": requests,
        "project_id": project, "user_id": null, "api_key_id": key, "model": model, "batch": null, "service_tier": null,
    })
}

fn cost(dollars: f64, group: [Option<&str>; 3]) -> Value {
    let [project, key, model] = group;
    json!({
        "object": "organization.costs.result", "amount": {"value": dollars, "currency": "usd"},
        "line_item": model, "project_id": project, "api_key_id": key, "quantity": null, "quantity_unit": null,
    })
}

const ALL: [Option<&str>; 3] = [None; 3];

#[tokio::test]
async fn days_of_chat_calls() {
    let api = UsageApi::new().await;
    let days = [(0, 24, json!([chat(4, ALL)])), (24, 48, json!([chat(4, ALL)])), (48, 72, json!([]))];
    check(&api, &format!("{USAGE}/completions"), "", &page(&days, None)).await;
}

#[tokio::test]
async fn hours_of_chat_calls() {
    let api = UsageApi::new().await;
    let hours = [(0, 1, json!([chat(2, ALL)])), (1, 2, json!([]))];
    let query = format!("&bucket_width=1h&end_time={}", DAY + 3_601);
    check(&api, &format!("{USAGE}/completions"), &query, &page(&hours, None)).await;
}

#[tokio::test]
async fn embeddings_and_moderations_have_no_output() {
    let api = UsageApi::new().await;
    for (operation, results) in [("embeddings", [true, false, false]), ("moderations", [false, false, true])] {
        let sum = json!([{
            "object": format!("organization.usage.{operation}.result"), "input_tokens": 20, "num_model_requests": 2,
            "project_id": null, "user_id": null, "api_key_id": null, "model": null,
        }]);
        let [a, b, c] = results.map(|some| if some { sum.clone() } else { json!([]) });
        check(&api, &format!("{USAGE}/{operation}"), "", &page(&[(0, 24, a), (24, 48, b), (48, 72, c)], None)).await;
    }
}

#[tokio::test]
async fn costs_are_those_of_all_operations() {
    let api = UsageApi::new().await;
    let days = [(0, 24, json!([cost(0.6, ALL)])), (24, 48, json!([cost(0.4, ALL)])), (48, 72, json!([cost(0.2, ALL)]))];
    check(&api, COSTS, "", &page(&days, None)).await;
    let items = json!([cost(0.4, [None, None, Some("chat")]), cost(0.2, [None, None, Some("embed")])]);
    check(&api, COSTS, "&limit=1&group_by=line_item", &page(&[(0, 24, items)], Some(24))).await;
}

#[tokio::test]
async fn groups_and_filters() {
    let api = UsageApi::new().await;
    let [one, two] = api.projects.each_ref().map(String::as_str);
    let completions = format!("{USAGE}/completions");
    let second_day = format!("&page=page_{}&limit=1", DAY + 24 * 3_600);
    let day = |results: Value| page(&[(24, 48, results)], Some(48));
    let by_all = [chat(2, [Some(one), Some("key_a"), Some("chat")]), chat(2, [Some(two), Some("key_b"), Some("chat")])];
    for group_by in
        ["group_by[]=project_id&group_by[]=api_key_id&group_by[]=model", "group_by=project_id,api_key_id,model"]
    {
        check(&api, &completions, &format!("{second_day}&{group_by}"), &day(json!(by_all))).await;
    }
    for filter in [
        format!("project_ids[]={two}"),
        "api_key_ids[]=key_b".to_owned(),
        format!("project_ids={two},{two}&models=chat"),
    ] {
        check(&api, &completions, &format!("{second_day}&{filter}"), &day(json!([chat(2, ALL)]))).await;
    }
    for filter in ["project_ids=proj_none", "models[]=other", "api_key_ids=key_c"] {
        check(&api, &completions, &format!("{second_day}&{filter}"), &day(json!([]))).await;
    }
}

#[tokio::test]
async fn pages_lead_through_all_buckets() {
    let api = UsageApi::new().await;
    let completions = format!("{USAGE}/completions");
    let days = [(0, 24, json!([chat(4, ALL)])), (24, 48, json!([chat(4, ALL)])), (48, 72, json!([]))];
    check(&api, &completions, "&limit=2", &page(&days[..2], Some(48))).await;
    check(&api, &completions, &format!("&limit=2&page=page_{}", DAY + 48 * 3_600), &page(&days[2..], None)).await;
}

#[tokio::test]
async fn only_the_admin_key_opens_a_report() {
    let api = UsageApi::new().await;
    let paths = [
        "/usage/completions",
        "/usage/embeddings",
        "/usage/moderations",
        "/usage/images",
        "/usage/audio_speeches",
        "/usage/audio_transcriptions",
        "/costs",
    ];
    for path in paths.map(|path| format!("/v1/organization{path}?start_time={DAY}")) {
        for key in [None, Some("sk-weir-admin-wrong"), Some(api.project_key.as_str())] {
            let (status, answer) = api.send(key, &path).await;
            assert_eq!((status, answer["error"]["code"].as_str()), (401, Some("invalid_api_key")), "{path}");
        }
    }
}

#[tokio::test]
async fn parameters_that_are_wrong_are_named() {
    let api = UsageApi::new().await;
    for (path, query, param) in [
        ("/usage/completions", "", "start_time"),
        ("/usage/completions", "start_time=0&bucket_width=1w", "bucket_width"),
        ("/usage/completions", "start_time=0&group_by[]=colour", "group_by"),
        ("/usage/embeddings", "start_time=0&limit=32", "limit"),
        ("/usage/moderations", "start_time=0&page=x", "page"),
        ("/costs", "start_time=0&bucket_width=1h", "bucket_width"),
        ("/costs", "start_time=5&end_time=5", "end_time"),
    ] {
        let (status, answer) = api.send(Some(ADMIN_KEY), &format!("/v1/organization{path}?{query}")).await;
        assert_eq!((status, answer["error"]["param"].as_str()), (400, Some(param)), "{path}?{query}: {answer}");
    }
}
