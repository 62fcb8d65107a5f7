use wayleave_core::Timestamp;

/// Tells the time. Everything in one environment reads one clock.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;

    /// Nanoseconds since some moment. It only goes forward, and setting the clock does not change it.
    fn steady_ns(&self) -> u64;
}

/// Gives random bytes fit for secrets.
pub trait Randomness: Send + Sync {
    /// Fills the bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// An array of random bytes.
pub(crate) fn random<const N: usize>(randomness: &dyn Randomness) -> [u8; N] {
    let mut bytes = [0; N];
    randomness.fill(&mut bytes);
    bytes
}
