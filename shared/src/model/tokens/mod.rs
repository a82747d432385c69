//! Tokens and pieces of a call, and their cost.

mod asked;
mod charge;
mod label;
mod multipliers;
mod price;
#[cfg(test)]
mod properties;
mod rates;
mod usage;

pub use asked::{Asked, Stored};
pub use charge::{Bound, Charge, Unreported};
pub use label::Label;
pub use multipliers::Multipliers;
pub use price::Price;
pub use rates::{Longer, Rates};
pub use usage::{Served, Usage};
