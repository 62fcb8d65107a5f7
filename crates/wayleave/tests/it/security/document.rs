//! `docs/security.md` says of every row what is done, and names tests that there are.

use std::collections::BTreeSet;
use std::fs;

use crate::harness::root;

/// The rows that are answered, by letter.
const ROWS: [(char, &[u8]); 13] = [
    ('A', &[1, 2, 3, 4, 5, 6, 7, 8, 9]),
    (
        'B',
        &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
    ),
    ('C', &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    (
        'D',
        &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17],
    ),
    ('E', &[1, 2, 3, 4, 5, 6, 7, 8]),
    ('F', &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
    ('G', &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
    ('I', &[1, 2, 3, 4]),
    ('K', &[1, 2, 6, 7, 8]),
    ('L', &[1, 2, 3, 4, 5, 7, 8, 9, 10]),
    ('M', &[1, 2, 3, 4, 5, 6, 7]),
    ('N', &[1, 2, 3, 4, 5, 8, 10]),
    ('O', &[1, 2, 4, 5, 6, 7, 8]),
];

/// The rows of the document: id, threat, what is done, the test or the reason.
fn rows() -> Vec<[String; 4]> {
    let text = fs::read_to_string(root().join("docs/security.md")).expect("the document");
    let cells = |line: &str| -> Option<[String; 4]> {
        let inner = line.strip_prefix("| ")?.strip_suffix(" |")?;
        let cells: Vec<String> = inner.split(" | ").map(str::to_owned).collect();
        <[String; 4]>::try_from(cells).ok()
    };
    let is_row = |row: &[String; 4]| row[0].starts_with(|letter: char| letter.is_ascii_uppercase());
    text.lines().filter_map(cells).filter(is_row).collect()
}

/// What stands in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Every Rust source below `crates/`: its path and what is in it.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("crates")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.ends_with("node_modules") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source");
                found.push((path.to_string_lossy().into_owned(), text));
            }
        }
    }
    found
}

#[test]
fn every_row_is_answered_exactly_once() {
    let wanted = ROWS.iter().flat_map(|(letter, numbers)| {
        numbers
            .iter()
            .map(move |number| format!("{letter}{number}"))
    });
    let mut wanted: Vec<String> = wanted.collect();
    let mut answered: Vec<String> = rows().into_iter().map(|[id, ..]| id).collect();
    wanted.sort();
    answered.sort();
    assert_eq!(answered, wanted);
}

#[test]
fn every_row_names_tests_that_there_are_or_says_why_not() {
    let sources = sources();
    for [id, threat, done, test] in rows() {
        assert!(
            !threat.is_empty() && !done.is_empty(),
            "{id} says too little"
        );
        let names: BTreeSet<&str> = quoted(&test).filter(|name| name.contains("::")).collect();
        assert!(
            !names.is_empty() || test.starts_with("none: "),
            "{id} names no test and no reason"
        );
        for name in names {
            let mut parts = name.rsplit("::");
            let (function, module) = (
                parts.next().unwrap_or_default(),
                parts.next().unwrap_or_default(),
            );
            let is_there = sources.iter().any(|(path, text)| {
                let lies_there = path.ends_with(&format!("/{module}.rs"))
                    || path.ends_with(&format!("/{module}/mod.rs"));
                lies_there && text.contains(&format!("fn {function}("))
            });
            assert!(is_there, "{id} names {name}, which is not there");
        }
    }
}

#[test]
fn every_file_that_a_row_names_is_there() {
    for [id, _, done, test] in rows() {
        let text = format!("{done} {test}");
        for name in quoted(&text).filter(|name| name.ends_with(".rs") || name.ends_with(".toml")) {
            let places = [root().join(name), root().join("crates").join(name)];
            assert!(
                places.iter().any(|place| place.exists()),
                "{id} names {name}"
            );
        }
    }
}
