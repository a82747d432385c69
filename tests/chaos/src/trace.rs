//! What happened in a run, in order: calls and their outcomes, what clients were told, faults. A hash of it, and the
//! lines themselves if somebody wants to read them. What is written into the stores is not in it.

use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hasher as _};
use std::sync::{Mutex, PoisonError};

use shared::model::clock::Clock;

pub(crate) struct Trace {
    clock: Clock,
    begun_ms: u64,
    written: Mutex<Written>,
}

struct Written {
    hasher: DefaultHasher,
    line: String,
    /// `None`: nobody reads them.
    lines: Option<Vec<String>>,
}

impl Trace {
    #[must_use]
    pub(crate) fn new(clock: Clock, keeps_lines: bool) -> Self {
        let written = Written { hasher: DefaultHasher::new(), line: String::new(), lines: keeps_lines.then(Vec::new) };
        Self { begun_ms: clock.now().0, clock, written: Mutex::new(written) }
    }

    /// Writes one line, under the simulated time.
    pub(crate) fn note(&self, what: fmt::Arguments<'_>) {
        let ms = self.clock.now().0.saturating_sub(self.begun_ms);
        let mut guard = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let Written { hasher, line, lines } = &mut *guard;
        line.clear();
        let _ = write!(line, "{:>6}.{:03}  {what}", ms / 1_000, ms % 1_000);
        hasher.write(line.as_bytes());
        if let Some(lines) = lines {
            lines.push(line.clone());
        }
    }

    /// The hash of all that was noted: two runs that differ in a line of it have two hashes.
    #[must_use]
    pub(crate) fn hash(&self) -> u64 {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).hasher.finish()
    }

    /// The lines so far, if they are kept.
    #[must_use]
    pub(crate) fn lines(&self) -> Vec<String> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).lines.clone().unwrap_or_default()
    }
}
