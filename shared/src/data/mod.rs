//! The table and the bucket.
