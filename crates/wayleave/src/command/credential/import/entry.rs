//! The lines of a file to import, and what one has to be.

use std::io::{self, BufRead, Read};

use serde_json::{Map, Value};
use wayleave_core::{Audience, IntegrationId, PropertyId, PublicId, SchemeSet, ScopeSet};
use wayleave_protocol::http_signature::PublicKey;
use wayleave_protocol::json as strict_json;

/// Longer than any line that can be right.
const LINE_LIMIT_BYTES: usize = 64 * 1024;
/// Names have as many characters at most.
const NAME_LIMIT: usize = 200;

/// Members for lines that do not have them.
pub(super) type Defaults = Map<String, Value>;

/// The number of a line, from 1, and its bytes; or why it cannot be right.
pub(super) type Line<'l> = (u64, Result<&'l [u8], String>);

/// A file, line by line; empty lines are passed over.
pub(super) struct Lines<R> {
    input: R,
    number: u64,
    buffer: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// From the first line on.
    pub(super) fn new(input: R) -> Self {
        Lines {
            input,
            number: 0,
            buffer: Vec::new(),
        }
    }

    /// The next line; one that is too long is a fault, and read over.
    pub(super) fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        loop {
            self.buffer.clear();
            let mut limited = self.input.by_ref().take(LINE_LIMIT_BYTES as u64);
            if limited.read_until(b'\n', &mut self.buffer)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if self.buffer.len() == LINE_LIMIT_BYTES && !self.buffer.ends_with(b"\n") {
                self.input.skip_until(b'\n')?;
                let why = format!("longer than {LINE_LIMIT_BYTES} bytes");
                return Ok(Some((self.number, Err(why))));
            }
            if !self.buffer.trim_ascii().is_empty() {
                return Ok(Some((self.number, Ok(&self.buffer))));
            }
        }
    }
}

/// An entry as the node takes it, with the defaults. No fault repeats a secret.
pub(super) fn complete(line: &[u8], defaults: &Defaults) -> Result<Value, String> {
    let given = strict_json::parse_object(line).map_err(|error| error.to_string())?;
    let mut entry = defaults.clone();
    entry.extend(given.into_iter().filter(|(_, value)| !value.is_null()));
    for (member, value) in &entry {
        check_form(member, value)?;
    }
    let text = |member: &str| {
        let value = entry.get(member).and_then(Value::as_str);
        value.ok_or_else(|| format!("{member} is missing"))
    };
    let parsed = |member: &str, why: String| format!("{member}: {why}");
    text("integration")?
        .parse::<IntegrationId>()
        .map_err(|error| parsed("integration", error.to_string()))?;
    let audience: Audience =
        text("audience")?
            .parse()
            .map_err(|error: <Audience as std::str::FromStr>::Err| {
                parsed("audience", error.to_string())
            })?;
    PublicId::parse(text("public_id")?, audience)
        .map_err(|error| parsed("public_id", error.to_string()))?;
    match (
        entry.get("public_key").and_then(Value::as_str),
        entry.get("secret"),
    ) {
        (Some(_), Some(_)) => return Err("public_key goes without a secret".to_owned()),
        (Some(key), None) => {
            PublicKey::read(key).map_err(|error| parsed("public_key", error.to_string()))?;
        }
        (None, _) if text("secret")?.is_empty() => return Err("secret is empty".to_owned()),
        (None, _) => {}
    }
    Ok(Value::Object(entry))
}

/// What can be said of a member alone.
fn check_form(member: &str, value: &Value) -> Result<(), String> {
    let wrong = |why: &str| Err(format!("{member}: {why}"));
    match (member, value) {
        ("expires_at", value) if value.as_i64().is_some_and(|at| at >= 0) => Ok(()),
        ("expires_at", _) => wrong("must be whole seconds since 1970"),
        ("schemes", Value::String(words)) => match words.parse::<SchemeSet>() {
            Ok(_) => Ok(()),
            Err(error) => wrong(&error.to_string()),
        },
        ("scopes", Value::String(words)) => match words.parse::<ScopeSet>() {
            Ok(_) => Ok(()),
            Err(error) => wrong(&error.to_string()),
        },
        ("property", Value::String(id)) => match id.parse::<PropertyId>() {
            Ok(_) => Ok(()),
            Err(error) => wrong(&error.to_string()),
        },
        ("name", Value::String(name)) if !is_name(name) => {
            wrong("has 1 to 200 characters and no control character")
        }
        (
            "integration" | "audience" | "public_id" | "secret" | "public_key" | "name",
            Value::String(_),
        ) => Ok(()),
        (
            "integration" | "property" | "audience" | "public_id" | "secret" | "public_key"
            | "name" | "schemes" | "scopes",
            _,
        ) => wrong("must be a string"),
        _ => Err(format!("unknown member {member:?}")),
    }
}

fn is_name(name: &str) -> bool {
    (1..=NAME_LIMIT).contains(&name.chars().count()) && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn good() -> Value {
        json!({
            "integration": "int_01m80p492ae72s2twc9fc1jvm3", "audience": "routes",
            "public_id": "till one", "secret": "s-e-c-r-e-t",
        })
    }

    fn check(entry: &Value) -> Result<Value, String> {
        complete(entry.to_string().as_bytes(), &Defaults::new())
    }

    #[test]
    fn a_line_is_completed_by_the_defaults_and_its_own_words_win() {
        let mut defaults = Defaults::new();
        defaults.insert("audience".to_owned(), json!("platform"));
        defaults.insert("scopes".to_owned(), json!("jobs:read"));
        let entry = complete(good().to_string().as_bytes(), &defaults).expect("good");
        assert_eq!(
            (&entry["audience"], &entry["scopes"]),
            (&json!("routes"), &json!("jobs:read"))
        );
        let mut line = good();
        line["audience"] = Value::Null;
        let entry = complete(line.to_string().as_bytes(), &defaults).expect("good");
        assert_eq!(entry["audience"], "platform");
    }

    #[test]
    fn what_is_wrong_is_said_without_the_secret() {
        for (member, value, why) in [
            ("integration", json!("ptr_1"), "int_"),
            ("integration", Value::Null, "missing"),
            ("audience", json!("all"), "platform"),
            ("audience", json!("access"), "GUID"),
            ("public_id", json!("a:b"), "colon"),
            ("public_id", json!(7), "string"),
            ("secret", json!(""), "empty"),
            ("secret", Value::Null, "missing"),
            ("name", json!("\u{7}"), "control"),
            ("name", json!(""), "1 to 200"),
            ("schemes", json!("magic"), "known"),
            ("scopes", json!("a\"b"), "scope"),
            ("expires_at", json!("soon"), "1970"),
            ("expires_at", json!(-1), "1970"),
            ("more", json!(1), "unknown member"),
        ] {
            let mut line = good();
            line[member] = value;
            let error = check(&line).expect_err(member);
            assert!(
                error.contains(why) && !error.contains("s-e-c-r-e-t"),
                "{error}"
            );
        }
        let double = br#"{"secret":"s-e-c-r-e-t","secret":"x"}"#;
        assert!(complete(double, &Defaults::new()).is_err());
        let broken = complete(b"{\"secret\":\"s-e-c-r-e-t\" x", &Defaults::new());
        assert!(!broken.expect_err("broken").contains("s-e-c-r-e-t"));
    }

    #[test]
    fn lines_are_numbered_empty_ones_too_and_long_ones_are_read_over() {
        let long = "x".repeat(LINE_LIMIT_BYTES + 5);
        let text = format!("a\n\n  \r\nb\n{long}\nc");
        let mut lines = Lines::new(text.as_bytes());
        let mut seen = Vec::new();
        while let Some((number, line)) = lines.next_line().expect("read") {
            seen.push((number, line.map(|line| line.trim_ascii().to_vec()).ok()));
        }
        let line = |text: &str| Some(text.as_bytes().to_vec());
        assert_eq!(
            seen,
            [(1, line("a")), (4, line("b")), (5, None), (6, line("c"))]
        );
    }
}
