//! wayleave-testkit
