//! One run: tenants settle in, clients do what they planned while things fail, then everything comes to rest.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use shared::model::clock::{Clock, Timestamp};
use shared::model::rng;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use crate::client::Client;
use crate::deployment::Deployment;
use crate::dice::Dice;
use crate::invariants::{self, Invariant};
use crate::ledger::Violation;
use crate::load::{self, Planned};
use crate::panics;
use crate::platform::{Platform, sweep};
use crate::sim::{Case, Place, Sim};
use crate::weather::Weather;

/// What came of a run.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub violation: Option<Violation>,
    /// Of the trace: calls and their outcomes, what clients were told, faults, and when. What is written into the
    /// stores is not in it.
    pub hash: u64,
    /// Operations that were made: number and what they were.
    pub operations: Vec<(usize, String)>,
    /// Faults that happened, where and what.
    pub faults: Vec<(Place, String)>,
    /// What happened, if it was asked for.
    pub trace: Vec<String>,
}

/// Plays a case, from an empty store to rest, on this thread. A panic breaks a promise, whoever catches it.
///
/// # Errors
/// If the runtime cannot be made.
pub fn play(case: &Case, keeps_trace: bool) -> std::io::Result<Outcome> {
    let dice = Dice::new(case.seed);
    // What production code and the SDKs draw by themselves.
    rng::seed(dice.number("production", 0));
    fastrand::seed(dice.number("sdk", 0));
    let clock = Clock::manual(Weather::draw(dice).begins_at.0);
    let sim = Sim::new(case, clock.clone(), keeps_trace);
    let runtime = runtime(clock)?;
    panics::watch();
    let judged = catch_unwind(AssertUnwindSafe(|| runtime.block_on(run(case, &sim))));
    drop(runtime);
    let violation = judged.unwrap_or_default().or_else(|| first_seen(&sim));
    let operations = planned(case).into_iter().map(|planned| (planned.number, format!("{planned:?}"))).collect();
    Ok(Outcome { violation, hash: sim.trace.hash(), operations, faults: sim.injected(), trace: sim.trace.lines() })
}

/// A runtime of this thread whose time is simulated, with a clock that goes with it.
fn runtime(clock: Clock) -> std::io::Result<Runtime> {
    let begun: OnceLock<tokio::time::Instant> = OnceLock::new();
    let begins_at = clock.now();
    let mut builder = Builder::new_current_thread();
    // Time passes only while the thread is parked.
    let follow = move || {
        let passed = begun.get_or_init(tokio::time::Instant::now).elapsed();
        let now = begins_at.plus_ms(u64::try_from(passed.as_millis()).unwrap_or(u64::MAX));
        clock.advance_ms(clock.now().until(now));
    };
    builder.enable_time().start_paused(true).on_thread_unpark(follow).build()
}

fn planned(case: &Case) -> Vec<Planned> {
    let mut planned = load::plan(Dice::new(case.seed));
    planned.retain(|planned| !case.without_operations.contains(&planned.number));
    planned
}

async fn run(case: &Case, sim: &Arc<Sim>) -> Option<Violation> {
    // The clock begins with the first time that the thread is parked.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let deployment = Deployment::open(sim).await;
    deployment.settle_in().await;
    let mut invariants = invariants::all();
    let platform = Platform::start(&deployment);
    sim.begin_faults();
    let mut clients = JoinSet::new();
    for planned in planned(case) {
        clients.spawn(operate(Arc::clone(&deployment), planned));
    }
    let watched = watch(&deployment, &mut invariants, clients).await;
    sim.end_faults();
    if let Err(violation) = watched {
        return Some(violation);
    }
    let judged = judge(&deployment, &mut invariants, platform).await;
    first_seen(sim).or(judged.err())
}

async fn operate(deployment: Arc<Deployment>, planned: Planned) {
    tokio::time::sleep(planned.after).await;
    deployment.sim.trace.note(format_args!("op {} {:?}", planned.number, planned.load));
    let rng = deployment.sim.dice.at("client", planned.number as u64);
    let mut client = Client { deployment, operation: planned.number, rng };
    // A client that gets no answer gives up some time.
    let _ = tokio::time::timeout(Duration::from_secs(400), planned.load.run(&mut client)).await;
}

/// Looks at the invariants now and then until all clients are done.
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
            // A client that panicked is found by the next look.
            done = clients.join_next() => if done.is_none() {
                return Ok(());
            },
            _ = seconds.tick() => {
                look_at(deployment, invariants, |invariant| second % invariant.looks_every() == 0).await?;
                second += 1;
            }
        }
    }
}

async fn look(deployment: &Arc<Deployment>, invariants: &mut [Box<dyn Invariant>]) -> Result<(), Violation> {
    look_at(deployment, invariants, |_| true).await
}

async fn look_at(
    deployment: &Arc<Deployment>,
    invariants: &mut [Box<dyn Invariant>],
    wanted: impl Fn(&dyn Invariant) -> bool,
) -> Result<(), Violation> {
    first_seen(&deployment.sim).map_or(Ok(()), Err)?;
    for invariant in invariants.iter_mut().filter(|invariant| wanted(invariant.as_ref())) {
        invariant.at_any_time(deployment).await.map_err(|what| failed(invariant.name(), what))?;
    }
    Ok(())
}

/// Lets everything come to rest, and judges.
async fn judge(
    deployment: &Arc<Deployment>,
    invariants: &mut [Box<dyn Invariant>],
    platform: Platform,
) -> Result<(), Violation> {
    // Calls whose clients have left go on for as long as their model may take.
    tokio::time::sleep(Duration::from_secs(100)).await;
    look(deployment, invariants).await?;
    for invariant in &mut *invariants {
        invariant.after_the_faults(deployment).await.map_err(|what| failed(invariant.name(), what))?;
    }
    drop(platform);
    let platform = Platform::workers(deployment);
    rest(deployment, invariants).await?;
    drop(platform);
    for invariant in &mut *invariants {
        invariant.at_the_end(deployment).await.map_err(|what| failed(invariant.name(), what))?;
    }
    Ok(())
}

/// Times that the sweeper may have to come until nothing is due.
const SWEEPS: u32 = 2_000;

/// Goes from one due time to the next, as the sweeper would in time, until nothing is due any more.
async fn rest(deployment: &Arc<Deployment>, invariants: &mut [Box<dyn Invariant>]) -> Result<(), Violation> {
    for sweeps in 0..SWEEPS {
        let Some(next) = next_due(deployment).await else { return Ok(()) };
        // The sweeper comes each minute, so a little late.
        let wait = deployment.sim.clock.now().until(next).max(1_000) + 20_000;
        tokio::time::sleep(Duration::from_millis(wait)).await;
        sweep(deployment, "sweep-a").await;
        if sweeps % 10 == 0 {
            look(deployment, invariants).await?;
        }
    }
    Err(failed("due", format!("still due after {SWEEPS} sweeps: {:?}", next_due(deployment).await)))
}

/// When the next item is due, whichever it is.
async fn next_due(deployment: &Arc<Deployment>) -> Option<Timestamp> {
    let due =
        deployment.dynamo.scan().table_name("weir").index_name("due").projection_expression("due_at").send().await;
    let due_at = |item: &HashMap<String, AttributeValue>| item.get("due_at")?.as_n().ok()?.parse::<u64>().ok();
    due.ok()?.items().iter().filter_map(due_at).min().map(Timestamp)
}

/// What clients and the others of the simulation saw, or a panic.
fn first_seen(sim: &Sim) -> Option<Violation> {
    let seen = sim.ledger().violations.first().cloned();
    seen.or_else(|| panics::first().map(|panic| failed("panics", panic)))
}

fn failed(invariant: &'static str, what: String) -> Violation {
    Violation { invariant, what }
}
