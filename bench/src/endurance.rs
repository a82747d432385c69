//! Sustained load: a thousand streams at once, minutes of calls together with jobs, and a slow provider together with a
//! fast one.

use std::path::Path;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use kit::ADMIN_KEY;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Failure;
use crate::client::{Request, get};
use crate::load::{Outcome, constant};
use crate::measure::{Bench, CONNECTIONS};
use crate::mock::{LONG, QUICK, STALLED};
use crate::process::{Sample, watch};
use crate::report::{Chart, Figure, Findings, Line, Section, Table, Totals};

const STREAMS: u32 = 1_000;
/// The streams start within 5 s and last 10 s.
const STREAMS_PER_SECOND: u32 = 200;
const CALLS_PER_SECOND: u32 = 200;
const JOBS_PER_SECOND: u32 = 4;
/// The length of the parts of the load whose answers are compared.
const PART_SECONDS: u32 = 30;
/// The number of calls that wait for the slow provider.
const STALLED_CALLS: u32 = 200;

pub(crate) fn measure(minutes: u32, totals: &mut Totals) -> Result<Findings, Failure> {
    let folder = TempDir::new()?;
    let mut findings = Findings::from(vec![streams(folder.path(), totals)?]);
    let (section, charts) = steady(folder.path(), minutes, totals)?;
    findings.sections.push(section);
    findings.charts = charts;
    findings.tables.push(beside_a_slow_provider(folder.path(), totals)?);
    Ok(findings)
}

fn streams(folder: &Path, totals: &mut Totals) -> Result<Section, Failure> {
    let bench = Bench::start(folder, false)?;
    bench.warm_up()?;
    let (idle, files) = (bench.weir.resident_mib()?, bench.weir.files()?);
    let sides = bench.sides(LONG, true);
    let load = || constant(&sides.weir, STREAMS_PER_SECOND, STREAMS, STREAMS);
    let (outcome, samples) = watch(&bench.weir, Duration::from_millis(100), load)?;
    let outcome = outcome?;
    totals.count([&outcome]);
    let files_after = wait_for_files(&bench, files)?;
    let mut figures = vec![
        Figure::of_weir("streams that ended with [DONE]", "", (outcome.calls - outcome.failed) as f64),
        Figure::of_weir("streams that failed", "", outcome.failed as f64).aim(0.0),
        Figure::of_weir("streams at the provider at once, at most", "", bench.most_at_the_provider()?),
        Figure::of_weir("first chunk after the provider's, p50", "ms", outcome.travelled.ms(50.0)),
        Figure::of_weir("first chunk after the provider's, p99", "ms", outcome.travelled.ms(99.0)),
        Figure::of_weir("resident before", "MiB", idle),
        Figure::of_weir("resident at most", "MiB", most(&samples)),
    ];
    figures.extend(files_of(files, &samples, files_after));
    Ok(Section { title: "1,000 streams of 10 s at once".into(), figures })
}

/// Measures calls at a constant rate together with jobs. The store has its own process, so that the memory is weir's
/// alone.
fn steady(folder: &Path, minutes: u32, totals: &mut Totals) -> Result<(Section, Vec<Chart>), Failure> {
    let bench = Bench::start(folder, true)?;
    bench.warm_up()?;
    let files = bench.weir.files()?;
    let sides = bench.sides(QUICK, false);
    let job = json!({"model": QUICK, "input": "Hello", "max_output_tokens": 100, "background": true}).to_string();
    let job = Request::to("/v1/responses", bench.weir.ready.address, &bench.weir.ready.key, &job);
    let seconds = 60 * minutes;
    let part = || constant(&sides.weir, CALLS_PER_SECOND, CALLS_PER_SECOND * PART_SECONDS, CONNECTIONS);
    let calls = || (0..seconds / PART_SECONDS).map(|_| part()).collect::<Result<Vec<Outcome>, Failure>>();
    let both = || {
        scope(|threads| {
            let jobs = threads.spawn(|| constant(&job, JOBS_PER_SECOND, seconds * JOBS_PER_SECOND, 4));
            let calls = calls();
            (calls, jobs.join())
        })
    };
    let ((calls, jobs), samples) = watch(&bench.weir, Duration::from_secs(2), both)?;
    let (calls, jobs) = (calls?, jobs.map_err(|_| "the thread of the jobs panicked")??);
    totals.count(calls.iter().chain([&jobs]));
    let unfinished = count_unfinished_jobs(&bench)?;
    let files_after = wait_for_files(&bench, files)?;
    let (failed, made) =
        (calls.iter().map(|part| part.failed).sum::<u64>(), calls.iter().map(|part| part.calls).sum::<u64>());
    let (first, last) = (calls.first().ok_or("no calls")?, calls.last().ok_or("no calls")?);
    let half = samples.iter().filter(|sample| sample.at.as_secs_f64() >= f64::from(seconds) / 2.0);
    let growth = mib_per_second(&half.copied().collect::<Vec<_>>()) * 1e4 / f64::from(CALLS_PER_SECOND);
    let mut figures = vec![
        Figure::of_weir("calls", "", made as f64),
        Figure::of_weir("calls that failed", "", failed as f64).aim(0.0),
        Figure::of_weir("jobs accepted", "", (jobs.calls - jobs.failed) as f64),
        Figure::of_weir("jobs that failed or did not end", "", (jobs.failed + unfinished) as f64).aim(0.0),
        Figure::of_weir("answer, p50 in the first half minute", "ms", first.whole.ms(50.0)),
        Figure::of_weir("answer, p50 in the last", "ms", last.whole.ms(50.0)),
        Figure::of_weir("answer, p99 in the first half minute", "ms", first.whole.ms(99.0)),
        Figure::of_weir("answer, p99 in the last", "ms", last.whole.ms(99.0)),
        Figure::of_weir("resident after a tenth of the time", "MiB", resident_after(&samples, 0.1)),
        Figure::of_weir("resident after half of the time", "MiB", resident_after(&samples, 0.5)),
        Figure::of_weir("resident at the end", "MiB", resident_after(&samples, 1.0)),
        Figure::of_weir("growth in the second half, per 10,000 calls", "MiB", growth),
    ];
    figures.extend(files_of(files, &samples, files_after));
    let title = format!("{CALLS_PER_SECOND} calls/s and {JOBS_PER_SECOND} jobs/s for {minutes} minutes");
    let charts = vec![memory_chart(&title, &samples), answers_chart(&title, &calls)];
    Ok((Section { title: title.into(), figures }, charts))
}

fn memory_chart(title: &str, samples: &[Sample]) -> Chart {
    let mut resident = Line::new("resident, MiB");
    let mut files = Line::new("open files");
    for sample in samples {
        let minutes = sample.at.as_secs_f64() / 60.0;
        resident.points.push((minutes, sample.resident_mib));
        files.points.push((minutes, sample.files as f64));
    }
    Chart::of_lines(
        "load-memory",
        format!("weir's memory and files under {title}"),
        ["minutes", "MiB, files"],
        vec![resident, files],
    )
}

fn answers_chart(title: &str, parts: &[Outcome]) -> Chart {
    let lines = [50.0, 99.0].map(|percentile| {
        let mut line = Line::new(format!("p{percentile}"));
        let minutes = |number: usize| (number as f64 + 0.5) * f64::from(PART_SECONDS) / 60.0;
        line.points = parts.iter().enumerate().map(|(n, part)| (minutes(n), part.whole.ms(percentile))).collect();
        line
    });
    Chart::of_lines("load-answers", format!("Answers under {title}"), ["minutes", "ms"], lines.into())
}

/// Returns the resident memory, in MiB, after a share of the time.
fn resident_after(samples: &[Sample], part: f64) -> f64 {
    let last = samples.len().saturating_sub(1) as f64;
    samples.get((last * part) as usize).map_or(f64::NAN, |sample| sample.resident_mib)
}

/// Returns the slope of the resident memory by least squares, in MiB per second.
fn mib_per_second(samples: &[Sample]) -> f64 {
    let count = samples.len().max(1) as f64;
    let points = || samples.iter().map(|sample| (sample.at.as_secs_f64(), sample.resident_mib));
    let (x, y) = points().fold((0.0, 0.0), |(x, y), point| (x + point.0 / count, y + point.1 / count));
    let (over, under) = points()
        .fold((0.0, 0.0), |(over, under), point| (over + (point.0 - x) * (point.1 - y), under + (point.0 - x).powi(2)));
    over / under
}

fn most(samples: &[Sample]) -> f64 {
    samples.iter().map(|sample| sample.resident_mib).fold(0.0, f64::max)
}

fn files_of(before: usize, samples: &[Sample], after: usize) -> [Figure; 3] {
    let most = samples.iter().map(|sample| sample.files).max().unwrap_or_default();
    [
        Figure::of_weir("open files before", "", before as f64),
        Figure::of_weir("open files at most", "", most as f64),
        Figure::of_weir("open files after the load has left", "", after as f64),
    ]
}

/// Counts the open files after weir closed its idle connections. Files that are still open after [`SETTLING`] stay
/// open.
fn wait_for_files(bench: &Bench, before: usize) -> Result<usize, Failure> {
    let begin = Instant::now();
    loop {
        let files = bench.weir.files()?;
        if files <= before || begin.elapsed() > SETTLING {
            return Ok(files);
        }
        sleep(Duration::from_millis(500));
    }
}

/// The longest wait for idle connections to close: clients keep them for 90 s, and check only every 90 s.
const SETTLING: Duration = Duration::from_secs(200);

/// Waits until all jobs completed, for up to 30 s, and counts the others.
fn count_unfinished_jobs(bench: &Bench) -> Result<u64, Failure> {
    let begin = Instant::now();
    loop {
        let mut count = 0;
        for status in ["queued", "in_progress", "failed", "incomplete"] {
            let path = format!("/v1/organization/jobs?status={status}&limit=100");
            let page: Value = serde_json::from_str(&get(bench.weir.ready.address, &path, ADMIN_KEY)?)?;
            count += page["data"].as_array().ok_or("no list of jobs")?.len() as u64;
        }
        if count == 0 || begin.elapsed() > Duration::from_secs(30) {
            return Ok(count);
        }
        sleep(Duration::from_millis(500));
    }
}

/// Measures calls of a fast provider, alone and while many other calls wait for a provider that takes 30 s.
fn beside_a_slow_provider(folder: &Path, totals: &mut Totals) -> Result<Table, Failure> {
    let bench = Bench::start(folder, false)?;
    bench.warm_up()?;
    let (fast, stalled) = (bench.sides(QUICK, false).weir, bench.sides(STALLED, false).weir);
    let fast = || constant(&fast, 100, 2_000, CONNECTIONS);
    let alone = fast()?;
    let (beside, waited) = scope(|threads| {
        let stalled = threads.spawn(|| constant(&stalled, STALLED_CALLS, STALLED_CALLS, STALLED_CALLS));
        sleep(Duration::from_secs(3)); // By now all slow calls wait.
        (fast(), stalled.join())
    });
    let (beside, waited) = (beside?, waited.map_err(|_| "the thread of slow calls panicked")??);
    let after = fast()?;
    totals.count([&alone, &beside, &waited, &after]);
    let mut alone = alone;
    alone.add(after)?;
    let ms = |outcome: &Outcome, percentile| format!("{:.2}", outcome.whole.ms(percentile));
    let row = |name: &str, outcome: &Outcome| {
        vec![
            name.to_owned(),
            ms(outcome, 50.0),
            ms(outcome, 99.0),
            (outcome.calls - outcome.failed).to_string(),
            outcome.failed.to_string(),
        ]
    };
    let slow = format!("{STALLED_CALLS} calls of a provider that takes 30 s");
    Ok(Table {
        columns: ["100 calls/s of a fast provider", "p50, ms", "p99, ms", "completed", "failed"]
            .map(str::to_owned)
            .into(),
        rows: vec![row("alone", &alone), row("beside the slow ones", &beside), row(&slow, &waited)],
    })
}
