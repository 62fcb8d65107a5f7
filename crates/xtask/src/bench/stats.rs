//! Medians and quartiles.

/// The middle of some figures and where half of them lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) q1: f64,
    pub(crate) median: f64,
    pub(crate) q3: f64,
}

impl Spread {
    /// The spread of figures in any order; `None` of none.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        if sorted.is_empty() {
            return None;
        }
        sorted.sort_by(f64::total_cmp);
        Some(Spread {
            q1: quantile(&sorted, 0.25),
            median: quantile(&sorted, 0.5),
            q3: quantile(&sorted, 0.75),
        })
    }
}

/// The figure below which `share` of the sorted figures lie, between two of them in proportion.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let below = sorted[place.floor() as usize];
    let above = sorted[place.ceil() as usize];
    below + (above - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_has_no_spread() {
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn one_figure_is_its_own_spread() {
        let spread = Spread {
            q1: 7.0,
            median: 7.0,
            q3: 7.0,
        };
        assert_eq!(Spread::of([7.0]), Some(spread));
    }

    #[test]
    fn an_odd_number_of_figures_has_a_middle_one() {
        let spread = Spread {
            q1: 2.0,
            median: 3.0,
            q3: 4.0,
        };
        assert_eq!(Spread::of([5.0, 1.0, 4.0, 2.0, 3.0]), Some(spread));
    }

    #[test]
    fn an_even_number_of_figures_is_split_between_the_middle_two() {
        let spread = Spread {
            q1: 1.75,
            median: 2.5,
            q3: 3.25,
        };
        assert_eq!(Spread::of([4.0, 3.0, 2.0, 1.0]), Some(spread));
    }

    #[test]
    fn one_wild_figure_moves_nothing_much() {
        let calm = Spread::of([1.0, 1.1, 0.9, 1.0, 1.0]).unwrap();
        let wild = Spread::of([1.0, 1.1, 0.9, 1.0, 900.0]).unwrap();
        assert_eq!(calm.median, wild.median);
    }
}
