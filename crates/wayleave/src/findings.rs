//! What `wayleave doctor` found, and how it is told.

use std::fmt::Display;

use serde::Serialize;
use serde_json::json;

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// As it should be.
    Ok,
    /// It works, and should be changed.
    Warn,
    /// It does not work, or is not safe.
    Fail,
}

#[derive(Serialize)]
struct Finding {
    level: Level,
    about: String,
    what: String,
    /// What to do; empty where there is nothing to do.
    #[serde(rename = "do")]
    todo: String,
}

/// Everything that was found, in the order of the looking.
#[derive(Default)]
pub(crate) struct Findings {
    all: Vec<Finding>,
    /// What the next findings are about, such as `live`.
    pub(crate) about: String,
}

impl Findings {
    /// Something is as it should be.
    pub(crate) fn ok(&mut self, what: impl Display) {
        self.add(Level::Ok, what, "");
    }

    /// Something works and should be changed.
    pub(crate) fn warn(&mut self, what: impl Display, todo: impl Display) {
        self.add(Level::Warn, what, todo);
    }

    /// Something does not work or is not safe. Many messages say themselves what to do.
    pub(crate) fn fail(&mut self, what: impl Display, todo: impl Display) {
        self.add(Level::Fail, what, todo);
    }

    /// One of two.
    pub(crate) fn expect(&mut self, good: bool, what: impl Display, todo: impl Display) {
        if good {
            self.ok(what);
        } else {
            self.fail(what, todo);
        }
    }

    fn add(&mut self, level: Level, what: impl Display, todo: impl Display) {
        self.all.push(Finding {
            level,
            about: self.about.clone(),
            what: what.to_string(),
            todo: todo.to_string(),
        });
    }

    /// Whether nothing failed.
    pub(crate) fn are_good(&self) -> bool {
        self.all.iter().all(|finding| finding.level != Level::Fail)
    }

    /// One JSON object.
    pub(crate) fn json(&self) -> String {
        let body = json!({ "good": self.are_good(), "findings": self.all });
        format!("{body}\n")
    }

    /// A line for each, and what to do below it.
    pub(crate) fn text(&self) -> String {
        let line = |finding: &Finding| {
            let level = match finding.level {
                Level::Ok => "ok",
                Level::Warn => "warn",
                Level::Fail => "FAIL",
            };
            let todo = if finding.todo.is_empty() {
                String::new()
            } else {
                format!("{:14}-> {}\n", "", finding.todo)
            };
            format!("{level:<5} {:<8}{}\n{todo}", finding.about, finding.what)
        };
        self.all.iter().map(line).collect()
    }
}
