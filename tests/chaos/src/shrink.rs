//! Shrinks a failing run: leaves out operations and faults while the same invariant breaks.

use std::collections::BTreeSet;

use crate::run::{Outcome, play};
use crate::sim::Case;

/// The most runs of one shrinking.
const RUNS: u32 = 400;

/// Returns the smallest case that it found, and the outcome of that case with its trace.
///
/// # Errors
/// If a runtime cannot be created.
pub fn shrink(case: &Case) -> std::io::Result<(Case, Outcome)> {
    let whole = play(case, false)?;
    let mut shrinking =
        Shrinking { broken: whole.violation.as_ref().map(|v| v.invariant), left: RUNS, best: (case.clone(), whole) };
    if shrinking.broken.is_some() {
        loop {
            let before = shrinking.size();
            shrinking.leave_out(operations, |case| &mut case.without_operations)?;
            shrinking.leave_out(faults, |case| &mut case.without_faults)?;
            if shrinking.size() == before || shrinking.left == 0 {
                break;
            }
        }
    }
    let case = shrinking.best.0;
    let outcome = play(&case, true)?;
    Ok((case, outcome))
}

struct Shrinking {
    broken: Option<&'static str>,
    left: u32,
    best: (Case, Outcome),
}

fn operations(outcome: &Outcome) -> Vec<usize> {
    outcome.operations.iter().map(|(number, _)| *number).collect()
}

fn faults(outcome: &Outcome) -> Vec<crate::sim::FaultPoint> {
    outcome.faults.iter().map(|(point, _)| *point).collect()
}

impl Shrinking {
    fn size(&self) -> (usize, usize) {
        (self.best.1.operations.len(), self.best.1.faults.len())
    }

    /// Tries the best case without some of its operations or faults: first without large parts, then without smaller
    /// ones.
    fn leave_out<T: Ord + Clone>(
        &mut self,
        of: impl Fn(&Outcome) -> Vec<T>,
        set: impl Fn(&mut Case) -> &mut BTreeSet<T>,
    ) -> std::io::Result<()> {
        let mut size = of(&self.best.1).len();
        while size > 0 {
            let mut at = 0;
            loop {
                let parts = of(&self.best.1);
                if at >= parts.len() || self.left == 0 {
                    break;
                }
                let mut case = self.best.0.clone();
                set(&mut case).extend(parts[at..parts.len().min(at + size)].iter().cloned());
                self.left -= 1;
                let outcome = play(&case, false)?;
                if outcome.violation.as_ref().map(|violation| violation.invariant) == self.broken {
                    self.best = (case, outcome);
                } else {
                    at += size;
                }
            }
            size /= 2;
        }
        Ok(())
    }
}
