//! Growth of the figures with the load, with the calls in flight and with the stored data.

use std::path::Path;

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use tempfile::TempDir;

use crate::Failure;
use crate::load::constant;
use crate::measure::{Bench, CONNECTIONS, in_flight};
use crate::mock::QUICK;
use crate::report::{Chart, Findings, Line, Table, Totals};

const RATES: [u32; 6] = [20, 50, 100, 200, 400, 800];
const IN_FLIGHT: [u32; 5] = [1, 10, 100, 300, 1_000];
const STORED: [usize; 4] = [100, 1_000, 10_000, 100_000];
const ROUNDS: u32 = 3;

pub(crate) fn measure(totals: &mut Totals) -> Result<Findings, Failure> {
    let folder = TempDir::new()?;
    let (load, load_chart) = by_rate(folder.path(), totals)?;
    let (calls, calls_chart) = by_calls_in_flight(folder.path(), totals)?;
    let (data, data_chart) = by_stored_items(folder.path(), totals)?;
    Ok(Findings {
        tables: vec![load, calls, data],
        charts: vec![load_chart, calls_chart, data_chart],
        ..Findings::default()
    })
}

fn table<const N: usize>(columns: [&str; N]) -> Table {
    Table { columns: columns.map(str::to_owned).into(), rows: Vec::new() }
}

fn by_rate(folder: &Path, totals: &mut Totals) -> Result<(Table, Chart), Failure> {
    let bench = Bench::start(folder, false)?;
    bench.warm_up()?;
    let mut table = table(["calls/s", "added p50, ms", "added p99, ms", "processor, ms/call"]);
    let (mut p50, mut p99) = (Line::new("p50"), Line::new("p99"));
    for rate in RATES {
        let sides = bench.sides(QUICK, false);
        let measured = bench.in_turn(ROUNDS, &sides, |side| constant(side, rate, rate * 3, CONNECTIONS))?;
        totals.count([&measured.direct, &measured.weir]);
        let added = |percentile| measured.weir.whole.ms(percentile) - measured.direct.whole.ms(percentile);
        let cpu = measured.cpu_per_call(measured.cpu.weir);
        table.rows.push(vec![rate.to_string(), two(added(50.0)), two(added(99.0)), two(cpu)]);
        p50.points.push((f64::from(rate), added(50.0)));
        p99.points.push((f64::from(rate), added(99.0)));
    }
    let chart = Chart::of_lines(
        "growth-load",
        "What weir adds to an answer, by load",
        ["calls per second", "ms"],
        vec![p50, p99],
    )
    .logarithmic();
    Ok((table, chart))
}

fn by_calls_in_flight(folder: &Path, totals: &mut Totals) -> Result<(Table, Chart), Failure> {
    let mut table = table(["calls in flight", "resident at most, MiB", "slowest answer of 2 s, ms"]);
    let mut resident = Line::new("resident");
    for calls in IN_FLIGHT {
        let bench = Bench::start(folder, false)?;
        let (outcome, most) = in_flight(&bench, calls)?;
        totals.count([&outcome]);
        table.rows.push(vec![calls.to_string(), two(most), two(outcome.whole.ms(100.0))]);
        resident.points.push((f64::from(calls), most));
    }
    let chart = Chart::of_lines(
        "growth-memory",
        "weir's memory by calls in flight",
        ["calls in flight", "MiB"],
        vec![resident],
    )
    .logarithmic();
    Ok((table, chart))
}

/// Measures calls at a constant rate, with more and more items in the table.
fn by_stored_items(folder: &Path, totals: &mut Totals) -> Result<(Table, Chart), Failure> {
    let bench = Bench::start(folder, true)?;
    bench.warm_up()?;
    let store = bench.store.as_ref().ok_or("the store has no process of its own")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut table = table(["items of 1 KB", "answer p50, ms", "answer p99, ms", "store, ms/call", "weir, ms/call"]);
    let (mut p50, mut store_time) = (Line::new("answer, p50"), Line::new("store's processor time per call"));
    let mut stored = 0;
    for count in STORED {
        runtime.block_on(fill(&store.url(), stored..count))?;
        stored = count;
        let sides = bench.sides(QUICK, false);
        let measured = bench.in_turn(ROUNDS, &sides, |side| constant(side, 100, 300, CONNECTIONS))?;
        totals.count([&measured.direct, &measured.weir]);
        let [store, weir] = [measured.cpu.store, measured.cpu.weir].map(|spent| measured.cpu_per_call(spent));
        let answer = |percentile| measured.weir.whole.ms(percentile);
        table.rows.push(vec![count.to_string(), two(answer(50.0)), two(answer(99.0)), two(store), two(weir)]);
        p50.points.push((count as f64, answer(50.0)));
        store_time.points.push((count as f64, store));
    }
    let chart = Chart::of_lines(
        "growth-data",
        "Answers by what is stored",
        ["items in the table", "ms"],
        vec![p50, store_time],
    )
    .logarithmic();
    Ok((table, chart))
}

/// Adds items that no call reads, each of the size of a short answer.
async fn fill(url: &str, numbers: std::ops::Range<usize>) -> Result<(), Failure> {
    let client = local::remote_table(url);
    let numbers: Vec<_> = numbers.collect();
    for batch in numbers.chunks(25) {
        let put = |n: &usize| {
            let text = |text: String| AttributeValue::S(text);
            let put = PutRequest::builder()
                .item("pk", text(format!("FILL#{}", n / 100)))
                .item("sk", text(format!("{n}")))
                .item("body", text("x".repeat(1_000)))
                .build()?;
            Ok::<_, Failure>(WriteRequest::builder().put_request(put).build())
        };
        let requests = batch.iter().map(put).collect::<Result<Vec<_>, _>>()?;
        let written = client.batch_write_item().request_items("weir", requests).send().await?;
        if written.unprocessed_items().is_some_and(|left| !left.is_empty()) {
            return Err("the store did not take all items: fill it more slowly".into());
        }
    }
    Ok(())
}

fn two(value: f64) -> String {
    format!("{value:.2}")
}
