//! Whole and hostile documents of each kind.

mod build;
mod formats;
mod hostile;
mod pdf;
