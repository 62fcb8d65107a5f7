//! wayleave-proxy
