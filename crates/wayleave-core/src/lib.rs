//! wayleave-core
