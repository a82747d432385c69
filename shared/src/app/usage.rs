//! Usage and cost reports.
