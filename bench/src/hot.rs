//! The limit of one busy project: `DynamoDB` accepts 1,000 write units per second for one item, and each call writes
//! its project's meter twice. The cost of a write follows from the size of meters with that many open calls.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use kit::{Script, TestApp, router_of, send};
use shared::model::clock::Clock;
use shared::model::money::MicroUsd;
use shared::model::project::{Limits, Policy};
use tokio::task::JoinSet;

use crate::Failure;
use crate::report::{Chart, Findings, Line, Table};

/// The numbers of calls that are open at the same time.
const OPEN: [usize; 6] = [1, 10, 20, 50, 100, 200];
const BODY: &str =
    r#"{"model": "priced", "messages": [{"role": "user", "content": "Hello"}], "max_completion_tokens": 10}"#;
const UNITS_PER_SECOND: f64 = 1_000.0;
/// One write admits the call, the other settles it.
const WRITES_PER_CALL: f64 = 2.0;
const SECONDS: [f64; 9] = [0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0];
const SHARDS: [u32; 3] = [1, 4, 16];

pub(crate) fn measure() -> Result<Findings, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut meters = Vec::new();
    for open in OPEN {
        meters.push((open, runtime.block_on(measure_meter(open))?));
    }
    let (fixed, each) = fit(&meters);
    let columns = ["calls open on a shard", "its item, bytes", "units per call", "calls/s"].map(str::to_owned);
    let rows = meters.iter().map(|(open, bytes)| {
        let units = WRITES_PER_CALL * kilobytes(*bytes as f64);
        vec![open.to_string(), bytes.to_string(), format!("{units:.0}"), format!("{:.0}", UNITS_PER_SECOND / units)]
    });
    let table = Table { columns: columns.into(), rows: rows.collect() };
    let lines = SHARDS.map(|shards| {
        let mut line = Line::new(format!("{shards} shard{}", if shards == 1 { "" } else { "s" }));
        line.points = SECONDS.map(|seconds| (seconds, f64::from(shards) * most(seconds, fixed, each))).into();
        line
    });
    let limits = SECONDS.map(|seconds| {
        let mut row = vec![format!("{seconds} s")];
        row.extend(SHARDS.map(|shards| format!("{:.0}", f64::from(shards) * most(seconds, fixed, each))));
        row
    });
    let columns = ["a call takes", "calls/s, 1 shard", "4 shards", "16 shards"].map(str::to_owned);
    let chart = Chart::of_lines(
        "hot-project",
        "The most calls per second of one project, by how long they take",
        ["seconds that a call takes", "calls per second"],
        lines.into(),
    )
    .logarithmic();
    let tables = vec![table, Table { columns: columns.into(), rows: limits.into() }];
    Ok(Findings { tables, charts: vec![chart], ..Findings::default() })
}

/// Measures the bytes of a meter's only shard while `open` calls are open.
async fn measure_meter(open: usize) -> Result<usize, Failure> {
    let app = TestApp::builder().clock(Clock::system()).build().await;
    app.first.always(Script::Hang);
    // The budget is so small that the meter has one shard, and large enough for all calls.
    let limits = Limits {
        budget: Some(MicroUsd(1_000 * open as u64)),
        requests_per_minute: Some(10_000),
        concurrent_requests: Some(50_000),
        ..Limits::default()
    };
    let (_, key) = app.project(limits, Policy::default()).await;
    let instance = app.instance();
    let router = router_of(&instance);
    // The calls end when this set is dropped.
    let mut calls = JoinSet::new();
    for _ in 0..open {
        let (router, key) = (router.clone(), key.clone());
        calls.spawn(async move { send(&router, "POST", "/v1/chat/completions", &key, &[], BODY).await });
    }
    while app.first.calls().len() < open {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let found = app.dynamo().scan().table_name("weir").filter_expression("attribute_exists(holds)").send().await?;
    let meters: Vec<usize> =
        found.items().iter().map(|item| item.iter().map(|(name, value)| name.len() + bytes(value)).sum()).collect();
    match meters[..] {
        [meter] => Ok(meter),
        _ => Err(format!("{open} calls are on {} shards", meters.len()).into()),
    }
}

/// Returns the size of a value by `DynamoDB`'s rules: the bytes of a text, about half the digits of a number, and 3
/// bytes for a map or list plus 1 for each entry.
fn bytes(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(number) => {
            number.trim_start_matches('-').len().div_ceil(2) + 1 + usize::from(number.starts_with('-'))
        }
        AttributeValue::M(map) => 3 + map.iter().map(|(name, value)| 1 + name.len() + bytes(value)).sum::<usize>(),
        AttributeValue::L(list) => 3 + list.iter().map(|value| 1 + bytes(value)).sum::<usize>(),
        AttributeValue::B(blob) => blob.as_ref().len(),
        _ => 1,
    }
}

/// Rounds bytes up to whole kilobytes, the unit of a write.
fn kilobytes(bytes: f64) -> f64 {
    (bytes / 1_024.0).ceil().max(1.0)
}

/// Returns the bytes of an empty meter, and the bytes of each open call.
fn fit(meters: &[(usize, usize)]) -> (f64, f64) {
    let (Some((few, small)), Some((many, large))) = (meters.first(), meters.last()) else { return (0.0, 0.0) };
    let each = (*large as f64 - *small as f64) / (*many as f64 - *few as f64);
    (*small as f64 - each * *few as f64, each)
}

/// Returns the most calls per second on one shard. At that rate, the writes of a meter with the calls that are then
/// open use all write units.
fn most(seconds: f64, fixed: f64, each: f64) -> f64 {
    let units = |rate: f64| rate * WRITES_PER_CALL * kilobytes(fixed + each * rate * seconds);
    let (mut low, mut high) = (0.0, UNITS_PER_SECOND / WRITES_PER_CALL);
    for _ in 0..40 {
        let middle = (low + high) / 2.0;
        if units(middle) <= UNITS_PER_SECOND { low = middle } else { high = middle }
    }
    low
}
