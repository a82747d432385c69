//! Money as integers, so that sums are exact.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An amount of money in millionths of a US dollar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MicroUsd(pub u64);

impl MicroUsd {
    /// The amount in dollars, for display. Exact up to 9 billion dollars.
    #[must_use]
    pub fn dollars(self) -> f64 {
        // 2^53 micro-dollars are 9 billion dollars.
        #[expect(clippy::cast_precision_loss, reason = "amounts stay far below 2^53 micro-dollars")]
        let micro = self.0 as f64;
        micro / 1e6
    }

    /// Reads dollars, rounded to the nearest micro-dollar.
    ///
    /// Returns `None` for negative numbers, for values that are not numbers, and for more than a billion dollars.
    ///
    /// ```
    /// # use shared::model::money::MicroUsd;
    /// assert_eq!(MicroUsd::from_dollars(0.1), Some(MicroUsd(100_000)));
    /// assert_eq!(MicroUsd::from_dollars(-1.0), None);
    /// ```
    #[must_use]
    pub fn from_dollars(dollars: f64) -> Option<Self> {
        if !(0.0..=1e9).contains(&dollars) {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "range checked above")]
        let micro = (dollars * 1e6).round() as u64;
        Some(Self(micro))
    }

    /// The amount as a signed number, for balances that may go below zero.
    #[must_use]
    pub fn signed(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }
}

/// As dollars.
impl Serialize for MicroUsd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.dollars())
    }
}

impl<'de> Deserialize<'de> for MicroUsd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let dollars = f64::deserialize(deserializer)?;
        Self::from_dollars(dollars)
            .ok_or_else(|| D::Error::custom(format_args!("{dollars} is not 0 to 1000000000 dollars")))
    }
}

impl Add for MicroUsd {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for MicroUsd {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for MicroUsd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self(0), Add::add)
    }
}

/// Dollars with six decimals, as in `x-weir-cost-usd`: `0.000123`.
impl fmt::Display for MicroUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_dollars_with_six_decimals() {
        assert_eq!(MicroUsd(1_000_123).to_string(), "1.000123");
        assert_eq!(MicroUsd(7).to_string(), "0.000007");
    }

    #[test]
    fn refuses_invalid_amounts() {
        for dollars in [f64::NAN, f64::INFINITY, -0.01, 2e9] {
            assert_eq!(MicroUsd::from_dollars(dollars), None, "{dollars}");
        }
    }
}
