//! What one listener got from its queue, against what was put in: events 1, 2, 3 and so on. Pure.

use std::collections::BTreeSet;

/// What a listener was told, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// An event, by its place in the queue, and the how manieth delivery of it.
    Event { place: u64, delivery: u64 },
    /// One event may be lost here.
    PossibleLoss,
}

/// What a listener's column says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Missed {
    /// Events that never came.
    pub(crate) lost: Vec<u64>,
    /// Those of them that no report of a possible loss stands for.
    pub(crate) unreported: Vec<u64>,
    /// Events that came again without being marked as delivered before.
    pub(crate) unmarked: Vec<u64>,
}

/// Reading under a lock: everything comes, and what comes again says so.
pub(crate) fn locked(told: &[Told], published: u64) -> Missed {
    let mut missed = Missed::default();
    let mut came = BTreeSet::new();
    for told in told {
        if let Told::Event { place, delivery } = told
            && !came.insert(*place)
            && *delivery <= 1
        {
            missed.unmarked.push(*place);
        }
    }
    missed.lost = (1..=published).filter(|event| !came.contains(event)).collect();
    missed.unreported.clone_from(&missed.lost);
    missed
}

/// Destructive reading: in order, nothing twice, and between two deliveries no more is missing than was reported.
pub(crate) fn destructive(told: &[Told], published: u64) -> Missed {
    let mut missed = Missed::default();
    let (mut expected, mut reported) = (1, 0);
    let mut until = |place: u64, reported: u64, missed: &mut Missed| {
        let absent: Vec<u64> = (expected..place).collect();
        let excused = usize::try_from(reported).unwrap_or(usize::MAX).min(absent.len());
        missed.unreported.extend(&absent[excused..]);
        missed.lost.extend(absent);
        if place < expected {
            missed.unmarked.push(place);
        }
        expected = expected.max(place + 1);
    };
    for told in told {
        match told {
            Told::PossibleLoss => reported += 1,
            Told::Event { place, .. } => {
                until(*place, reported, &mut missed);
                reported = 0;
            }
        }
    }
    until(published + 1, reported, &mut missed);
    missed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(place: u64) -> Told {
        Told::Event { place, delivery: 1 }
    }

    #[test]
    fn a_destructive_reader_may_miss_as_much_as_was_reported_at_that_place() {
        let told = [event(1), Told::PossibleLoss, event(3), event(4), Told::PossibleLoss];
        let missed = destructive(&told, 5);
        assert_eq!((missed.lost, missed.unreported), (vec![2, 5], vec![]));
        let missed = destructive(&[event(1), Told::PossibleLoss, event(2), event(4)], 5);
        assert_eq!((missed.lost, missed.unreported), (vec![3, 5], vec![3, 5]));
        let missed = destructive(&[event(1), Told::PossibleLoss, event(4)], 4);
        assert_eq!((missed.lost, missed.unreported), (vec![2, 3], vec![3]));
    }

    #[test]
    fn a_destructive_reader_gets_nothing_twice() {
        assert_eq!(destructive(&[event(1), event(2), event(2)], 2).unmarked, [2]);
    }

    #[test]
    fn under_a_lock_everything_comes_and_what_comes_again_says_so() {
        let again = |delivery| Told::Event { place: 1, delivery };
        assert_eq!(locked(&[again(1), again(2), event(2)], 2), Missed::default());
        assert_eq!(locked(&[again(1), again(1), event(2)], 2).unmarked, [1]);
        assert_eq!(locked(&[again(1)], 2).unreported, [2]);
    }
}
