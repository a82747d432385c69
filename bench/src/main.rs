//! What weir adds to a call: the same calls directly to a provider and through weir, in one run.
//!
//! The provider, weir and, for some figures, the store run in processes of their own: this binary again, in another role.

mod client;
mod jobs;
mod load;
mod measure;
mod mock;
mod process;
mod report;
mod roles;
mod start_up;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use measure::Plan;

type Failure = Box<dyn std::error::Error>;

/// Measures weir beside calling its provider directly. Build with --release.
#[derive(Parser)]
#[command(name = "bench")]
struct Cli {
    #[command(subcommand)]
    role: Option<Role>,
    /// Shorter rounds: less than half a minute, and noisier figures
    #[arg(long)]
    quick: bool,
    /// Also write the figures to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only background responses
    #[arg(long)]
    jobs: bool,
    /// Measure the start of the functions in this folder instead: target/lambda, or target/release
    #[arg(long, value_name = "FOLDER")]
    functions: Option<PathBuf>,
    /// Keep weir under one steady load for this many seconds instead, for a profiler; prints its process id
    #[arg(long, value_name = "SECONDS")]
    hold: Option<u64>,
}

#[derive(Subcommand)]
enum Role {
    /// The provider that answers every call
    #[command(hide = true)]
    Provider,
    /// The store, for weir to reach over HTTP
    #[command(hide = true)]
    Store,
    /// The server under test
    #[command(hide = true)]
    Weir {
        #[arg(long)]
        provider: String,
        #[arg(long)]
        store: Option<String>,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {}", shared::app::Chain(&*error));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    match cli.role {
        Some(Role::Provider) => roles::provider()?,
        Some(Role::Store) => roles::store()?,
        Some(Role::Weir { provider, store }) => roles::weir(&provider, store)?,
        None => return measure(&cli),
    }
    Ok(ExitCode::SUCCESS)
}

fn measure(cli: &Cli) -> Result<ExitCode, Failure> {
    let plan = if cli.quick { Plan::quick() } else { Plan::full() };
    if let Some(seconds) = cli.hold {
        measure::hold(seconds)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(folder) = &cli.functions {
        let rows = start_up::measure(folder)?;
        start_up::print(&rows, &mut std::io::stdout().lock())?;
        write_json(cli, &rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    let report = if cli.jobs { measure::run_jobs(&plan)? } else { measure::run(&plan)? };
    report.print(&mut std::io::stdout().lock())?;
    write_json(cli, &report)?;
    Ok(if report.failed_calls == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn write_json(cli: &Cli, figures: &impl serde::Serialize) -> Result<(), Failure> {
    if let Some(path) = &cli.json {
        std::fs::write(path, serde_json::to_vec_pretty(figures)?)?;
    }
    Ok(())
}
