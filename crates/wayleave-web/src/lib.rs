//! wayleave-web
