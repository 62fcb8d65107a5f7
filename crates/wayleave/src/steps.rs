//! What `wayleave explain` finds, step by step.

use std::fmt::Write as _;

use serde_json::{Value, json};
use wayleave_protocol::signed::first_difference;

use crate::explain::Explained;

/// One thing that was looked at. `is_good`: unknown where it could not be told.
struct Step {
    name: &'static str,
    finding: String,
    is_good: Option<bool>,
}

/// The steps in the order in which a server takes them, and the texts that were to be signed.
#[derive(Default)]
pub(crate) struct Steps {
    steps: Vec<Step>,
    texts: Vec<(&'static str, String)>,
}

impl Steps {
    /// Notes a step: what was found, or what is wrong.
    pub(crate) fn note(&mut self, name: &'static str, found: Result<String, String>) {
        let is_good = Some(found.is_ok());
        let finding = found.unwrap_or_else(|wrong| wrong);
        self.steps.push(Step {
            name,
            finding,
            is_good,
        });
    }

    /// Notes whether the signature is right; `None`: there was no key to look with.
    pub(crate) fn note_signature(&mut self, is_right: Option<bool>) {
        let finding = match is_right {
            Some(true) => "is right",
            Some(false) => "is not one of this request under this secret",
            None => "not checked: give the secret in WAYLEAVE_SECRET or --secret-file",
        };
        self.steps.push(Step {
            name: "signature",
            finding: finding.to_owned(),
            is_good: is_right,
        });
    }

    /// Adds a text that was to be signed, or what it was made of.
    pub(crate) fn show(&mut self, title: &'static str, text: &[u8]) {
        let text = String::from_utf8_lossy(text).into_owned();
        self.texts.push((title, text));
    }

    /// Notes where what the client signed differs from the text that comes closest to it; line feeds may
    /// be written as `\n`.
    pub(crate) fn compare(&mut self, claimed: Option<&str>) {
        let Some(claimed) = claimed.map(|text| text.replace("\\n", "\n")) else {
            return;
        };
        let texts = self.texts.iter();
        let differences: Option<Vec<_>> = texts
            .map(|(_, ours)| first_difference(ours, &claimed))
            .collect();
        let Some(differences) = differences else {
            self.note("string", Ok("is what the server builds".to_owned()));
            return;
        };
        let nearest = differences.into_iter().max_by_key(|one| one.at_byte);
        self.note("string", match nearest {
            Some(one) => Err(format!(
                "differs first at byte {}, line {}: the server builds \"{}\", the client signed \"{}\"",
                one.at_byte, one.line, one.ours, one.theirs
            )),
            None => Err("cannot be compared: the server builds none".to_owned()),
        });
    }

    /// What is to be printed.
    pub(crate) fn explained(self, json: bool) -> Explained {
        let is_good = self.steps.iter().all(|step| step.is_good != Some(false));
        let text = if json {
            self.json(is_good)
        } else {
            self.text()
        };
        Explained { text, is_good }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for Step { name, finding, .. } in &self.steps {
            let _ = writeln!(text, "{name:<10} {finding}");
        }
        for (title, signed) in &self.texts {
            let _ = writeln!(text, "\n{title}:\n{}", shown(signed));
        }
        text
    }

    fn json(&self, is_good: bool) -> String {
        let steps = self.steps.iter().map(
            |step| json!({ "step": step.name, "finding": step.finding, "good": step.is_good }),
        );
        let texts = self.texts.iter();
        let texts = texts.map(|(title, text)| json!({ "title": title, "text": text }));
        let body = json!({
            "steps": steps.collect::<Vec<Value>>(),
            "texts": texts.collect::<Vec<Value>>(),
            "good": is_good,
        });
        format!("{body}\n")
    }
}

/// Control characters but line feeds as escapes: a terminal would act on them.
fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() && character != '\n' {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(claimed: &str) -> Explained {
        let mut steps = Steps::default();
        steps.note("clock", Ok("within the allowed window".to_owned()));
        steps.show("One", b"GET\n/a");
        steps.show("Other", b"GET\n/b\x1b");
        steps.compare(Some(claimed));
        steps.explained(false)
    }

    #[test]
    fn a_string_is_compared_with_the_nearest_text() {
        let same = compared("GET\\n/a");
        assert!(same.is_good && same.text.contains("is what the server builds"));
        let other = compared("GET\n/bc");
        let expected = "differs first at byte 6, line 2";
        assert!(
            !other.is_good && other.text.contains(expected),
            "{}",
            other.text
        );
        assert!(other.text.contains("/b\\u{1b}"), "{}", other.text);
    }

    #[test]
    fn what_could_not_be_told_speaks_against_nothing() {
        let mut steps = Steps::default();
        steps.note_signature(None);
        assert!(steps.explained(false).is_good);
        let mut steps = Steps::default();
        steps.note_signature(Some(false));
        let explained = steps.explained(true);
        let json: Value = serde_json::from_str(&explained.text).unwrap();
        assert_eq!(
            (json["good"].as_bool(), explained.is_good),
            (Some(false), false)
        );
    }
}
