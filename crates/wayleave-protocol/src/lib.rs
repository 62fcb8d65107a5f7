//! wayleave-protocol
