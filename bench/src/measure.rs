//! The measurements of calls and streams. Rounds of direct calls and of calls through weir alternate, so that noise
//! affects both.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::Failure;
use crate::client::{Request, get};
use crate::load::{Outcome, as_fast_as_possible, constant};
use crate::mock::{QUICK, SLOW, request};
use crate::process::{Process, own_cpu, watch};
use crate::report::{Figure, Findings, Section, Totals};

/// The duration of each part.
pub(crate) struct Plan {
    rounds: u32,
    /// Seconds per round and side: at 100 calls per second, at 500 calls per second, and of streams.
    slow: u32,
    fast: u32,
    streams: u32,
    flat_out: Duration,
}

impl Plan {
    pub(crate) fn full() -> Self {
        Self { rounds: 4, slow: 5, fast: 3, streams: 2, flat_out: Duration::from_millis(1_000) }
    }

    pub(crate) fn quick() -> Self {
        Self { rounds: 1, slow: 2, fast: 1, streams: 1, flat_out: Duration::from_millis(700) }
    }
}

const STREAMS_PER_SECOND: u32 = 50;
const IN_FLIGHT: u32 = 1_000;

/// The same request to the provider and to weir.
pub(crate) struct Sides {
    direct: Request,
    pub(crate) weir: Request,
}

impl Sides {
    fn new(provider: &Process, weir: &Process, model: &str, stream: bool) -> Self {
        let to = |process: &Process| Request::new(process.ready.address, &process.ready.key, &request(model, stream));
        Self { direct: to(provider), weir: to(weir) }
    }
}

/// Processor time of all processes of a measurement.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cpu {
    pub(crate) weir: Duration,
    provider: Duration,
    pub(crate) store: Duration,
    own: Duration,
}

/// The processes of a measurement.
pub(crate) struct Bench {
    pub(crate) provider: Process,
    pub(crate) weir: Process,
    pub(crate) store: Option<Process>,
}

/// Results of direct calls and of calls through weir, and the processor time of the latter.
pub(crate) struct Measured {
    pub(crate) direct: Outcome,
    pub(crate) weir: Outcome,
    pub(crate) cpu: Cpu,
}

impl Bench {
    pub(crate) fn start(folder: &Path, store_apart: bool) -> Result<Self, Failure> {
        let provider = Process::start(folder, "provider", &[])?;
        let store = store_apart.then(|| Process::start(folder, "store", &[])).transpose()?;
        let (provider_url, table_url) = (provider.url(), store.as_ref().map(Process::url));
        let bucket_url = store.as_ref().and_then(|store| store.ready.bucket).map(|address| format!("http://{address}"));
        let mut arguments = vec!["--provider", &provider_url];
        arguments.extend(table_url.iter().flat_map(|url| ["--table", url]));
        arguments.extend(bucket_url.iter().flat_map(|url| ["--bucket", url]));
        let weir = Process::start(folder, "weir", &arguments)?;
        Ok(Self { weir, provider, store })
    }

    pub(crate) fn warm_up(&self) -> Result<(), Failure> {
        let sides = self.sides(QUICK, false);
        constant(&sides.direct, 200, 100, 16)?;
        as_fast_as_possible(&sides.weir, 32, Duration::from_millis(500))?;
        Ok(())
    }

    pub(crate) fn sides(&self, model: &str, stream: bool) -> Sides {
        Sides::new(&self.provider, &self.weir, model, stream)
    }

    /// Reads the most calls that the provider has had at once so far.
    pub(crate) fn most_at_the_provider(&self) -> Result<f64, Failure> {
        Ok(get(self.provider.ready.address, "/most-in-flight", "")?.parse()?)
    }

    pub(crate) fn cpu(&self) -> Result<Cpu, Failure> {
        Ok(Cpu {
            weir: self.weir.cpu()?,
            provider: self.provider.cpu()?,
            store: self.store.as_ref().map(Process::cpu).transpose()?.unwrap_or_default(),
            own: own_cpu()?,
        })
    }

    /// Runs rounds of `load`, each first on the provider and then on weir.
    pub(crate) fn in_turn(
        &self,
        rounds: u32,
        sides: &Sides,
        load: impl Fn(&Request) -> Result<Outcome, Failure>,
    ) -> Result<Measured, Failure> {
        let mut measured = Measured { direct: Outcome::new()?, weir: Outcome::new()?, cpu: Cpu::default() };
        for _ in 0..rounds {
            measured.direct.add(load(&sides.direct)?)?;
            let before = self.cpu()?;
            measured.weir.add(load(&sides.weir)?)?;
            std::thread::sleep(SETTLEMENT); // weir settles a call after its answer.
            let after = self.cpu()?;
            measured.cpu.weir += after.weir - before.weir;
            measured.cpu.provider += after.provider - before.provider;
            measured.cpu.store += after.store - before.store;
            measured.cpu.own += after.own - before.own;
        }
        Ok(measured)
    }

    fn at_rate(&self, plan: &Plan, rate: u32, seconds: u32) -> Result<Measured, Failure> {
        let sides = self.sides(QUICK, false);
        self.in_turn(plan.rounds, &sides, |side| constant(side, rate, rate * seconds, CONNECTIONS))
    }
}

const SETTLEMENT: Duration = Duration::from_millis(30);
pub(crate) const CONNECTIONS: u32 = 48;

impl Measured {
    pub(crate) fn cpu_per_call(&self, spent: Duration) -> f64 {
        let calls = u32::try_from(self.weir.calls).unwrap_or(u32::MAX).max(1);
        spent.as_secs_f64() * 1_000.0 / f64::from(calls)
    }

    fn latencies(&self, rate: u32, aims: [Option<f64>; 3]) -> Vec<Figure> {
        let figure = |(percentile, aim): (f64, Option<f64>)| {
            let name = format!("answer at {rate}/s, p{percentile}");
            let figure = Figure::added(name, "ms", self.direct.whole.ms(percentile), self.weir.whole.ms(percentile));
            Figure { aim, ..figure }
        };
        [50.0, 99.0, 99.9].into_iter().zip(aims).map(figure).collect()
    }

    /// The processor time of the load itself, as a share of that of all processes.
    fn share_of_load(&self, name: &str) -> Figure {
        let Cpu { weir, provider, store, own } = self.cpu;
        let share = own.as_secs_f64() / (weir + provider + store + own).as_secs_f64().max(0.01);
        Figure::of_weir(format!("processor time taken by the load, {name}"), "%", share * 100.0)
    }
}

/// Measures calls and streams.
pub(crate) fn calls(plan: &Plan, totals: &mut Totals) -> Result<Findings, Failure> {
    let folder = TempDir::new()?;
    let sections = vec![
        embedded_store(plan, folder.path(), totals)?,
        streams(plan, folder.path(), totals)?,
        memory(folder.path(), totals)?,
        store_apart(plan, folder.path(), totals)?,
    ];
    Ok(sections.into())
}

fn embedded_store(plan: &Plan, folder: &Path, totals: &mut Totals) -> Result<Section, Failure> {
    let bench = Bench::start(folder, false)?;
    bench.warm_up()?;
    let mut figures = Vec::new();
    let slow = bench.at_rate(plan, 100, plan.slow)?;
    figures.extend(slow.latencies(100, [Some(1.5), Some(4.0), None]));
    let fast = bench.at_rate(plan, 500, plan.fast)?;
    figures.extend(fast.latencies(500, [None; 3]));
    figures.push(Figure::of_weir("processor time per call at 500/s", "ms", fast.cpu_per_call(fast.cpu.weir)));
    figures.push(fast.share_of_load("500/s"));
    for connections in [16, 64] {
        let sides = bench.sides(QUICK, false);
        let most = bench.in_turn(plan.rounds, &sides, |side| as_fast_as_possible(side, connections, plan.flat_out))?;
        let name = format!("most calls, {connections} connections");
        figures.push(Figure::compared(name, "/s", most.direct.per_second(), most.weir.per_second()));
        let name = format!("processor time per call, {connections} connections");
        figures.push(Figure::of_weir(name, "ms", most.cpu_per_call(most.cpu.weir)));
        figures.push(most.share_of_load(&format!("{connections} connections")));
        totals.count([&most.direct, &most.weir]);
    }
    totals.count([&slow.direct, &slow.weir]);
    totals.count([&fast.direct, &fast.weir]);
    Ok(Section { title: "store in weir's process".into(), figures })
}

fn streams(plan: &Plan, folder: &Path, totals: &mut Totals) -> Result<Section, Failure> {
    let bench = Bench::start(folder, false)?;
    bench.warm_up()?;
    let calls = STREAMS_PER_SECOND * plan.streams;
    let sides = bench.sides(QUICK, true);
    let all = bench.in_turn(plan.rounds, &sides, |side| constant(side, STREAMS_PER_SECOND, calls, CONNECTIONS))?;
    let (direct, weir) = (&all.direct, &all.weir);
    totals.count([direct, weir]);
    let mut figures = Vec::new();
    for (percentile, aim) in [(50.0, Some(1.0)), (99.0, None)] {
        let name = format!("first chunk after the provider's, p{percentile}");
        let after = Figure::added(name, "ms", direct.travelled.ms(percentile), weir.travelled.ms(percentile));
        let name = format!("first chunk after the request, p{percentile}");
        let first = Figure::added(name, "ms", direct.first.ms(percentile), weir.first.ms(percentile));
        figures.extend([Figure { aim, ..after }, first]);
    }
    figures.push(Figure::of_weir("processor time per stream of 23 chunks", "ms", all.cpu_per_call(all.cpu.weir)));
    Ok(Section { title: "streams, 50/s".into(), figures })
}

/// Measures the memory of weir just after its start, and while it waits for a thousand answers.
fn memory(folder: &Path, totals: &mut Totals) -> Result<Section, Failure> {
    let bench = Bench::start(folder, false)?;
    let idle = bench.weir.resident_mib()?;
    let (outcome, most) = in_flight(&bench, IN_FLIGHT)?;
    totals.count([&outcome]);
    Ok(Section {
        title: "1,000 calls in flight, answered after 2 s".into(),
        figures: vec![
            Figure::of_weir("resident when idle", "MiB", idle),
            Figure::of_weir("resident at most", "MiB", most).aim(80.0),
            Figure::of_weir("of that the program itself", "MiB", bench.weir.program_mib()?),
            Figure::of_weir("calls at the provider at once, at most", "", bench.most_at_the_provider()?),
            Figure::of_weir("calls that completed", "", (outcome.calls - outcome.failed) as f64),
            Figure::of_weir("slowest answer", "ms", outcome.whole.ms(100.0)),
        ],
    })
}

/// Makes `calls` calls at once that each take 2 s. Returns their results and weir's most resident memory, in MiB.
pub(crate) fn in_flight(bench: &Bench, calls: u32) -> Result<(Outcome, f64), Failure> {
    let sides = bench.sides(SLOW, false);
    let (outcome, samples) =
        watch(&bench.weir, Duration::from_millis(20), || constant(&sides.weir, calls, calls, calls))?;
    Ok((outcome?, samples.iter().map(|sample| sample.resident_mib).fold(0.0, f64::max)))
}

/// Measures weir with the store in another process, so that its processor time is its own.
fn store_apart(plan: &Plan, folder: &Path, totals: &mut Totals) -> Result<Section, Failure> {
    let bench = Bench::start(folder, true)?;
    bench.warm_up()?;
    let slow = bench.at_rate(&Plan { rounds: plan.rounds.div_ceil(2), ..*plan }, 100, plan.slow.div_ceil(2))?;
    let fast = bench.at_rate(&Plan { rounds: plan.rounds.div_ceil(2), ..*plan }, 500, plan.fast)?;
    let mut figures = slow.latencies(100, [None; 3]);
    figures.push(Figure::of_weir("processor time per call at 500/s", "ms", fast.cpu_per_call(fast.cpu.weir)).aim(0.8));
    figures.push(Figure::of_weir("processor time per call of the store", "ms", fast.cpu_per_call(fast.cpu.store)));
    totals.count([&slow.direct, &slow.weir]);
    totals.count([&fast.direct, &fast.weir]);
    Ok(Section { title: "store in a process of its own".into(), figures })
}

/// Keeps weir busy with 300 calls per second.
pub(crate) fn hold(seconds: u64) -> Result<(), Failure> {
    use std::io::Write as _;
    let folder = TempDir::new()?;
    let bench = Bench::start(folder.path(), false)?;
    bench.warm_up()?;
    writeln!(std::io::stdout(), "weir runs as process {}", bench.weir.id())?;
    let calls = u32::try_from(seconds)?.saturating_mul(HOLD_RATE);
    constant(&bench.sides(QUICK, false).weir, HOLD_RATE, calls, CONNECTIONS)?;
    Ok(())
}

const HOLD_RATE: u32 = 300;
