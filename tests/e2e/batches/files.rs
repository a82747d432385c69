//! The files of batches: what is no request fails the batch, and is named by its line.

use bytes::Bytes;
use serde_json::{Value, json};
use shared::model::project::Limits;

use super::{Site, line, lines};

async fn errors(site: &Site, content: &[u8]) -> (Value, Vec<(String, Option<u64>)>) {
    let file_id = site.upload(content).await;
    let made = site.create(&file_id, "/v1/chat/completions").await;
    assert_eq!(made.status, 200, "{}", made.text());
    let batch = site.run(made.json()["id"].as_str().unwrap()).await;
    let found = batch["errors"]["data"].as_array().map_or(&[][..], Vec::as_slice);
    let found =
        found.iter().map(|error| (error["code"].as_str().unwrap().to_owned(), error["line"].as_u64())).collect();
    (batch, found)
}

#[tokio::test(start_paused = true)]
async fn hard_files_get_a_clear_answer() {
    let site = Site::new(Limits::default()).await;
    let code = |code: &str, line: u64| (code.to_owned(), Some(line));
    let large = |megabytes: usize| {
        let text = "x".repeat(megabytes << 20);
        super::chat("large", "priced", json!({"messages": [{"role": "user", "content": text}]}))
    };
    let rows = [
        ("empty", b"".to_vec(), vec![("empty_file".into(), None)]),
        ("only ends of lines", b"\n\r\n  \n".to_vec(), vec![("empty_file".into(), None)]),
        ("one line without an end", line("a").into_bytes(), Vec::new()),
        ("CRLF", format!("{}\r\n{}\r\n", line("a"), line("b")).into_bytes(), vec![]),
        ("BOM", format!("\u{feff}{}\n", line("a")).into_bytes(), vec![]),
        ("empty lines between", format!("\n{}\n\n\n{}", line("a"), line("b")).into_bytes(), vec![]),
        ("invalid UTF-8", [line("a").as_bytes(), b"\n\"\xff\xfe\"\n"].concat(), vec![code("invalid_json_line", 2)]),
        ("1 MB line", large(1).into_bytes(), vec![]),
        ("10 MB line", [line("a"), large(10)].join("\n").into_bytes(), vec![code("line_too_large", 2)]),
        (
            "duplicate ids",
            [line("a"), line("b"), line("a")].join("\n").into_bytes(),
            vec![code("duplicate_custom_id", 3)],
        ),
        (
            "another endpoint",
            line("a").replace("chat/completions", "embeddings").into_bytes(),
            vec![code("url_mismatch", 1)],
        ),
        (
            "two models",
            [line("a"), line("b").replace("priced", "unpriced")].join("\n").into_bytes(),
            vec![code("model_mismatch", 2)],
        ),
    ];
    for (name, content, expected) in rows {
        let (batch, found) = errors(&site, &content).await;
        assert_eq!(found, expected, "{name}: {batch}");
        let status = if expected.is_empty() { "completed" } else { "failed" };
        assert_eq!(batch["status"], status, "{name}: {batch}");
        if !expected.is_empty() {
            assert!(batch["failed_at"].is_u64() && batch["errors"]["data"][0]["message"].is_string(), "{name}");
        }
    }
    assert_eq!(site.leftovers().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn garbage_is_refused_without_being_read_to_its_end_and_in_little_memory() {
    let site = Site::new(Limits::default()).await;
    // 200 MB in lines, and in one line.
    let piece = Bytes::from(vec![b'{'; 1 << 20]);
    for (end, code, count) in [("\n", "invalid_json_line", 100), ("", "line_too_large", 1)] {
        let pieces = (0..199).flat_map(|_| [piece.clone(), Bytes::from(end)]).collect::<Vec<_>>().concat();
        let (_, found) = errors(&site, &pieces).await;
        assert_eq!((found.len(), &*found[0].0), (count, code));
    }
}

/// The errors of a batch are an attribute of its record, which has a limit.
#[tokio::test(start_paused = true)]
async fn a_file_of_wrong_lines_only_fails_with_the_first_hundred_errors() {
    let site = Site::new(Limits::default()).await;
    let (batch, found) = errors(&site, "x\n".repeat(40_000).as_bytes()).await;
    assert_eq!((&batch["status"], found.len()), (&Value::from("failed"), 100), "{batch}");
    for model in ["m".repeat(200_000), "n".repeat(301)] {
        let content = super::chat("a", &model, serde_json::json!({}));
        let (batch, found) = errors(&site, content.as_bytes()).await;
        assert_eq!(found, [("invalid_body".to_owned(), Some(1))], "{batch}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_deleted_while_its_batch_runs_is_not_read_again() {
    let site = Site::new(Limits::default()).await;
    let file_id = site.upload(lines(900).as_bytes()).await;
    let made = site.create(&file_id, "/v1/chat/completions").await.json();
    site.work_once().await;
    site.work_once().await;
    let path = format!("/v1/files/{file_id}");
    assert_eq!(kit::send(&site.router, "DELETE", &path, &site.key, &[], "").await.status, 200);
    let batch = site.run(made["id"].as_str().unwrap()).await;
    assert_eq!(batch["request_counts"], json!({"total": 900, "completed": 800, "failed": 100}));
    let errors = batch["error_file_id"].as_str().unwrap();
    let text = kit::send(&site.router, "GET", &format!("/v1/files/{errors}/content"), &site.key, &[], "").await;
    assert_eq!(text.text().matches("input_file_deleted").count(), 100);
    // Before the check there is nothing to run.
    let file_id = site.upload(lines(1).as_bytes()).await;
    let made = site.create(&file_id, "/v1/chat/completions").await.json();
    kit::send(&site.router, "DELETE", &format!("/v1/files/{file_id}"), &site.key, &[], "").await;
    let batch = site.run(made["id"].as_str().unwrap()).await;
    assert_eq!(batch["errors"]["data"][0]["code"], "file_not_found");
}

#[tokio::test(start_paused = true)]
async fn a_body_is_checked_before_a_batch_is_made() {
    let site = Site::new(Limits::default()).await;
    let good = json!({"input_file_id": site.upload(line("a").as_bytes()).await, "endpoint": "/v1/chat/completions", "completion_window": "24h"});
    let form = kit::file_form(Some(("a.txt", b"x")), &[("purpose", "user_data")]);
    let other = kit::send(&site.router, "POST", "/v1/files", &site.key, &[("content-type", kit::FORM)], form).await;
    for (name, value, param) in [
        ("input_file_id", json!("file-unknown"), "input_file_id"),
        ("input_file_id", json!("file#1"), "input_file_id"),
        ("input_file_id", other.json()["id"].clone(), "input_file_id"),
        ("endpoint", json!("/v1/images/generations"), "endpoint"),
        ("completion_window", json!("1h"), "completion_window"),
        ("window", json!(1), "window"),
        ("metadata", json!({"a": 1}), "metadata.a"),
    ] {
        let mut body = good.clone();
        body[name] = value;
        let reply = kit::send(&site.router, "POST", "/v1/batches", &site.key, &[], body.to_string()).await;
        assert_eq!((reply.status, reply.json()["error"]["param"].as_str()), (400, Some(param)), "{}", reply.text());
    }
}
