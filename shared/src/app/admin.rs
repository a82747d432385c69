//! Administration of projects and keys.
