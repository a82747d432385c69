//! Embedded stores.
