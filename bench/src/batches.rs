//! A batch of many lines against a provider that answers after 50 ms, beside a plain client that makes the same calls; and what the
//! lines of a batch cost on AWS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kit::{Consumed, FORM, Script, TestApp, Units, file_form, router_of, send};
use serde_json::{Value, json};
use shared::data::Queue;
use shared::edge::render;
use shared::model::clock::Clock;
use shared::model::project::{Limits, Policy};
use tempfile::TempDir;

use crate::Failure;
use crate::client::{Request, get, post};
use crate::cost::price::{dollars_of_lambda, dollars_of_units};
use crate::load::{Outcome, constant};
use crate::measure::Bench;
use crate::mock::{self, SOON};
use crate::process::{own_cpu, watch};
use crate::report::{Figure, Findings, Section, Totals};

/// The connections of the plain client. weir has about as many calls open.
const CONNECTIONS: u32 = 512;
/// Faster than any client: each call is made as soon as a connection is free.
const AT_ONCE: u32 = 10_000_000;
/// Lines whose store operations are counted.
const COUNTED: u32 = 10_000;
/// How often weir is asked whether the batch has ended.
const POLL: Duration = Duration::from_millis(200);
const MOST: Duration = Duration::from_secs(1_800);

pub(crate) fn measure(lines: u32, totals: &mut Totals) -> Result<Findings, Failure> {
    let folder = TempDir::new()?;
    let bench = Bench::start(folder.path(), true)?;
    bench.warm_up()?;
    let own = own_cpu()?;
    let direct = constant(&Request::new(bench.provider.ready.address, "", &body()), AT_ONCE, lines, CONNECTIONS)?;
    let own = own_cpu()?.saturating_sub(own);
    let idle = bench.weir.resident_mib()?;
    let address = bench.weir.ready.address;
    let file_id = upload(address, &bench.weir.ready.key, lines)?;
    let before = bench.cpu()?;
    let (ran, samples) =
        watch(&bench.weir, Duration::from_millis(50), || run(address, &bench.weir.ready.key, &file_id, lines))?;
    let (after, weir) = (bench.cpu()?, ran?);
    totals.count([&direct, &weir]);
    let peak = samples.iter().map(|sample| sample.resident_mib).fold(0.0, f64::max);
    let each = |time: Duration| time.as_secs_f64() * 1_000.0 / f64::from(lines);
    let speed = vec![
        Figure::compared("lines per second", "/s", direct.per_second(), weir.per_second()),
        Figure::compared("seconds in all", "s", direct.lasted.as_secs_f64(), weir.lasted.as_secs_f64()),
        Figure::compared("processor time per line, store apart", "ms", each(own), each(after.weir - before.weir))
            .aim(0.5),
        Figure::of_weir("processor time per line of the store", "ms", each(after.store - before.store)),
        Figure::of_weir("calls at the provider at once, at most", "", bench.most_at_the_provider()?),
        Figure::of_weir("resident when idle", "MiB", idle),
        Figure::of_weir("resident at most", "MiB", peak).aim(100.0),
        Figure::of_weir("of that the program itself", "MiB", bench.weir.program_mib()?),
    ];
    let units = tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(count())?;
    let seconds = weir.lasted.as_secs_f64() / f64::from(lines) * 1_000.0;
    let sections = vec![
        Section { title: format!("{lines} lines, answered after 50 ms").into(), figures: speed },
        Section { title: "1,000 lines on AWS".into(), figures: costs(&units, seconds) },
    ];
    Ok(Findings { sections, ..Findings::default() })
}

fn body() -> String {
    mock::request(SOON, false)
}

/// A file with so many lines that ask the same.
fn file(lines: u32, body: &str) -> String {
    let line =
        |n| format!(r#"{{"custom_id":"{n}","method":"POST","url":"/v1/chat/completions","body":{body}}}"#) + "\n";
    (0..lines).map(line).collect()
}

fn upload(address: SocketAddr, key: &str, lines: u32) -> Result<String, Failure> {
    let form = file_form(Some(("in.jsonl", file(lines, &body()).as_bytes())), &[("purpose", "batch")]);
    let made: Value = serde_json::from_str(&post(address, "/v1/files", key, FORM, &form)?)?;
    Ok(made["id"].as_str().ok_or("the file has no id")?.to_owned())
}

fn submission(file_id: &str) -> String {
    json!({"input_file_id": file_id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}).to_string()
}

/// Runs a batch to its end.
fn run(address: SocketAddr, key: &str, file_id: &str, lines: u32) -> Result<Outcome, Failure> {
    let begun = Instant::now();
    let made = post(address, "/v1/batches", key, "application/json", submission(file_id).as_bytes())?;
    let made: Value = serde_json::from_str(&made)?;
    let path = format!("/v1/batches/{}", made["id"].as_str().unwrap_or_default());
    while begun.elapsed() < MOST {
        std::thread::sleep(POLL);
        let batch: Value = serde_json::from_str(&get(address, &path, key)?)?;
        if batch["status"] == "completed" {
            let (calls, failed) = (u64::from(lines), batch["request_counts"]["failed"].as_u64().unwrap_or(u64::MAX));
            return Ok(Outcome { calls, failed, lasted: begun.elapsed(), ..Outcome::new()? });
        }
    }
    Err("the batch does not end".into())
}

/// Counts what the functions use for a batch: the request that makes it, and all of its work.
async fn count() -> Result<Units, Failure> {
    let app = TestApp::builder().clock(Clock::system()).build().await;
    app.first.always(Script::answer("Take tram 28.", 160, 80));
    let (_, key) = app.project(Limits::default(), Policy::default()).await;
    let consumed = Consumed::default();
    let instance = app.instance_metered(&consumed);
    let (router, worker) = (router_of(&instance), instance.batch_worker(render));
    let body = body().replace(SOON, "priced");
    let form = file_form(Some(("in.jsonl", file(COUNTED, &body).as_bytes())), &[("purpose", "batch")]);
    let made = send(&router, "POST", "/v1/files", &key, &[("content-type", FORM)], form).await;
    let file_id = made.json()["id"].as_str().ok_or("the file has no id")?.to_owned();
    let _ = consumed.take();
    let made = send(&router, "POST", "/v1/batches", &key, &[], submission(&file_id)).await;
    while app.work_once(Queue::Batch, |event| batch::job(event, Arc::clone(&worker), None)).await > 0 {}
    let units = consumed.take();
    let path = format!("/v1/batches/{}", made.json()["id"].as_str().unwrap_or_default());
    let batch = send(&router, "GET", &path, &key, &[], "").await.json();
    if batch["request_counts"]["completed"] != COUNTED {
        return Err(format!("the batch has {}", batch["request_counts"]).into());
    }
    Ok(units)
}

/// `seconds`: of one function for 1,000 lines.
fn costs(units: &Units, seconds: f64) -> Vec<Figure> {
    let each = |sum: f64| sum * 1_000.0 / f64::from(COUNTED);
    let (stores, lambda) = (each(dollars_of_units(units)), dollars_of_lambda(seconds));
    vec![
        Figure::of_weir("write units of the table", "", each(units.write_units)).aim(60.0),
        Figure::of_weir("read units of the table", "", each(units.read_units)),
        Figure::of_weir("requests of SQS that send", "", each(units.queue_requests as f64)),
        Figure::of_weir("requests of S3 that write", "", each(units.puts as f64)),
        Figure::of_weir("requests of S3 that read", "", each(units.gets as f64)),
        Figure::of_weir("table, SQS and S3, a million lines", "$", stores * 1_000.0),
        Figure::of_weir("Lambda, a million lines, if one process does as much as here", "$", lambda * 1_000.0),
    ]
}
