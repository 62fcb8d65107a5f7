//! A guess at the word that was meant.

/// The known word that is nearest to the one that was written, or begins with it, where one does.
pub(crate) fn nearest<'w>(
    written: &str,
    known: impl IntoIterator<Item = &'w str>,
) -> Option<&'w str> {
    let furthest = (written.chars().count() / 3).max(2);
    let measured = known
        .into_iter()
        .map(|word| (distance(written, word), word));
    measured
        .filter(|(distance, word)| *distance <= furthest || word.starts_with(written))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// How many letters have to be put in, left out or exchanged (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (number, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = number + 1;
        for (place, against) in other.iter().enumerate() {
            let exchanged = diagonal + usize::from(letter != *against);
            diagonal = row[place + 1];
            row[place + 1] = exchanged.min(diagonal + 1).min(row[place] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_and_a_far_one_is_not() {
        let known = ["live", "limits", "data"];
        assert_eq!(nearest("limitz", known), Some("limits"));
        assert_eq!(nearest("limit", known), Some("limits"));
        assert_eq!(nearest("proxies", known), None);
        assert_eq!(
            nearest("master", ["tls", "master_key_file"]),
            Some("master_key_file")
        );
        assert_eq!((distance("", "abc"), distance("kitten", "sitting")), (3, 3));
    }
}
