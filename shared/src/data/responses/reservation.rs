//! The reservation of a response, as its record keeps it: one line of text for each level.

use std::sync::Arc;

use crate::data::keys::{meter, meter_parts};
use crate::model::clock::Timestamp;
use crate::model::meter::{PlacedReservation, PlacedReservations, Reservation, ReservationId};
use crate::model::money::MicroUsd;
use crate::model::tokens::{Bound, Price, Rates};

/// The reservation of the run that goes on or comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredReservation {
    /// The fence of the run that it is for. A run with a higher fence sees from it that the reservation is not its own.
    pub fence: u64,
    pub placed: PlacedReservations,
    /// The most tokens that the run can use.
    pub bound: Bound,
    /// The price at the time of the reservation, by which the run is settled: a later price may exceed the amount.
    /// `None` for a model without a price.
    pub price: Option<Arc<Price>>,
}

impl StoredReservation {
    /// The first line has what the levels share, each other line a level: the project first.
    pub(in crate::data) fn to_text(&self) -> String {
        // A response has no pieces.
        let Self { fence, placed, bound: Bound { input, output, pieces: _ }, price } = self;
        let price = price.as_deref().map_or_else(String::new, price_text);
        let amount = placed.project.reservation.amount.0;
        let levels: String = placed.all().map(level_text).collect();
        format!("{fence} {amount} {input} {output}{price}{levels}")
    }

    /// Reads the reservation of calls of `model`.
    pub(in crate::data) fn parse(text: &str, model: &str) -> Option<Self> {
        let mut lines = text.split('\n');
        let shared: Vec<&str> = lines.next()?.split(' ').collect();
        let (shared, price) = shared.split_at_checked(4)?;
        let [fence, amount, input, output]: [&str; 4] = shared.try_into().ok()?;
        let amount = MicroUsd(amount.parse().ok()?);
        let mut levels = lines.map(|line| parse_level(line, amount, model));
        Some(Self {
            fence: fence.parse().ok()?,
            placed: PlacedReservations { project: levels.next()??, inner: levels.collect::<Option<_>>()? },
            bound: Bound { input: input.parse().ok()?, output: output.parse().ok()?, pieces: 0 },
            price: if price.is_empty() { None } else { Some(Arc::new(parse_price(price)?)) },
        })
    }
}

fn level_text(placed: &PlacedReservation) -> String {
    let PlacedReservation { meter: at, reservation, tokens, window_ends } = placed;
    let key = meter(at);
    format!("\n{} {} {} {tokens} {}", key.pk, key.sk, reservation.id.as_str(), window_ends.0)
}

fn parse_level(line: &str, amount: MicroUsd, model: &str) -> Option<PlacedReservation> {
    let parts: Vec<&str> = line.split(' ').collect();
    let [pk, sk, id, tokens, window_ends]: [&str; 5] = parts.try_into().ok()?;
    Some(PlacedReservation {
        meter: meter_parts(pk, sk)?,
        reservation: Reservation { id: ReservationId::from_stored(id), amount, model: model.to_owned() },
        tokens: tokens.parse().ok()?,
        window_ends: Timestamp(window_ends.parse().ok()?),
    })
}

/// After a space. JSON without spaces: no word of a price has one.
fn price_text(price: &Price) -> String {
    format!(" {}", serde_json::to_string(price).unwrap_or_default())
}

fn parse_price(parts: &[&str]) -> Option<Price> {
    if let [json] = parts {
        return serde_json::from_str(json).ok();
    }
    // Earlier versions wrote six rates.
    let rates: Vec<u64> = parts.iter().map(|part| part.parse()).collect::<Result<_, _>>().ok()?;
    let [input, cached_input, cache_write, long, output, reasoning] = rates.try_into().ok()?;
    let written = Rates { cache_write, cache_write_30m: cache_write, ..Rates::flat(input, output) };
    Some(Price::from(Rates { cached_input, cache_write_1h: long, cache_write_12h: long, reasoning, ..written }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::meter::{MeterKey, ReservedFor, Scope};
    use crate::model::tokens::{Label, Longer, Multipliers};

    #[test]
    fn a_reservation_reads_back_with_all_of_its_levels() {
        let placed = |scope, shard| PlacedReservation {
            meter: MeterKey { project_id: "proj_1".into(), scope, period: "2026-11".into(), shard },
            reservation: Reservation {
                id: ReservationId::new(Timestamp(99_000), ReservedFor::Job),
                amount: MicroUsd(70),
                model: "m".into(),
            },
            tokens: 8,
            window_ends: Timestamp(60_000),
        };
        let inner = vec![placed(Scope::ApiKey("ab".into()), 0), placed(Scope::Run("cd".into()), 0)];
        let full = StoredReservation {
            fence: 3,
            placed: PlacedReservations { project: placed(Scope::Project, 2), inner },
            bound: Bound { input: 5, output: 6, pieces: 0 },
            price: Some(Arc::new(Price {
                longer: vec![Longer { above: 7, rates: Rates { image_input: Some(3), ..Rates::flat(8, 9) } }],
                geo: Multipliers::new([(Label::new("us"), 1_100_000)].into()),
                in_default_tier: Some(Box::new(Price::from(Rates::flat(1, 2)))),
                ..Price::from(Rates { cache_write_1h: 6, audio_input: Some(12), ..Rates::flat(1, 4) })
            })),
        };
        let alone = PlacedReservations { inner: Vec::new(), ..full.placed.clone() };
        let bare = StoredReservation { placed: alone, price: None, ..full.clone() };
        for each in [full, bare] {
            assert_eq!(StoredReservation::parse(&each.to_text(), "m"), Some(each));
        }
        for damaged in ["", "3 70 5 6", "3 70 5\nMETER#p#0 2026-11 a 8 60000", "3 70 5 6\nOTHER#p#0 2026-11 a 8 60000"]
        {
            assert_eq!(StoredReservation::parse(damaged, "m"), None, "{damaged}");
        }
    }

    #[test]
    fn a_price_of_an_earlier_version_is_read() {
        let price = parse_price(&["1", "2", "3", "6", "4", "5"]).unwrap();
        let rates = Rates {
            cached_input: 2,
            cache_write: 3,
            cache_write_30m: 3,
            cache_write_1h: 6,
            cache_write_12h: 6,
            reasoning: 5,
            ..Rates::flat(1, 4)
        };
        assert_eq!(price, Price::from(rates));
        assert_eq!(parse_price(&["1", "2"]), None);
    }
}
