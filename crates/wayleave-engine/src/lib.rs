//! wayleave-engine
