//! wayleave
