//! One run: the tenants are created, clients run their operations while faults strike, then the run goes on until
//! nothing is due.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use shared::model::clock::Clock;
use shared::model::rng;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use crate::client::Client;
use crate::deployment::Deployment;
use crate::invariants::{self, Invariant};
use crate::load::{self, Planned};
use crate::observations::Violation;
use crate::panics;
use crate::platform::{Platform, sweep};
use crate::scenario::Scenario;
use crate::seed::Seed;
use crate::sim::{Case, FaultPoint, Sim};

/// The time after which a client gives up its operation.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(400);
/// The time for which a call goes on after its client left: as long as its model may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(100);
/// Sweeps after which nothing may be due any more.
const SWEEPS: u32 = 2_000;
/// Due times share a sweep within the time that has passed, divided by this.
const SHARED: u64 = 24;
/// A wait in which contents may expire.
const LONG_WAIT_MS: u64 = 3_600_000;
/// Of this many sweeps, the invariants are checked after one.
const CHECKED_SWEEPS: u32 = 40;

/// The result of a run.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub violation: Option<Violation>,
    /// Hash of the trace. The trace lacks the contents of writes to the stores.
    pub hash: u64,
    /// The operations that were run: number and description.
    pub operations: Vec<(usize, String)>,
    /// The faults that struck: fault point and description.
    pub faults: Vec<(FaultPoint, String)>,
    /// The lines of the trace, if the caller asked for them.
    pub trace: Vec<String>,
}

/// Plays a case on this thread, from empty stores until nothing is due. A panic is a violation, also one that was
/// caught.
///
/// # Errors
/// If the runtime cannot be created.
pub fn play(case: &Case, keeps_trace: bool) -> std::io::Result<Outcome> {
    let seed = Seed::new(case.seed);
    // Production code and the SDKs draw from generators of their own.
    rng::seed(seed.number("production", 0));
    fastrand::seed(seed.number("sdk", 0));
    let clock = Clock::manual(Scenario::draw(seed).starts_at.0);
    let sim = Sim::new(case, clock.clone(), keeps_trace);
    let runtime = runtime(clock)?;
    panics::watch();
    let result = catch_unwind(AssertUnwindSafe(|| runtime.block_on(run(case, &sim))));
    drop(runtime);
    let violation = result.unwrap_or_default().or_else(|| first_violation(&sim));
    let operations = plan(case).into_iter().map(|planned| (planned.number, format!("{planned:?}"))).collect();
    Ok(Outcome { violation, hash: sim.trace.hash(), operations, faults: sim.faults(), trace: sim.trace.lines() })
}

/// Creates a runtime of this thread whose time is simulated, and lets `clock` follow that time.
fn runtime(clock: Clock) -> std::io::Result<Runtime> {
    let started: OnceLock<tokio::time::Instant> = OnceLock::new();
    let starts_at = clock.now();
    let mut builder = Builder::new_current_thread();
    // Simulated time passes only while the thread is parked.
    let follow = move || {
        let passed = started.get_or_init(tokio::time::Instant::now).elapsed();
        let now = starts_at.plus_ms(u64::try_from(passed.as_millis()).unwrap_or(u64::MAX));
        clock.advance_ms(clock.now().until(now));
    };
    builder.enable_time().start_paused(true).on_thread_unpark(follow).build()
}

/// Returns the operations of a case.
fn plan(case: &Case) -> Vec<Planned> {
    let mut planned = load::plan(Seed::new(case.seed));
    planned.retain(|planned| !case.without_operations.contains(&planned.number));
    planned
}

async fn run(case: &Case, sim: &Arc<Sim>) -> Option<Violation> {
    // The clock starts when the thread is parked for the first time.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let deployment = Deployment::open(sim).await;
    deployment.create_tenants().await;
    deployment.create_hostile(Seed::new(case.seed)).await;
    let mut invariants = invariants::all();
    let platform = Platform::start_with_timers(&deployment);
    sim.begin_faults();
    let mut clients = JoinSet::new();
    for planned in plan(case) {
        clients.spawn(run_operation(Arc::clone(&deployment), planned));
    }
    let watched = watch(&deployment, &mut invariants, clients).await;
    sim.end_faults();
    if let Err(violation) = watched {
        return Some(violation);
    }
    let finished = finish(&deployment, &mut invariants, platform).await;
    first_violation(sim).or(finished.err())
}

async fn run_operation(deployment: Arc<Deployment>, planned: Planned) {
    tokio::time::sleep(planned.after).await;
    deployment.sim.trace.note(format_args!("op {} {:?}", planned.number, planned.operation));
    let rng = deployment.sim.seed.rng("client", planned.number as u64);
    let mut client = Client { deployment, operation: planned.number, rng, names_runs: true };
    let _ = tokio::time::timeout(OPERATION_TIMEOUT, planned.operation.run(&mut client)).await;
}

/// Checks the invariants, each in its interval, until all clients are done.
async fn watch(
    deployment: &Arc<Deployment>,
    invariants: &mut [Box<dyn Invariant>],
    mut clients: JoinSet<()>,
) -> Result<(), Violation> {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    let mut second = 0;
    loop {
        tokio::select! {
            biased;
            // The next check finds a client that panicked.
            done = clients.join_next() => if done.is_none() {
                return Ok(());
            },
            _ = seconds.tick() => {
                check(deployment, invariants, |invariant| second % invariant.interval_seconds() == 0).await?;
                second += 1;
            }
        }
    }
}

async fn check_all(deployment: &Arc<Deployment>, invariants: &mut [Box<dyn Invariant>]) -> Result<(), Violation> {
    check(deployment, invariants, |_| true).await
}

/// Checks the invariants that are selected.
async fn check(
    deployment: &Arc<Deployment>,
    invariants: &mut [Box<dyn Invariant>],
    is_selected: impl Fn(&dyn Invariant) -> bool,
) -> Result<(), Violation> {
    first_violation(&deployment.sim).map_or(Ok(()), Err)?;
    for invariant in invariants.iter_mut().filter(|invariant| is_selected(invariant.as_ref())) {
        invariant.at_any_time(deployment).await.map_err(|message| violation(invariant.name(), message))?;
    }
    Ok(())
}

/// Lets the deployment finish all work without faults, and checks the invariants that hold only then.
async fn finish(
    deployment: &Arc<Deployment>,
    invariants: &mut [Box<dyn Invariant>],
    platform: Platform,
) -> Result<(), Violation> {
    tokio::time::sleep(CALL_TIMEOUT).await;
    check_all(deployment, invariants).await?;
    for invariant in &mut *invariants {
        invariant.after_the_faults(deployment).await.map_err(|message| violation(invariant.name(), message))?;
    }
    drop(platform);
    let platform = Platform::start_workers(deployment);
    sweep_until_nothing_is_due(deployment, invariants).await?;
    drop(platform);
    deployment.inspector.check_known_meters().await.map_err(|message| violation("simulation", message))?;
    for invariant in &mut *invariants {
        invariant.at_the_end(deployment).await.map_err(|message| violation(invariant.name(), message))?;
    }
    Ok(())
}

/// Waits from one due time to the next and sweeps there. The sweeps between two due times would find nothing. The longer
/// all this takes, the more due times share a sweep: after a day, those of an hour.
async fn sweep_until_nothing_is_due(
    deployment: &Arc<Deployment>,
    invariants: &mut [Box<dyn Invariant>],
) -> Result<(), Violation> {
    let began = deployment.sim.clock.now();
    for sweeps in 0..SWEEPS {
        let Some(next) = deployment.inspector.next_due().await else { return Ok(()) };
        let now = deployment.sim.clock.now();
        // A sweep that comes each minute is late by some seconds.
        let late_ms = 20_000.max(began.until(now) / SHARED);
        let wait = now.until(next).max(1_000) + late_ms;
        // What expires in the meantime cannot be checked after it.
        if wait > LONG_WAIT_MS {
            check_all(deployment, invariants).await?;
        }
        tokio::time::sleep(Duration::from_millis(wait)).await;
        sweep(deployment, "sweep-a").await;
        if sweeps % CHECKED_SWEEPS == 0 {
            check_all(deployment, invariants).await?;
        }
    }
    let next = deployment.inspector.next_due().await;
    Err(violation("due", format!("still due after {SWEEPS} sweeps: {next:?}")))
}

/// Returns the first violation that a client, a provider or a receiver observed, or a panic.
fn first_violation(sim: &Sim) -> Option<Violation> {
    let observed = sim.observed().violations.first().cloned();
    observed.or_else(|| panics::first().map(|panic| violation("panics", panic)))
}

fn violation(invariant: &'static str, message: String) -> Violation {
    Violation { invariant, message }
}
