//! Request bodies that were checked.
