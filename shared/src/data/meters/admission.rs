//! Admission: one conditional write reserves the money of a call and counts it into the rate window.

use aws_sdk_dynamodb::types::AttributeValue;

use super::Meters;
use super::shards::{read_shard, read_window};
use crate::data::change::{Change, Returning, UpdateOutcome};
use crate::data::due::DUE_SHARDS;
use crate::data::error::StoreError;
use crate::data::item::{Reader, number, text};
use crate::data::keys;
use crate::model::clock::Timestamp;
use crate::model::meter::{MAX_RESERVATIONS, MeterKey, Reservation, ReservedFor, Shard, WINDOW_MS, Window, short_name};

/// How often the sweeper looks at a shard with reservations, in milliseconds.
///
/// A shard has one time at which it is due: that of its first reservation. The lease of a job lasts for a day, and must not
/// hide the reservation of a call that dies meanwhile. So such a call is settled this long after its lease, at most.
pub const SWEEP_INTERVAL_MS: u64 = 5 * 60_000;

/// The effect of an admission on the rate window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowChange {
    /// The project has no rate limits.
    Ignore,
    /// Count into the window that is open.
    Count,
    /// The old window has ended: open a new one.
    Open { ends: Timestamp },
}

/// One attempt to admit a call at one shard.
#[derive(Debug, Clone)]
pub struct AdmissionAttempt {
    pub revision: u64,
    pub reservation: Reservation,
    /// Whether the project has a budget.
    pub budgeted: bool,
    pub tokens: u64,
    pub max_requests: Option<u64>,
    pub max_tokens: Option<u64>,
    /// The calls of the shard that may be open at the same time, with this one.
    pub max_open_requests: Option<u64>,
    pub window: WindowChange,
    pub now: Timestamp,
}

/// One attempt to count a request that calls no model into the rate window of a shard.
#[derive(Debug, Clone, Copy)]
pub struct CountAttempt {
    pub revision: u64,
    pub max_requests: Option<u64>,
    pub window: WindowChange,
    pub now: Timestamp,
}

/// The outcome of an attempt to admit a call.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdmitOutcome {
    /// The call may run. Contains the rate window after it.
    Admitted(Window),
    /// The shard does not exist.
    NoShard,
    /// The shard did not fulfil a condition of the attempt. Contains the shard at that time.
    Refused(Shard),
}

impl Meters {
    /// Admits a call at one shard with one conditional write.
    pub async fn admit(&self, at: &MeterKey, attempt: &AdmissionAttempt) -> Result<AdmitOutcome, StoreError> {
        match self.0.update(keys::meter(at), admission_change(attempt)).await? {
            UpdateOutcome::Written(changed) => Ok(AdmitOutcome::Admitted(read_window(&Reader(&changed))?)),
            UpdateOutcome::Refused(None) => Ok(AdmitOutcome::NoShard),
            UpdateOutcome::Refused(Some(item)) => {
                let shard = read_shard(&item)?;
                // The SDK repeated an admission that had taken effect, because its answer was lost.
                if shard.reservations.iter().any(|reservation| reservation.id == attempt.reservation.id) {
                    return Ok(AdmitOutcome::Admitted(shard.window));
                }
                Ok(AdmitOutcome::Refused(shard))
            }
        }
    }
}

impl Meters {
    /// Counts a request into the rate window with one conditional write. It reserves nothing.
    pub async fn count(&self, at: &MeterKey, attempt: &CountAttempt) -> Result<AdmitOutcome, StoreError> {
        match self.0.update(keys::meter(at), count_change(attempt)).await? {
            UpdateOutcome::Written(changed) => Ok(AdmitOutcome::Admitted(read_window(&Reader(&changed))?)),
            UpdateOutcome::Refused(None) => Ok(AdmitOutcome::NoShard),
            UpdateOutcome::Refused(Some(item)) => Ok(AdmitOutcome::Refused(read_shard(&item)?)),
        }
    }
}

/// The conditions: the limits are the newest, and the rate limit holds. A shard whose budget is overdrawn counts, too: its
/// revision is negative.
fn count_change(attempt: &CountAttempt) -> Change {
    let &CountAttempt { revision, max_requests, window, now } = attempt;
    let mut clauses = Clauses::default();
    clauses.condition.push("(rev = :rev OR rev = :over)");
    let over = -i64::try_from(revision).unwrap_or(i64::MAX);
    clauses.values.extend([(":rev", number(revision)), (":over", number(over))]);
    clauses.count(window, 0, max_requests, None, now);
    clauses.into_change()
}

/// The value of a reservation in `holds`.
pub(super) fn hold_text(reservation: &Reservation) -> String {
    format!("{} {}", reservation.amount.0, short_name(&reservation.model))
}

/// When the sweeper looks for a reservation, in Unix milliseconds.
pub(super) fn due_at(reservation: &Reservation, now: Timestamp) -> u64 {
    reservation.id.lease_until().0.min(now.0 + SWEEP_INTERVAL_MS)
}

/// Each condition protects one rule: the limits are the newest (`rev`), a repeated write reserves once (`#hold`), the
/// item stays small (`size`), and budget and rate limits hold however many instances admit calls at the same time.
fn admission_change(attempt: &AdmissionAttempt) -> Change {
    let AdmissionAttempt { reservation, now, .. } = attempt;
    let mut clauses = Clauses::default();
    clauses.update.extend([
        "avail = avail - :held",
        "holds.#hold = :hold",
        "due_shard = if_not_exists(due_shard, :due_shard)",
        "due_at = if_not_exists(due_at, :due_at)",
    ]);
    clauses.condition.extend(["rev = :rev", "attribute_not_exists(holds.#hold)", "size(holds) < :max_holds"]);
    clauses.values.extend([
        (":held", number(reservation.amount.0)),
        (":hold", text(hold_text(reservation))),
        (":due_shard", text((now.0 % u64::from(DUE_SHARDS)).to_string())),
        (":due_at", number(due_at(reservation, *now))),
        (":rev", number(attempt.revision)),
        (":max_holds", number(MAX_RESERVATIONS)),
    ]);
    if attempt.budgeted {
        clauses.condition.push("avail >= :held");
    }
    if reservation.id.reserved_for() == ReservedFor::Request {
        clauses.update.push("live = live + :live");
        clauses.values.push((":live", number(1)));
        if let Some(max) = attempt.max_open_requests {
            clauses.condition.push("live < :max_live");
            clauses.values.push((":max_live", number(max)));
        }
    }
    clauses.count(attempt.window, attempt.tokens, attempt.max_requests, attempt.max_tokens, *now);
    let mut change = clauses.into_change();
    change.names.push(("#hold", reservation.id.as_str().to_owned()));
    change
}

/// The clauses of an update of a shard.
#[derive(Default)]
struct Clauses {
    update: Vec<&'static str>,
    condition: Vec<&'static str>,
    values: Vec<(&'static str, AttributeValue)>,
}

impl Clauses {
    /// Counts a request with its tokens into the rate window. The condition: the window is open or ended as the caller
    /// believes, and has room.
    fn count(
        &mut self,
        window: WindowChange,
        tokens: u64,
        max_requests: Option<u64>,
        max_tokens: Option<u64>,
        now: Timestamp,
    ) {
        let Self { update, condition, values } = self;
        if window != WindowChange::Ignore {
            values.extend([
                (":next", number(now.0 + 1)),
                (":latest", number(now.latest_end(WINDOW_MS).0)),
                (":one", number(1)),
                (":tokens", number(tokens)),
            ]);
        }
        match window {
            WindowChange::Ignore => {}
            WindowChange::Open { ends } => {
                update.extend(["win = :ends", "reqs = :one", "toks = :tokens"]);
                condition.push("NOT win BETWEEN :next AND :latest");
                values.push((":ends", number(ends.0)));
            }
            WindowChange::Count => {
                update.extend(["reqs = reqs + :one", "toks = toks + :tokens"]);
                condition.push("win BETWEEN :next AND :latest");
                if let Some(max) = max_requests {
                    condition.push("reqs < :max_requests");
                    values.push((":max_requests", number(max)));
                }
                if let Some(max) = max_tokens {
                    condition.push("toks <= :max_tokens");
                    // The caller refuses a request above the whole limit before it attempts an admission.
                    values.push((":max_tokens", number(max.saturating_sub(tokens))));
                }
            }
        }
    }

    fn into_change(self) -> Change {
        Change::new(format!("SET {}", self.update.join(", ")))
            .only_if(self.condition.join(" AND "))
            .values(self.values)
            .returning(Returning::Changed)
    }
}
