//! Tests of the wire formats: published vectors, hostile input and properties.
#![allow(clippy::unwrap_used)]

mod arbitrary;
mod described;
mod formats;
mod json_suite;
mod jwt_refusals;
mod message_signatures;
mod signing_vectors;
mod sigv4;
mod structured_fields;
mod wycheproof;
mod xml_suite;

/// A file under `tests/vectors` of the repository.
fn vector_path(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/vectors")
        .join(name)
}

/// A JSON file under `tests/vectors` of the repository.
fn vector_json(name: &str) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(vector_path(name)).unwrap()).unwrap()
}
