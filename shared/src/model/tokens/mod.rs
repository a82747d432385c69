//! Tokens of a call, and their cost.

mod asked;
mod charge;
mod label;
mod multipliers;
mod price;
#[cfg(test)]
mod properties;
mod usage;

pub use asked::{Asked, Stored};
pub use charge::{Bound, Charge, Unreported};
pub use label::Label;
pub use multipliers::Multipliers;
pub use price::{Longer, Price, Rates};
pub use usage::{Served, Usage};
