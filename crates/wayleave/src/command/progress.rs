//! How far a long import is: a bar on a terminal, else a line now and then where it was asked for.

use std::io::{IsTerminal, Write};

/// How often a line is written without a terminal.
const LINE_EVERY_S: f64 = 5.0;
const BAR_CELLS: u64 = 30;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Bar,
    Lines,
    Silent,
}

/// The display. It is told the time.
pub(crate) struct Progress {
    form: Form,
    total: u64,
    begun_s: f64,
    last_line_s: f64,
}

impl Progress {
    /// For so many rows; `now_s`: seconds by any clock.
    pub(crate) fn new(total: u64, verbose: bool, now_s: f64) -> Self {
        let form = match (std::io::stderr().is_terminal(), verbose) {
            (true, _) => Form::Bar,
            (false, true) => Form::Lines,
            (false, false) => Form::Silent,
        };
        Progress {
            form,
            total,
            begun_s: now_s,
            last_line_s: now_s,
        }
    }

    /// Shows that so many rows are done.
    pub(crate) fn show(&mut self, done: u64, now_s: f64) {
        let text = describe(done, self.total, now_s - self.begun_s);
        match self.form {
            Form::Bar => {
                // Back to the start of the line, and clear it (ECMA-48).
                eprint!("\r\x1b[K[{}] {text}", bar(done, self.total));
                let _ = std::io::stderr().flush();
            }
            Form::Lines if now_s - self.last_line_s >= LINE_EVERY_S => {
                self.last_line_s = now_s;
                eprintln!("{text}");
            }
            Form::Lines | Form::Silent => {}
        }
    }

    /// Leaves the line of the bar.
    pub(crate) fn end(&self) {
        if self.form == Form::Bar {
            eprintln!();
        }
    }
}

fn bar(done: u64, total: u64) -> String {
    let full = done.min(total) * BAR_CELLS / total.max(1);
    "#".repeat(full as usize) + &"-".repeat((BAR_CELLS - full) as usize)
}

fn describe(done: u64, total: u64, elapsed_s: f64) -> String {
    let percent = done.min(total) * 100 / total.max(1);
    let mut text = format!("{percent} %  {done} of {total} rows");
    let rate = done as f64 / elapsed_s;
    if rate.is_finite() && rate >= 1.0 {
        let left_s = (total.saturating_sub(done)) as f64 / rate;
        text += &format!("  {rate:.0} rows/s  {} left", span(left_s as u64));
    }
    text
}

fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_and_rest_are_told_once_they_are_known() {
        assert_eq!(describe(0, 1000, 0.0), "0 %  0 of 1000 rows");
        assert_eq!(
            describe(250_000, 1_000_000, 10.0),
            "25 %  250000 of 1000000 rows  25000 rows/s  30 s left"
        );
        assert_eq!(describe(0, 0, 1.0), "0 %  0 of 0 rows");
        assert_eq!(span(3725), "1 h 2 min");
        assert_eq!(span(125), "2 min 5 s");
    }

    #[test]
    fn the_bar_has_one_length() {
        for done in [0, 1, 500, 1000, 2000] {
            assert_eq!(bar(done, 1000).len(), BAR_CELLS as usize);
        }
        assert_eq!(bar(1000, 1000), "#".repeat(30));
    }
}
