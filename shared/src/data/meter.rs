//! The meter: what a project may still spend this month, what is held, and its rate windows. One item per shard.
//!
//! Attributes are short because every write is billed by the size of the item:
//!
//! | attribute | meaning |
//! |---|---|
//! | `rev` | revision of the project's limits that the shard was filled for; negative while the project is over a limit that was lowered |
//! | `avail` | micro-dollars neither spent nor held; without a budget it counts down from 0 |
//! | `spent` | micro-dollars settled |
//! | `limit` | shard 0 only: the budget that `avail` of all shards was filled from |
//! | `holds` | map: hold id -> `<micro-dollars> <model>` |
//! | `win` `reqs` `toks` | end of the rate window (Unix milliseconds), requests and tokens in it |
//! | `due_shard` `due_at` | when the sweeper should look for holds whose lease ended |

use aws_sdk_dynamodb::types::AttributeValue;

use super::due::DUE_SHARDS;
use super::error::StoreError;
use super::item::{Item, Reader, number, text};
use super::keys::{self, Key};
use super::table::{Change, Outcome, Returning, Table, Write};
use crate::model::clock::Timestamp;
use crate::model::id;
use crate::model::money::MicroUsd;

/// The most shards that a meter can have.
pub const MAX_SHARDS: u8 = 16;

/// A meter is kept this long after its month began, for the books.
const KEPT_SECONDS: u64 = 400 * 86_400;

/// Which meter, and which of its shards.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MeterKey {
    pub project_id: String,
    /// Calendar month in UTC, `2026-11`.
    pub period: String,
    pub shard: u8,
}

impl MeterKey {
    fn key(&self) -> Key {
        keys::meter(&self.project_id, &self.period, self.shard)
    }
}

/// Identifies a hold within its shard and says until when it is leased: 8 hexadecimal digits of Unix seconds, 8 random.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReservationId(String);

impl ReservationId {
    #[must_use]
    pub fn new(lease_until: Timestamp) -> Self {
        Self(format!("{:08x}{}", lease_until.0.div_ceil(1_000), id::random(8)))
    }

    /// An identifier that was stored.
    pub(super) fn stored(text: &str) -> Self {
        Self(text.to_owned())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// When the sweeper may settle the hold.
    #[must_use]
    pub fn lease_until(&self) -> Timestamp {
        let seconds = self.0.get(..8).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0);
        Timestamp(seconds * 1_000)
    }
}

/// Money set aside for a call that is running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    pub id: ReservationId,
    pub amount: MicroUsd,
    pub model: String,
}

/// The rate window of a shard: a minute that begins with its first request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    pub ends: Timestamp,
    pub requests: u64,
    pub tokens: u64,
}

/// One shard of a meter, as the table holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    pub revision: i64,
    pub avail: i64,
    pub spent: MicroUsd,
    pub limit: Option<MicroUsd>,
    /// Those whose lease ends first come first.
    pub holds: Vec<Reservation>,
    pub window: Window,
}

impl Shard {
    /// Micro-dollars held.
    #[must_use]
    pub fn held(&self) -> MicroUsd {
        self.holds.iter().map(|hold| hold.amount).sum()
    }
}

/// What an admission does with the rate window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowMove {
    /// The project has no rate limits.
    Ignore,
    /// Count into the window that is open.
    Count,
    /// The old window has ended: open one that ends then.
    Open { ends: Timestamp },
}

/// One attempt to admit a call at one shard.
#[derive(Debug, Clone)]
pub struct Attempt {
    pub revision: u64,
    pub hold: Reservation,
    /// Whether the project has a budget.
    pub budgeted: bool,
    pub tokens: u64,
    pub max_requests: Option<u64>,
    pub max_tokens: Option<u64>,
    pub window: WindowMove,
    pub now: Timestamp,
}

/// A change of one shard in a transaction over all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    pub shard: u8,
    /// The revision the shard was seen with; `None`: the shard does not exist yet.
    pub seen: Option<i64>,
    pub revision: i64,
    /// Added to `avail`.
    pub delta: i64,
    /// Refuse the whole transaction if `avail` is less than this by now.
    pub at_least: Option<i64>,
    /// Shard 0 only.
    pub limit: Option<MicroUsd>,
}

/// Whether a settlement took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    Now,
    /// The hold was gone: somebody settled it before.
    Before,
}

impl Table {
    /// Admits a call at one shard with one conditional write. Returns the window after it, or the shard as it refused
    /// (`None` if it does not exist).
    ///
    /// # Errors
    /// If the table fails.
    pub async fn admit(&self, at: &MeterKey, attempt: &Attempt) -> Result<Result<Window, Option<Shard>>, StoreError> {
        match self.update(at.key(), admission(attempt)).await? {
            Outcome::Done(changed) => Ok(Ok(window(&Reader(&changed))?)),
            Outcome::Refused(None) => Ok(Err(None)),
            Outcome::Refused(Some(item)) => {
                let shard = shard(&item)?;
                // The SDK repeated an admission that had taken effect, because its answer was lost.
                if shard.holds.iter().any(|hold| hold.id == attempt.hold.id) {
                    return Ok(Ok(shard.window));
                }
                Ok(Err(Some(shard)))
            }
        }
    }

    /// Settles a hold at its true cost, once: gives back what is left of it and, while the rate window is the one it was
    /// counted in, the tokens that were not used (less than none: the tokens that were used beside).
    ///
    /// # Errors
    /// If the table fails.
    pub async fn settle(
        &self,
        at: &MeterKey,
        hold: &Reservation,
        cost: MicroUsd,
        unused_tokens: i64,
    ) -> Result<Settled, StoreError> {
        let mut update = "SET avail = avail + :back, spent = spent + :cost".to_owned();
        let mut values = vec![(":back", number(hold.amount.signed() - cost.signed())), (":cost", number(cost.0))];
        if unused_tokens != 0 {
            update.push_str(", toks = toks - :unused");
            values.push((":unused", number(unused_tokens)));
        }
        update.push_str(" REMOVE holds.#hold");
        let change = Change {
            update,
            condition: "attribute_exists(holds.#hold)".to_owned(),
            values,
            names: vec![("#hold", hold.id.0.clone())],
            returning: Returning::Nothing,
        };
        match self.update(at.key(), change).await? {
            Outcome::Done(_) => Ok(Settled::Now),
            Outcome::Refused(_) => Ok(Settled::Before),
        }
    }

    /// All shards of a meter by number; `None` where a shard does not exist.
    ///
    /// # Errors
    /// If the table fails or an item is damaged.
    pub async fn shards(&self, project_id: &str, period: &str) -> Result<Vec<Option<Shard>>, StoreError> {
        let all = (0..MAX_SHARDS).map(|shard| keys::meter(project_id, period, shard)).collect();
        let mut shards = vec![None; usize::from(MAX_SHARDS)];
        for item in self.get_all(all).await? {
            let reader = Reader(&item);
            let pk = reader.text("pk")?;
            let index = pk.rsplit_once('#').and_then(|(_, n)| n.parse::<usize>().ok());
            let place = index.and_then(|index| shards.get_mut(index)).ok_or_else(|| reader.damaged("pk"))?;
            *place = Some(shard(&item)?);
        }
        Ok(shards)
    }

    /// One shard.
    ///
    /// # Errors
    /// If the table fails or the item is damaged.
    pub async fn shard(&self, at: &MeterKey) -> Result<Option<Shard>, StoreError> {
        self.get(at.key()).await?.map(|item| shard(&item)).transpose()
    }

    /// Changes several shards at once. `false` if one of them is not what it was seen as any more.
    ///
    /// A shard that exists knows the newest limits that were brought into force. One that does not knows nothing: it is
    /// made only while the project itself is at the revision that it is made for.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn move_between_shards(
        &self,
        project_id: &str,
        period: &str,
        moves: &[Move],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let writes = moves.iter().map(|step| {
            let key = keys::meter(project_id, period, step.shard);
            match step.seen {
                None => Write::Create(new_shard(key, step, now)),
                Some(seen) => Write::Change(key, shard_change(step, seen)),
            }
        });
        let made = moves.iter().find(|step| step.seen.is_none());
        let is_newest = made.map(|step| {
            let revision = vec![(":revision", number(step.revision.abs()))];
            Write::Check(keys::project(project_id), "revision = :revision", revision)
        });
        self.transact(writes.chain(is_newest).collect()).await
    }

    /// Sets when the sweeper should come back to a shard: when the next lease ends, or never if nothing is held.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn set_meter_due(&self, at: &MeterKey, next: Option<Timestamp>) -> Result<(), StoreError> {
        let change = match next {
            Some(next) => Change {
                update: "SET due_at = :next".to_owned(),
                condition: "attribute_exists(pk)".to_owned(),
                values: vec![(":next", number(next.0))],
                ..Change::default()
            },
            // A hold that was added since the sweeper looked keeps the mark.
            None => Change {
                update: "REMOVE due_at, due_shard".to_owned(),
                condition: "size(holds) = :none".to_owned(),
                values: vec![(":none", number(0))],
                ..Change::default()
            },
        };
        self.update(at.key(), change).await.map(drop)
    }
}

/// A shard that holds something is looked at this often, however long the leases of its jobs are: one hold with a long lease
/// must not hide another whose call died. Calls are leased for as long as a function can run, and a minute.
pub const LOOKED_AT_MS: u64 = 16 * 60_000;

/// Holds that a shard carries: an item has 400 KB at most, and every admission is billed by its size.
pub const MAX_HOLDS: usize = 4_000;

fn admission(attempt: &Attempt) -> Change {
    let mut update = vec![
        "avail = avail - :held",
        "holds.#hold = :hold",
        "due_shard = if_not_exists(due_shard, :due_shard)",
        "due_at = if_not_exists(due_at, :due_at)",
    ];
    let mut condition = vec!["rev = :rev", "attribute_not_exists(holds.#hold)", "size(holds) < :max_holds"];
    let mut values = vec![
        (":held", number(attempt.hold.amount.0)),
        (":hold", text(format!("{} {}", attempt.hold.amount.0, attempt.hold.model))),
        (":due_shard", text((attempt.now.0 % u64::from(DUE_SHARDS)).to_string())),
        (":due_at", number(attempt.hold.id.lease_until().0.min(attempt.now.0 + LOOKED_AT_MS))),
        (":rev", number(attempt.revision)),
        (":max_holds", number(MAX_HOLDS)),
    ];
    if attempt.budgeted {
        condition.push("avail >= :held");
    }
    match attempt.window {
        WindowMove::Ignore => {}
        WindowMove::Open { ends } => {
            update.extend(["win = :ends", "reqs = :one", "toks = :tokens"]);
            condition.push("win <= :now");
            values.extend([(":ends", number(ends.0)), (":now", number(attempt.now.0))]);
            values.extend([(":one", number(1)), (":tokens", number(attempt.tokens))]);
        }
        WindowMove::Count => {
            update.extend(["reqs = reqs + :one", "toks = toks + :tokens"]);
            condition.push("win > :now");
            values.push((":now", number(attempt.now.0)));
            values.extend([(":one", number(1)), (":tokens", number(attempt.tokens))]);
            if let Some(max) = attempt.max_requests {
                condition.push("reqs < :max_requests");
                values.push((":max_requests", number(max)));
            }
            if let Some(max) = attempt.max_tokens {
                condition.push("toks <= :max_tokens");
                // A request above the whole limit never gets here; see `app::admission`.
                values.push((":max_tokens", number(max.saturating_sub(attempt.tokens))));
            }
        }
    }
    Change {
        update: format!("SET {}", update.join(", ")),
        condition: condition.join(" AND "),
        values,
        names: vec![("#hold", attempt.hold.id.0.clone())],
        returning: Returning::Changed,
    }
}

fn new_shard(key: Key, step: &Move, now: Timestamp) -> Item {
    let mut item = key.into_item();
    let numbers = [("rev", step.revision), ("avail", step.delta), ("spent", 0), ("win", 0), ("reqs", 0), ("toks", 0)];
    item.extend(numbers.map(|(name, value)| (name.to_owned(), number(value))));
    item.insert("holds".to_owned(), AttributeValue::M(Item::new()));
    item.insert("expires_at".to_owned(), number(now.seconds() + KEPT_SECONDS));
    if let Some(limit) = step.limit {
        item.insert("limit".to_owned(), number(limit.0));
    }
    item
}

fn shard_change(step: &Move, seen: i64) -> Change {
    let mut change = Change {
        update: "SET rev = :new, avail = avail + :delta".to_owned(),
        condition: "rev = :seen".to_owned(),
        values: vec![(":new", number(step.revision)), (":delta", number(step.delta)), (":seen", number(seen))],
        ..Change::default()
    };
    if let Some(least) = step.at_least {
        change.condition.push_str(" AND avail >= :least");
        change.values.push((":least", number(least)));
    }
    if step.shard == 0 {
        change.names.push(("#limit", "limit".to_owned()));
        match step.limit {
            Some(limit) => {
                change.update.push_str(", #limit = :limit");
                change.values.push((":limit", number(limit.0)));
            }
            None => change.update.push_str(" REMOVE #limit"),
        }
    }
    change
}

fn shard(item: &Item) -> Result<Shard, StoreError> {
    let reader = Reader(item);
    let holds = item.get("holds").and_then(|holds| holds.as_m().ok()).ok_or_else(|| reader.damaged("holds"))?;
    let holds = holds.iter().map(|(id, value)| hold(id, value).ok_or_else(|| reader.damaged("holds")));
    let mut holds = holds.collect::<Result<Vec<_>, _>>()?;
    holds.sort_unstable_by(|one, other| one.id.cmp(&other.id));
    Ok(Shard {
        revision: reader.number("rev")?,
        avail: reader.number("avail")?,
        spent: MicroUsd(reader.number("spent")?),
        limit: reader.maybe_number("limit")?.map(MicroUsd),
        holds,
        window: window(&reader)?,
    })
}

fn hold(id: &str, value: &AttributeValue) -> Option<Reservation> {
    let (amount, model) = value.as_s().ok()?.split_once(' ')?;
    Some(Reservation {
        id: ReservationId(id.to_owned()),
        amount: MicroUsd(amount.parse().ok()?),
        model: model.to_owned(),
    })
}

fn window(reader: &Reader) -> Result<Window, StoreError> {
    Ok(Window {
        ends: Timestamp(reader.maybe_number("win")?.unwrap_or(0)),
        requests: reader.maybe_number("reqs")?.unwrap_or(0),
        // A settlement that gave tokens back just as the window turned may have taken it below zero.
        tokens: u64::try_from(reader.maybe_number::<i64>("toks")?.unwrap_or(0)).unwrap_or(0),
    })
}
