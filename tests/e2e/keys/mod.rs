//! Keys: what a wrong one costs, and what a right one may do.

mod checks;
