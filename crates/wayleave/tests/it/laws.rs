//! The laws of `ARCHITECTURE.md` that can be read off the manifests and the sources: which crate
//! may use which, who names the SQL driver, which TLS is in the build, where the clock is read,
//! and which names are not used. Lists of exceptions may only shrink: an entry that is no longer
//! needed fails too.
#![allow(clippy::unwrap_used, reason = "a test may be blunt")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use serde_json::Value;

/// Every crate of ours, and which others of ours it may use. A development dependency may be on
/// `wayleave-testkit` as well.
const MAY_USE: [(&str, &[&str]); 9] = [
    ("wayleave-core", &[]),
    ("wayleave-protocol", &[]),
    ("wayleave-store", &["wayleave-core"]),
    (
        "wayleave-engine",
        &["wayleave-core", "wayleave-protocol", "wayleave-store"],
    ),
    (
        "wayleave-web",
        &[
            "wayleave-core",
            "wayleave-protocol",
            "wayleave-engine",
            "wayleave-proxy",
            "wayleave-store",
        ],
    ),
    (
        "wayleave-proxy",
        &["wayleave-core", "wayleave-protocol", "wayleave-engine"],
    ),
    (
        "wayleave",
        &[
            "wayleave-core",
            "wayleave-protocol",
            "wayleave-store",
            "wayleave-engine",
            "wayleave-web",
            "wayleave-proxy",
        ],
    ),
    (
        "wayleave-testkit",
        &[
            "wayleave-core",
            "wayleave-protocol",
            "wayleave-store",
            "wayleave-engine",
        ],
    ),
    ("xtask", &[]),
];

/// The pure crates: no async runtime, no HTTP, no files, no sockets.
const PURE: [&str; 2] = ["wayleave-core", "wayleave-protocol"];

/// What a pure crate may not name.
const IMPURE: [&str; 6] = [
    "tokio::",
    "hyper::",
    "std::net::Tcp",
    "std::fs::",
    "async fn",
    ".await",
];

/// The files outside the developers' commands that may read the clock, which everything else is
/// given as an argument.
const MAY_READ_THE_CLOCK: [&str; 1] = ["crates/wayleave/src/ports.rs"];

/// How the clock is read.
const CLOCKS: [&str; 2] = ["SystemTime::now", "Instant::now"];

/// The files outside the developers' commands that may draw randomness, which everything else is
/// given as an argument: where it enters, and the keys and signatures that the cryptographic
/// library makes by itself.
const MAY_DRAW_RANDOMNESS: [&str; 4] = [
    "crates/wayleave-protocol/src/jwt/key.rs",
    "crates/wayleave-protocol/tests/protocol/jwt_refusals.rs",
    "crates/wayleave/src/ports.rs",
    "crates/wayleave/tests/it/security/forged_tokens.rs",
];

/// How randomness is drawn.
const RANDOMNESS: [&str; 8] = [
    "SystemRandom::new",
    "rand::fill",
    "getrandom",
    "OsRng",
    "thread_rng",
    "fastrand",
    "rand::random",
    "Uuid::new",
];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 6] = ["utils", "common", "helpers", "types", "manager", "service"];

/// Cryptography that may not be in the build beside aws-lc-rs. (`Cargo.lock` names `ring`, as an
/// option of rustls that nothing turns on.)
const BANNED_CRATES: [&str; 4] = ["ring", "openssl", "openssl-sys", "native-tls"];

#[test]
fn every_crate_is_in_the_table_and_every_crate_of_the_table_exists() {
    let listed: BTreeSet<String> = MAY_USE.iter().map(|row| row.0.to_owned()).collect();
    let existing: BTreeSet<String> = packages().into_keys().collect();
    assert_eq!(
        existing,
        listed,
        "crates/ and the table in {} differ",
        file!()
    );
}

#[test]
fn a_crate_lies_in_the_folder_of_its_name() {
    for (name, package) in packages() {
        let manifest = PathBuf::from(package["manifest_path"].as_str().unwrap());
        let folder = manifest.parent().unwrap();
        assert_eq!(
            folder,
            root().join("crates").join(&name),
            "{name} lies elsewhere"
        );
    }
}

#[test]
fn dependencies_point_down_only() {
    let packages = packages();
    for (name, allowed) in MAY_USE {
        for dependency in packages[name]["dependencies"].as_array().unwrap() {
            let used = dependency["name"].as_str().unwrap();
            let is_ours = packages.contains_key(used);
            let for_development = dependency["kind"] == "dev" && used == "wayleave-testkit";
            assert!(
                !is_ours || for_development || allowed.contains(&used),
                "{name} may not use {used}: it is not below it in the table of ARCHITECTURE.md"
            );
        }
    }
}

#[test]
fn only_the_store_names_the_sql_driver() {
    for (name, package) in packages() {
        let names_it = dependencies(&package).any(|dependency| dependency.starts_with("sqlx"));
        assert_eq!(
            names_it,
            name == "wayleave-store",
            "{name} and its dependency on sqlx"
        );
    }
    let offenders = sources_that_name(&["sqlx::"], |file| {
        !file.starts_with("crates/wayleave-store/") && !is_this_file(file)
    });
    assert!(
        offenders.is_empty(),
        "only wayleave-store may name sqlx, but so do {offenders:?}"
    );
}

#[test]
fn pure_crates_do_no_input_or_output() {
    for name in PURE {
        let folder = format!("crates/{name}/src/");
        let offenders = sources_that_name(&IMPURE, |file| file.starts_with(&folder));
        assert!(
            offenders.is_empty(),
            "{name} is pure, but these are not: {offenders:?}"
        );
    }
}

#[test]
fn the_clock_is_read_only_where_it_enters_the_program() {
    let readers = sources_that_name(&CLOCKS, |file| {
        !file.starts_with("crates/xtask/") && !is_this_file(file)
    });
    let allowed: BTreeSet<String> = MAY_READ_THE_CLOCK.map(str::to_owned).into();
    let offenders: Vec<_> = readers.difference(&allowed).collect();
    assert!(
        offenders.is_empty(),
        "take the time as an argument instead: {offenders:?}"
    );
    let stale: Vec<_> = allowed.difference(&readers).collect();
    assert!(
        stale.is_empty(),
        "no longer read the clock, strike them from the list: {stale:?}"
    );
}

#[test]
fn randomness_enters_the_program_in_one_place() {
    let drawing = sources_that_name(&RANDOMNESS, |file| {
        !file.starts_with("crates/xtask/") && !is_this_file(file)
    });
    let allowed: BTreeSet<String> = MAY_DRAW_RANDOMNESS.map(str::to_owned).into();
    assert_eq!(drawing, allowed, "take randomness as an argument instead");
}

#[test]
fn one_cryptographic_library_is_in_the_build() {
    let tree = cargo(&[
        "tree",
        "--workspace",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
    ]);
    let built: BTreeSet<&str> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert!(
        built.contains("aws-lc-rs"),
        "the tree could not be read: {tree}"
    );
    for banned in BANNED_CRATES {
        assert!(
            !built.contains(banned),
            "{banned} is in the build: find who brings it with `cargo tree -i {banned}`, and \
             choose that crate's aws-lc-rs feature"
        );
    }
}

#[test]
fn names_say_what_is_inside() {
    for name in packages().into_keys() {
        let last = name.rsplit('-').next().unwrap();
        assert!(
            !EMPTY_NAMES.contains(&last),
            "name the crate {name} after its noun"
        );
    }
    for file in sources() {
        let parts = Path::new(&file).with_extension("");
        let empty = parts
            .iter()
            .filter_map(|part| part.to_str())
            .find(|part| EMPTY_NAMES.contains(part));
        assert!(
            empty.is_none(),
            "name {file} after the noun that it is about"
        );
    }
}

/// The repository's root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
        .to_path_buf()
}

/// What cargo prints; nothing is fetched and nothing is changed.
fn cargo(arguments: &[&str]) -> String {
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(program)
        .args(arguments)
        .args(["--offline", "--locked"])
        .current_dir(root())
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {arguments:?}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

/// Our crates by name, as `cargo metadata` describes them.
fn packages() -> BTreeMap<String, Value> {
    let text = cargo(&["metadata", "--no-deps", "--format-version", "1"]);
    let metadata: Value = serde_json::from_str(&text).unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| {
            (
                package["name"].as_str().unwrap().to_owned(),
                package.clone(),
            )
        })
        .collect()
}

/// The names of what a crate depends on, for whatever purpose.
fn dependencies(package: &Value) -> impl Iterator<Item = &str> {
    let dependencies = package["dependencies"].as_array().unwrap().iter();
    dependencies.map(|dependency| dependency["name"].as_str().unwrap())
}

/// Every Rust source below `crates/`, with `/` between folders.
fn sources() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("crates")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("node_modules") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let path = path.strip_prefix(root()).unwrap().to_path_buf();
                found.push(path.to_str().unwrap().replace('\\', "/"));
            }
        }
    }
    assert!(
        found.len() > MAY_USE.len(),
        "the sources were not found below {:?}",
        root()
    );
    found
}

/// The wanted sources with a line of code, not of comment, that has one of these words.
fn sources_that_name(words: &[&str], wanted: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let names = |file: &String| {
        let text = fs::read_to_string(root().join(file)).unwrap();
        text.lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .any(|line| words.iter().any(|word| line.contains(word)))
    };
    sources()
        .into_iter()
        .filter(|file| wanted(file))
        .filter(names)
        .collect()
}

/// The words are in this file too, as data.
fn is_this_file(file: &str) -> bool {
    file == "crates/wayleave/tests/it/laws.rs"
}
