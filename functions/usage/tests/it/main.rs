//! The usage API on the embedded stores.

#[cfg(test)]
mod reports;
#[cfg(test)]
mod world;
