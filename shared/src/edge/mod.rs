//! HTTP: what happens before and after an operation.
