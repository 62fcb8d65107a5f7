//! The table of ratios in `README.md`, between two marks.

use super::report::{Report, cells, markdown_table};

const BEGIN: &str = "<!-- ratios: written by cargo xtask bench -->\n";
const END: &str = "<!-- end of ratios -->\n";

/// The text of `README.md` with the table of this report in the place of the one that it has.
///
/// Errors: the marks are not there.
pub(super) fn with_table(readme: &str, report: &Report) -> Result<String, String> {
    let missing = || format!("README.md has no {}", BEGIN.trim());
    let (before, rest) = readme.split_once(BEGIN).ok_or_else(missing)?;
    let (_, after) = rest.split_once(END).ok_or_else(missing)?;
    Ok(format!("{before}{BEGIN}{}{END}{after}", table(report)))
}

/// Everything that is compared with something else and has a target.
fn table(report: &Report) -> String {
    let lines: Vec<[String; 5]> = report
        .compared()
        .map(|row| {
            let [name, _, baseline, ratio, target, met] = cells(row);
            [name, baseline, ratio, target, met]
        })
        .collect();
    markdown_table(
        ["", "compared with", "ratio [quartiles]", "target", "met"],
        &lines,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_takes_the_place_of_the_old_one() {
        let report = Report::empty();
        let old = format!("# Name\n\n{BEGIN}| old |\n{END}\nThe rest.\n");
        let new = with_table(&old, &report).unwrap();
        assert!(new.starts_with("# Name\n\n<!-- ratios"), "{new}");
        assert!(
            new.ends_with("<!-- end of ratios -->\n\nThe rest.\n"),
            "{new}"
        );
        assert!(!new.contains("old"), "{new}");
        assert_eq!(with_table(&new, &report).unwrap(), new);
        assert!(with_table("# Name\n", &report).is_err());
    }
}
