//! `chaos --seeds 1..10000` plays seeds and shrinks the first run that breaks an invariant. `chaos --seed 7 --trace`
//! plays one seed again.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use chaos::{Case, FaultPoint, Outcome, SeedRange, play, play_all, shrink};
use clap::Parser;

/// Plays the whole service on a simulated clock, under faults that a seed decides, and checks its promises
#[derive(Parser)]
#[command(name = "chaos")]
struct Cli {
    /// First and last seed, like 1..10000
    #[arg(long, conflicts_with = "seed", default_value = "1..200")]
    seeds: SeedRange,
    /// Play this seed only
    #[arg(long)]
    seed: Option<u64>,
    /// With --seed: print the trace
    #[arg(long, requires = "seed", conflicts_with = "seeds")]
    trace: bool,
    /// With --seed: operations to leave out, like 1,2
    #[arg(long, requires = "seed", conflicts_with = "seeds", value_delimiter = ',')]
    without_operations: Vec<usize>,
    /// With --seed: faults to leave out, like store#17,provider#3
    #[arg(long, requires = "seed", conflicts_with = "seeds", value_delimiter = ',')]
    without_faults: Vec<FaultPoint>,
    /// Do not stop at the first seed that breaks an invariant
    #[arg(long)]
    all: bool,
    /// Do not shrink a failing run
    #[arg(long)]
    no_shrink: bool,
    /// Number of threads; by default one for each processor
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> io::Result<ExitCode> {
    let cli = Cli::parse();
    let mut out = io::stdout().lock();
    let broken = match cli.case() {
        Some(case) => play_one(&mut out, case, cli.trace)?,
        None => play_many(&mut out, &cli)?,
    };
    let Some(case) = broken else { return Ok(ExitCode::SUCCESS) };
    if !cli.no_shrink {
        writeln!(out, "\nmaking seed {} small ...", case.seed)?;
        let (case, outcome) = shrink(&case)?;
        print_small(&mut out, &case, &outcome)?;
    }
    Ok(ExitCode::FAILURE)
}

impl Cli {
    /// Returns the case that the options name, if they name one.
    fn case(&self) -> Option<Case> {
        let without_operations = self.without_operations.iter().copied().collect();
        let without_faults = self.without_faults.iter().copied().collect();
        self.seed.map(|seed| Case { seed, without_operations, without_faults })
    }
}

/// Plays a case. Returns it if it breaks an invariant.
fn play_one(out: &mut impl Write, case: Case, trace: bool) -> io::Result<Option<Case>> {
    let seed = case.seed;
    let outcome = play(&case, trace)?;
    for line in &outcome.trace {
        writeln!(out, "{line}")?;
    }
    writeln!(
        out,
        "seed {seed}: {} operations, {} faults, hash {:016x}",
        outcome.operations.len(),
        outcome.faults.len(),
        outcome.hash
    )?;
    print_violation(out, seed, &outcome)?;
    Ok(outcome.violation.map(|_| case))
}

/// Plays many seeds. Returns the case of the first that breaks an invariant.
fn play_many(out: &mut impl Write, cli: &Cli) -> io::Result<Option<Case>> {
    let threads = cli.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let count = cli.seeds.0.end() - cli.seeds.0.start() + 1;
    let started = Instant::now();
    let is_terminal = io::stderr().is_terminal();
    let hash = AtomicU64::new(0);
    let progress = |played: u64, seed: u64, outcome: &Outcome| {
        hash.fetch_xor(outcome.hash.rotate_left((seed % 64) as u32), Ordering::Relaxed);
        let _ = print_violation(&mut io::stderr(), seed, outcome);
        if is_terminal || played.is_multiple_of(500) {
            let end = if is_terminal { '\r' } else { '\n' };
            let _ = write!(io::stderr(), "{played} of {count}, {:.1} seeds/s{end}", speed(played, started));
        }
    };
    let broken = play_all(&cli.seeds, threads, cli.all, progress)?;
    let seconds = started.elapsed().as_secs_f64();
    if broken.is_empty() {
        writeln!(
            out,
            "{count} seeds passed in {seconds:.1} s on {threads} threads: {:.1} seeds/s, hash {:016x}",
            speed(count, started),
            hash.into_inner()
        )?;
    } else {
        writeln!(out, "{} seeds failed", broken.len())?;
    }
    Ok(broken.first().map(|(seed, _)| Case::of_seed(*seed)))
}

#[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
fn speed(played: u64, started: Instant) -> f64 {
    played as f64 / started.elapsed().as_secs_f64().max(0.001)
}

fn print_violation(out: &mut impl Write, seed: u64, outcome: &Outcome) -> io::Result<()> {
    match &outcome.violation {
        None => Ok(()),
        Some(violation) => writeln!(out, "seed {seed} breaks `{}`: {}", violation.invariant, violation.message),
    }
}

fn print_small(out: &mut impl Write, case: &Case, outcome: &Outcome) -> io::Result<()> {
    for line in &outcome.trace {
        writeln!(out, "{line}")?;
    }
    writeln!(out, "\nleft of the operations:")?;
    for (_, operation) in &outcome.operations {
        writeln!(out, "  {operation}")?;
    }
    writeln!(out, "left of the faults:")?;
    for (point, fault) in &outcome.faults {
        writeln!(out, "  {point}: {fault}")?;
    }
    print_violation(out, case.seed, outcome)?;
    writeln!(out, "play it again: cargo run --release -p chaos -- --seed {} --trace{}", case.seed, options_of(case))
}

/// Returns the options that leave out the same operations and faults as a case.
fn options_of(case: &Case) -> String {
    option("--without-operations", &case.without_operations) + &option("--without-faults", &case.without_faults)
}

fn option<T: ToString>(name: &str, parts: &BTreeSet<T>) -> String {
    let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
    if parts.is_empty() { String::new() } else { format!(" {name} {}", parts.join(",")) }
}
