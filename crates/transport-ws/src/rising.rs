//! Things by rising numbers of which nearly the first is taken: what waits for acknowledgements, which come nearly
//! in order.

use std::collections::VecDeque;

/// A small map. Numbers are put in rising; taking out is quick near both ends.
pub(crate) struct Rising<T>(VecDeque<(u64, T)>);

impl<T> Rising<T> {
    pub(crate) const fn new() -> Self {
        Self(VecDeque::new())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Puts in a value by a number that is larger than all before.
    pub(crate) fn push(&mut self, number: u64, value: T) {
        debug_assert!(self.0.back().is_none_or(|(last, _)| *last < number), "{number} does not rise");
        self.0.push_back((number, value));
    }

    pub(crate) fn get(&self, number: u64) -> Option<&T> {
        self.place(number).and_then(|at| self.0.get(at)).map(|(_, value)| value)
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<T> {
        let at = self.place(number)?;
        // The first is by far the most frequent.
        let taken = if at == 0 { self.0.pop_front() } else { self.0.remove(at) };
        taken.map(|(_, value)| value)
    }

    pub(crate) fn first(&self) -> Option<&T> {
        self.0.front().map(|(_, value)| value)
    }

    pub(crate) fn pop_first(&mut self) -> Option<(u64, T)> {
        self.0.pop_front()
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    fn place(&self, number: u64) -> Option<usize> {
        if self.0.front().is_some_and(|(first, _)| *first == number) {
            return Some(0);
        }
        self.0.binary_search_by_key(&number, |(number, _)| *number).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map(operations in prop::collection::vec((0_u64..24, any::<bool>()), 0..200)) {
            let (mut rising, mut map) = (Rising::new(), BTreeMap::new());
            let mut next = 0;
            for (number, puts) in operations {
                if puts {
                    next += 1 + number / 8;
                    rising.push(next, number);
                    map.insert(next, number);
                } else {
                    let number = next.saturating_sub(number);
                    prop_assert_eq!(rising.get(number), map.get(&number));
                    prop_assert_eq!(rising.remove(number), map.remove(&number));
                }
                prop_assert_eq!(rising.len(), map.len());
                prop_assert_eq!(rising.first(), map.first_key_value().map(|(_, value)| value));
            }
            prop_assert!(rising.values_mut().map(|value| *value).eq(map.values().copied()));
            prop_assert_eq!(rising.pop_first(), map.pop_first());
        }
    }
}
