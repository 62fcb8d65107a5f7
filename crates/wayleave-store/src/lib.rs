//! wayleave-store
