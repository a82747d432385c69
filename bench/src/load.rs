//! Load at a constant rate, measured from the time at which each call was due, or as fast as the answers arrive.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread::{Builder, Scope, scope, sleep};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::Failure;
use crate::client::{Connection, Request};

/// A histogram of times up to one minute, in microseconds with three significant digits.
#[derive(Clone)]
pub(crate) struct Times(Histogram<u64>);

impl Times {
    fn new() -> Result<Self, Failure> {
        Ok(Self(Histogram::new_with_bounds(1, 60_000_000, 3)?))
    }

    fn record(&mut self, time: Duration) {
        self.0.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// Returns a percentile in milliseconds.
    #[expect(clippy::cast_precision_loss, reason = "a minute of microseconds fits")]
    pub(crate) fn ms(&self, percentile: f64) -> f64 {
        self.0.value_at_percentile(percentile) as f64 / 1_000.0
    }
}

/// The results of some calls.
#[derive(Clone)]
pub(crate) struct Outcome {
    pub(crate) calls: u64,
    pub(crate) failed: u64,
    /// The message of the first failure.
    pub(crate) failure: Option<String>,
    pub(crate) lasted: Duration,
    /// Times from the moment at which a call was due to the last byte of its answer.
    pub(crate) whole: Times,
    /// For streams: times from that moment to the first event, and from the provider to the client for the same event.
    pub(crate) first: Times,
    pub(crate) travelled: Times,
}

impl Outcome {
    pub(crate) fn new() -> Result<Self, Failure> {
        let (whole, first, travelled) = (Times::new()?, Times::new()?, Times::new()?);
        Ok(Self { calls: 0, failed: 0, failure: None, lasted: Duration::ZERO, whole, first, travelled })
    }

    pub(crate) fn add(&mut self, other: Self) -> Result<(), Failure> {
        self.calls += other.calls;
        self.failed += other.failed;
        self.failure = self.failure.take().or(other.failure);
        self.lasted += other.lasted;
        self.whole.0.add(other.whole.0)?;
        self.first.0.add(other.first.0)?;
        self.travelled.0.add(other.travelled.0)?;
        Ok(())
    }

    pub(crate) fn per_second(&self) -> f64 {
        f64::from(u32::try_from(self.calls - self.failed).unwrap_or(u32::MAX)) / self.lasted.as_secs_f64()
    }

    fn call(&mut self, connection: &mut Option<Connection>, request: &Request, due: Instant) {
        self.calls += 1;
        let answer = match connection.take().map_or_else(|| Connection::open(request), Ok) {
            Ok(open) => connection.insert(open).call(request),
            Err(error) => Err(error),
        };
        match answer {
            Ok(answer) => {
                self.whole.record(answer.ended - due);
                if let Some(first) = answer.first_chunk {
                    self.first.record(first.at - due);
                    self.travelled.record(first.travelled);
                }
            }
            Err(error) => {
                *connection = None;
                self.failed += 1;
                self.failure.get_or_insert(error.to_string());
            }
        }
    }
}

/// Makes `calls` calls at a constant rate. No call waits for the call before it while a connection is free.
///
/// If a call starts late because all connections were busy, its time still counts from the moment at which it was due.
pub(crate) fn constant(request: &Request, rate: u32, calls: u32, connections: u32) -> Result<Outcome, Failure> {
    let begin = Instant::now() + CONNECTING + connections * PER_CONNECTION;
    let next = AtomicU32::new(0);
    run(connections, |outcome| {
        let mut connection = Connection::open(request).ok();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= calls {
                return;
            }
            let due = begin + Duration::from_secs(1) * number / rate;
            sleep(due.saturating_duration_since(Instant::now()));
            outcome.call(&mut connection, request, due);
        }
    })
}

/// The first call is due after this time, and after [`PER_CONNECTION`] for each connection, so that all are open by
/// then.
const CONNECTING: Duration = Duration::from_millis(50);
const PER_CONNECTION: Duration = Duration::from_micros(300);

/// Makes calls until the time is over. Each connection makes its next call as soon as its last one was answered.
pub(crate) fn as_fast_as_possible(request: &Request, connections: u32, time: Duration) -> Result<Outcome, Failure> {
    let begin = Instant::now();
    let end = begin + time;
    let failures = AtomicU64::new(0);
    run(connections, |outcome| {
        let mut connection = None;
        // Without a limit, a server that cannot be reached would get a million calls.
        while Instant::now() < end && failures.load(Ordering::Relaxed) < 100 {
            outcome.call(&mut connection, request, Instant::now());
            failures.fetch_add(outcome.failed.min(1), Ordering::Relaxed);
        }
    })
}

/// Runs one thread per connection. Blocking sockets cost less than a runtime, and a thread sleeps more exactly than a
/// timer wheel of milliseconds.
fn run(connections: u32, work: impl Fn(&mut Outcome) + Sync) -> Result<Outcome, Failure> {
    let total = Mutex::new(Outcome::new()?);
    let begin = Instant::now();
    scope(|threads| (0..connections).try_for_each(|_| worker(threads, &total, &work)))?;
    let mut outcome = total.into_inner().map_err(|_| "a thread of the load panicked")?;
    outcome.lasted = begin.elapsed();
    Ok(outcome)
}

fn worker<'scope>(
    threads: &'scope Scope<'scope, '_>,
    total: &'scope Mutex<Outcome>,
    work: &'scope (impl Fn(&mut Outcome) + Sync),
) -> Result<(), Failure> {
    let mut own = Outcome::new()?;
    Builder::new().stack_size(128 * 1024).spawn_scoped(threads, move || {
        work(&mut own);
        if let Ok(mut total) = total.lock() {
            let _ = total.add(own); // It cannot fail: all histograms have the same bounds.
        }
    })?;
    Ok(())
}
