//! The trace of a run: calls and their outcomes, answers to clients, and faults, in order. It always has a hash, and
//! has its lines if the caller asked for them. It lacks the contents of writes to the stores.

use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hasher as _};
use std::sync::{Mutex, PoisonError};

use shared::model::clock::Clock;

pub(crate) struct Trace {
    clock: Clock,
    started_ms: u64,
    written: Mutex<Written>,
}

struct Written {
    hasher: DefaultHasher,
    line: String,
    /// `None` if the caller does not read them.
    lines: Option<Vec<String>>,
}

impl Trace {
    #[must_use]
    pub(crate) fn new(clock: Clock, keeps_lines: bool) -> Self {
        let written = Written { hasher: DefaultHasher::new(), line: String::new(), lines: keeps_lines.then(Vec::new) };
        Self { started_ms: clock.now().0, clock, written: Mutex::new(written) }
    }

    /// Writes one line with the simulated time.
    pub(crate) fn note(&self, text: fmt::Arguments<'_>) {
        let ms = self.clock.now().0.saturating_sub(self.started_ms);
        let mut guard = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let Written { hasher, line, lines } = &mut *guard;
        line.clear();
        let _ = write!(line, "{:>6}.{:03}  {text}", ms / 1_000, ms % 1_000);
        hasher.write(line.as_bytes());
        if let Some(lines) = lines {
            lines.push(line.clone());
        }
    }

    /// Returns the hash of all lines. Two runs with different lines have different hashes.
    #[must_use]
    pub(crate) fn hash(&self) -> u64 {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).hasher.finish()
    }

    /// Returns the lines so far, or none if the trace does not keep them.
    #[must_use]
    pub(crate) fn lines(&self) -> Vec<String> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).lines.clone().unwrap_or_default()
    }
}
