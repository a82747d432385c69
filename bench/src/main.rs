//! Measures the cost that weir adds to a call: it makes the same calls directly to a provider and through weir, in one
//! run.
//!
//! The provider, weir and, for some figures, the store run in processes of their own, which are this binary in another
//! role.

mod batches;
mod bodies;
mod client;
mod cost;
mod endurance;
mod growth;
mod hot;
mod jobs;
mod load;
mod measure;
mod mock;
mod page;
mod process;
mod report;
mod roles;
mod start_up;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use local::Data;
use measure::Plan;
use report::Report;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Measures calls through weir, and compares them with direct calls of its provider. Build with --release
#[derive(Parser)]
#[command(name = "bench")]
struct Cli {
    /// The part to measure; by default calls
    #[command(subcommand)]
    part: Option<Part>,
    /// Also write the figures into this folder, and draw the page next to it: docs/performance
    #[arg(long, value_name = "FOLDER", global = true)]
    page: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Part {
    /// The time that weir adds to a call and to a stream, and its memory
    Calls {
        /// Use shorter rounds: less than half a minute, with noisier figures
        #[arg(long)]
        quick: bool,
    },
    /// Background responses
    Jobs,
    /// The start of each function in a folder: target/lambda or target/release
    Functions {
        folder: PathBuf,
        /// A file with trusted roots, which the functions read instead of all roots of this machine
        #[arg(long)]
        roots: Option<PathBuf>,
    },
    /// A thousand streams at once, minutes of calls and jobs, a slow provider together with a fast one
    Load {
        /// Minutes of steady load
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
        minutes: u32,
    },
    /// More load, more calls in flight, more stored data
    Growth,
    /// A batch of many lines, beside a client that makes the same calls
    Batches {
        #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
        lines: u32,
    },
    /// The most calls per second of one project
    Hot,
    /// The time that reading takes, of bodies that cost more to read than others
    Bodies {
        /// The length of the largest; a request has at most 6 MB
        #[arg(long, default_value_t = 6_000_000)]
        bytes: usize,
    },
    /// The cost of a million calls and a million jobs on AWS
    Cost,
    /// Keep weir under a steady load for a profiler; prints its process id
    Hold { seconds: u64 },
    /// Draw the page again from the stored figures
    Draw,
    /// The provider, which answers every call
    #[command(hide = true)]
    Provider,
    /// The store, which weir reaches over HTTP
    #[command(hide = true)]
    Store,
    /// The server under test
    #[command(hide = true)]
    Weir {
        #[arg(long)]
        provider: String,
        /// The URL of the table in another process
        #[arg(long, requires = "bucket")]
        table: Option<String>,
        /// The URL of the bucket in another process
        #[arg(long, requires = "table")]
        bucket: Option<String>,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {}", shared::app::ErrorChain(&*error));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let part = cli.part.unwrap_or(Part::Calls { quick: false });
    let (name, report) = match part {
        Part::Provider => return roles::provider().map(|()| ExitCode::SUCCESS),
        Part::Store => return roles::store().map(|()| ExitCode::SUCCESS),
        Part::Weir { provider, table, bucket } => {
            let store = table.zip(bucket).map(|(table_url, bucket_url)| Data::Remote { table_url, bucket_url });
            return roles::weir(&provider, store).map(|()| ExitCode::SUCCESS);
        }
        Part::Hold { seconds } => return measure::hold(seconds).map(|()| ExitCode::SUCCESS),
        Part::Draw => {
            page::draw(cli.page.as_deref().ok_or("say where with --page docs/performance")?)?;
            return Ok(ExitCode::SUCCESS);
        }
        Part::Calls { quick } => {
            let (plan, command) = if quick { (Plan::quick(), "calls --quick") } else { (Plan::full(), "calls") };
            ("calls", Report::of(command, |totals| measure::calls(&plan, totals))?)
        }
        Part::Jobs => ("jobs", Report::of("jobs", |_| jobs::measure(JOBS))?),
        Part::Functions { folder, roots } => {
            let option = roots.as_ref().map(|file| format!(" --roots {}", file.display())).unwrap_or_default();
            let command = format!("functions {}{option}", folder.display());
            let rows = |_: &mut _| Ok(start_up::findings(&start_up::measure(&folder, roots.as_deref())?));
            ("functions", Report::of(&command, rows)?)
        }
        Part::Load { minutes } => {
            let command = format!("load --minutes {minutes}");
            ("load", Report::of(&command, |totals| endurance::measure(minutes, totals))?)
        }
        Part::Growth => ("growth", Report::of("growth", growth::measure)?),
        Part::Bodies { bytes } => {
            ("bodies", Report::of(&format!("bodies --bytes {bytes}"), |_| bodies::measure(bytes))?)
        }
        Part::Batches { lines } => {
            let command = format!("batches --lines {lines}");
            ("batches", Report::of(&command, |totals| batches::measure(lines, totals))?)
        }
        Part::Cost => ("cost", Report::of("cost", |_| cost::measure())?),
        Part::Hot => ("hot", Report::of("hot", |_| hot::measure())?),
    };
    report.print(&mut std::io::stdout().lock())?;
    if let Some(folder) = &cli.page {
        page::store(folder, name, &report)?;
    }
    Ok(if report.failed_calls == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The number of background responses.
const JOBS: usize = 1_000;
