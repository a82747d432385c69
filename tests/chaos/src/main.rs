//! `chaos --seeds 1..10000`: plays them, and makes what breaks small. `chaos --seed 7 --trace`: plays one again.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use chaos::{Case, Outcome, Place, Seeds, play, play_all, shrink};
use clap::Parser;

/// Plays the whole service under faults that a seed decides, on a simulated clock, and checks its promises.
#[derive(Parser)]
#[command(name = "chaos")]
struct Cli {
    /// First and last seed, like 1..10000
    #[arg(long, conflicts_with = "seed", default_value = "1..200")]
    seeds: Seeds,
    /// Play this seed only
    #[arg(long)]
    seed: Option<u64>,
    /// With --seed: print all that happens
    #[arg(long, requires = "seed", conflicts_with = "seeds")]
    trace: bool,
    /// With --seed: operations that are not made, like 1,2
    #[arg(long, requires = "seed", conflicts_with = "seeds", value_delimiter = ',')]
    without_operations: Vec<usize>,
    /// With --seed: faults that do not happen, like store#17,provider#3
    #[arg(long, requires = "seed", conflicts_with = "seeds", value_delimiter = ',')]
    without_faults: Vec<Place>,
    /// Do not stop at the first seed that breaks something
    #[arg(long)]
    all: bool,
    /// Do not make a failing run small
    #[arg(long)]
    no_shrink: bool,
    /// Threads; without it one for each processor
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> io::Result<ExitCode> {
    let cli = Cli::parse();
    let mut out = io::stdout().lock();
    let broken = match cli.case() {
        Some(case) => one(&mut out, case, cli.trace)?,
        None => many(&mut out, &cli)?,
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
    /// The one case that is to be played.
    fn case(&self) -> Option<Case> {
        let without_operations = self.without_operations.iter().copied().collect();
        let without_faults = self.without_faults.iter().copied().collect();
        self.seed.map(|seed| Case { seed, without_operations, without_faults })
    }
}

/// Plays a case; gives it back if it breaks something.
fn one(out: &mut impl Write, case: Case, trace: bool) -> io::Result<Option<Case>> {
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

/// Plays many seeds; the first that breaks something.
fn many(out: &mut impl Write, cli: &Cli) -> io::Result<Option<Case>> {
    let threads = cli.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let count = cli.seeds.0.end() - cli.seeds.0.start() + 1;
    let begun = Instant::now();
    let shows = io::stderr().is_terminal();
    let hash = AtomicU64::new(0);
    let progress = |played: u64, seed: u64, outcome: &Outcome| {
        hash.fetch_xor(outcome.hash.rotate_left((seed % 64) as u32), Ordering::Relaxed);
        let _ = print_violation(&mut io::stderr(), seed, outcome);
        if shows || played.is_multiple_of(500) {
            let end = if shows { '\r' } else { '\n' };
            let _ = write!(io::stderr(), "{played} of {count}, {:.1} seeds/s{end}", speed(played, begun));
        }
    };
    let broken = play_all(&cli.seeds, threads, cli.all, progress)?;
    let seconds = begun.elapsed().as_secs_f64();
    if broken.is_empty() {
        writeln!(
            out,
            "{count} seeds passed in {seconds:.1} s on {threads} threads: {:.1} seeds/s, hash {:016x}",
            speed(count, begun),
            hash.into_inner()
        )?;
    } else {
        writeln!(out, "{} seeds failed", broken.len())?;
    }
    Ok(broken.first().map(|(seed, _)| Case::of_seed(*seed)))
}

#[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
fn speed(played: u64, begun: Instant) -> f64 {
    played as f64 / begun.elapsed().as_secs_f64().max(0.001)
}

fn print_violation(out: &mut impl Write, seed: u64, outcome: &Outcome) -> io::Result<()> {
    match &outcome.violation {
        None => Ok(()),
        Some(violation) => writeln!(out, "seed {seed} breaks `{}`: {}", violation.invariant, violation.what),
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
    for (place, fault) in &outcome.faults {
        writeln!(out, "  {place}: {fault}")?;
    }
    print_violation(out, case.seed, outcome)?;
    writeln!(out, "play it again: cargo run --release -p chaos -- --seed {} --trace{}", case.seed, left_out(case))
}

/// The options that leave out what a case leaves out.
fn left_out(case: &Case) -> String {
    option("--without-operations", &case.without_operations) + &option("--without-faults", &case.without_faults)
}

fn option<T: ToString>(name: &str, parts: &BTreeSet<T>) -> String {
    let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
    if parts.is_empty() { String::new() } else { format!(" {name} {}", parts.join(",")) }
}
