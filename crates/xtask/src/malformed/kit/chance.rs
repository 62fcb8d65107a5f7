//! Chance that can be repeated: the same seed gives the same requests.

/// The splitmix64 sequence (Steele, Lea and Flood, 2014).
pub(super) struct Chance(u64);

impl Chance {
    /// The sequence of one request of a run.
    pub(super) fn of(seed: u64, number: u64) -> Chance {
        let mut root = Chance(seed ^ number.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        Chance(root.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// A number below `end`; 0 when that is 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// One of several.
    pub(super) fn one<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }

    /// True once in so many times.
    pub(super) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}
