//! Numbers that look random and are the same for the same seed. Pure.

/// A generator (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// True with this probability.
    pub(crate) fn hits(&mut self, probability: f64) -> bool {
        // 32 bits fit a float exactly.
        let drawn = f64::from(u32::try_from(self.next() >> 32).unwrap_or(u32::MAX));
        drawn < probability * 4_294_967_296.0
    }

    /// A number from 0 to below `end`; 0 if that is 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next().checked_rem(end).unwrap_or(0)
    }

    /// One of several.
    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        let index = self.below(from.len() as u64);
        from.get(usize::try_from(index).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers_and_probabilities_hold() {
        let draw = |seed| {
            let mut chance = Chance::new(seed);
            (0..100).map(|_| chance.below(1_000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        let mut chance = Chance::new(1);
        assert!((0..1_000).all(|_| !chance.hits(0.0)) && (0..1_000).all(|_| chance.hits(1.0)));
        let hits = (0..10_000).filter(|_| chance.hits(0.1)).count();
        assert!((850..1_150).contains(&hits), "{hits}");
        assert!(chance.pick::<u8>(&[]).is_none() && chance.below(0) == 0);
    }
}
