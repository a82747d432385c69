//! Operations: what weir does, without HTTP.
