//! The usage API on the embedded stores.

#[cfg(test)]
mod api;
#[cfg(test)]
mod reports;
