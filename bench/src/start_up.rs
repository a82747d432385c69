//! The cost of starting each function, and the time of a warm invocation compared with the smallest possible function.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kit::TestApp;
use runtime_api::{Deployment, Function, linked, request_event};
use serde_json::json;
use shared::model::clock::Clock;

use crate::Failure;
use crate::report::{Chart, Findings, Table};

const STARTS: usize = 15;
const INVOCATIONS: usize = 300;

/// The functions, and the kind of event that invokes each.
const FUNCTIONS: [(&str, Event); 16] = [
    ("chat", Event::Request),
    ("embeddings", Event::Request),
    ("messages", Event::Request),
    ("responses", Event::Request),
    ("models", Event::Request),
    ("admin", Event::Request),
    ("usage", Event::Request),
    ("files", Event::Request),
    ("batches", Event::Request),
    ("vector-stores", Event::Request),
    ("webhooks", Event::Request),
    ("respond", Event::Messages),
    ("deliver", Event::Messages),
    ("batch", Event::Messages),
    ("ingest", Event::Messages),
    ("sweep", Event::Schedule),
];

/// An event that needs no store. Only the sweeper's reads the table, for due items.
#[derive(Clone, Copy)]
enum Event {
    Request,
    Messages,
    Schedule,
}

impl Event {
    fn text(self) -> String {
        match self {
            Self::Request => request_event("GET", "/healthz", &[], None),
            Self::Messages => json!({"Records": []}).to_string(),
            Self::Schedule => json!({}).to_string(),
        }
    }
}

/// The figures of one function.
pub(crate) struct Row {
    function: String,
    bootstrap_mb: f64,
    /// Median and minimum. Other work of the machine affects the minimum least.
    first_poll_ms: f64,
    first_poll_best_ms: f64,
    /// Resident memory at the first poll.
    resident_mib: f64,
    invocation_p50_ms: f64,
    invocation_p99_ms: f64,
    clients: Vec<&'static str>,
}

/// Measures every function in `folder` (`<function>/bootstrap`, or the binary itself), and `echo` if the folder has it.
pub(crate) fn measure(folder: &Path, roots: Option<&Path>) -> Result<Vec<Row>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let app = TestApp::builder().clock(Clock::system()).build().await;
        let models = include_str!("../../models/models.toml");
        let deployment = Deployment::start(app, models, "sk-weir-admin").await?;
        let mut variables = deployment.variables("buffer");
        // Reading the trusted roots can take most of a start: 290 files on Debian, one bundle on Amazon Linux.
        variables.extend(roots.map(|file| ("SSL_CERT_FILE".to_owned(), file.display().to_string())));
        let mut rows = Vec::new();
        for (function, event) in [("echo", Event::Schedule)].iter().chain(&FUNCTIONS) {
            match bootstrap(folder, function) {
                Some(path) => rows.push(measure_function(function, &path, *event, &variables).await?),
                None if *function == "echo" => {}
                None => return Err(format!("{} has no function `{function}`", folder.display()).into()),
            }
        }
        Ok(rows)
    })
}

fn bootstrap(folder: &Path, function: &str) -> Option<PathBuf> {
    let path = folder.join(function);
    [path.join("bootstrap"), path].into_iter().find(|path| path.is_file())
}

async fn measure_function(
    function: &str,
    path: &Path,
    event: Event,
    variables: &[(String, String)],
) -> Result<Row, Failure> {
    let binary = std::fs::read(path)?;
    let (mut first_polls, mut resident) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let mut started = Function::start(path, variables).await?;
        first_polls.push(ms(started.polled().await?));
        resident.push(mib(started.memory()?.resident));
    }
    let mut invocations = measure_warm(path, variables, &event.text()).await?;
    Ok(Row {
        function: function.to_owned(),
        bootstrap_mb: binary.len() as f64 / 1e6,
        first_poll_ms: quantile(&mut first_polls, 0.5),
        first_poll_best_ms: quantile(&mut first_polls, 0.0),
        resident_mib: quantile(&mut resident, 0.5),
        invocation_p50_ms: quantile(&mut invocations, 0.5),
        invocation_p99_ms: quantile(&mut invocations, 0.99),
        clients: linked(&binary).into_iter().map(runtime_api::Service::name).collect(),
    })
}

/// Measures warm invocations, from sending an event to its answer, in milliseconds.
async fn measure_warm(path: &Path, variables: &[(String, String)], event: &str) -> Result<Vec<f64>, Failure> {
    let mut function = Function::start(path, variables).await?;
    let mut times = Vec::new();
    for number in 0..INVOCATIONS {
        function.polled().await?;
        let begun = Instant::now();
        function.invoke(event.to_owned()).await?.json().await?;
        // The first invocations fill caches.
        if number >= INVOCATIONS / 10 {
            times.push(ms(begun.elapsed()));
        }
    }
    Ok(times)
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1) as f64;
    values.get((last * share).round() as usize).copied().unwrap_or_default()
}

const COLUMNS: [&str; 8] = [
    "function",
    "bootstrap, MB",
    "first poll, ms",
    "best, ms",
    "resident, MiB",
    "invocation p50, ms",
    "p99, ms",
    "clients",
];

/// Returns a table of the rows, and a chart of the times to the first poll.
pub(crate) fn findings(rows: &[Row]) -> Findings {
    let printed = rows.iter().map(|row| {
        let one = |value: f64| format!("{value:.1}");
        vec![
            row.function.clone(),
            one(row.bootstrap_mb),
            one(row.first_poll_ms),
            one(row.first_poll_best_ms),
            one(row.resident_mib),
            format!("{:.2}", row.invocation_p50_ms),
            format!("{:.2}", row.invocation_p99_ms),
            row.clients.join(", "),
        ]
    });
    let chart = Chart {
        name: "start-up".to_owned(),
        title: "From starting a function's process to its first poll".to_owned(),
        y: "ms".to_owned(),
        bars: rows.iter().map(|row| (row.function.clone(), row.first_poll_best_ms)).collect(),
        ..Chart::default()
    };
    let table = Table { columns: COLUMNS.map(str::to_owned).into(), rows: printed.collect() };
    Findings { tables: vec![table], charts: vec![chart], ..Findings::default() }
}
