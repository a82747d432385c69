//! Watches over the bounds while a document is read.

use std::cell::Cell;
use std::time::Instant;

use crate::{Limits, Problem};

/// Steps between two looks at the clock, which costs more than most steps.
const STEPS_PER_LOOK: u32 = 64;
/// The most bytes that a parser may read between two of its steps: a parser holds that much at once.
const STEP_BYTES: u64 = 40 * 1024 * 1024;

/// What a document has used of its bounds.
pub(crate) struct Watch {
    limits: Limits,
    unpacked: Cell<u64>,
    unpacked_at_step: Cell<u64>,
    steps: Cell<u32>,
}

impl Watch {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, unpacked: Cell::new(0), unpacked_at_step: Cell::new(0), steps: Cell::new(0) }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Notes a step of a parser: an event, an operator, a cell. Each loop over a document calls this.
    pub(crate) fn step(&self) -> Result<(), Problem> {
        self.unpacked_at_step.set(self.unpacked.get());
        let steps = self.steps.get().wrapping_add(1);
        self.steps.set(steps);
        if steps.is_multiple_of(STEPS_PER_LOOK) { self.look() } else { Ok(()) }
    }

    /// Looks at the clock.
    pub(crate) fn look(&self) -> Result<(), Problem> {
        if Instant::now() < self.limits.deadline { Ok(()) } else { Err(Problem::OutOfTime) }
    }

    /// Notes bytes that were unpacked.
    pub(crate) fn unpack(&self, bytes: usize) -> Result<(), Problem> {
        let unpacked = self.unpacked.get().saturating_add(bytes as u64);
        self.unpacked.set(unpacked);
        let limit = self.limits.unpacked_bytes;
        if unpacked > limit {
            return Err(Problem::TooLarge { what: "the unpacked bytes", limit });
        }
        if unpacked - self.unpacked_at_step.get() > STEP_BYTES {
            return Err(Problem::TooLarge { what: "the bytes of one element", limit: STEP_BYTES });
        }
        self.look()
    }

    /// The bytes that may still be unpacked.
    pub(crate) fn left(&self) -> u64 {
        self.limits.unpacked_bytes.saturating_sub(self.unpacked.get())
    }

    pub(crate) fn check_pages(&self, pages: usize, what: &'static str) -> Result<(), Problem> {
        if pages <= self.limits.pages {
            return Ok(());
        }
        Err(Problem::TooLarge { what, limit: self.limits.pages as u64 })
    }
}
