//! Pure: what is removed.

use std::time::Duration;

use crate::config::{Retention, millis};

/// What is known of a chunk without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) first: u64,
    pub(crate) count: u64,
    /// When its last record came.
    pub(crate) last_received: u64,
    pub(crate) bytes: u64,
}

/// How many of the oldest chunks go, given those of all, how many bytes they have together, and the first sequence
/// that a durable consumer still needs.
pub(crate) fn removable<'c>(
    oldest: impl IntoIterator<Item = &'c Extent>,
    mut bytes: u64,
    needed: Option<u64>,
    policy: &Retention,
    now: u64,
) -> usize {
    let age = millis(policy.age.min(Duration::from_millis(u64::MAX)));
    let mut gone = 0;
    for chunk in oldest {
        let due = bytes > policy.bytes || now.saturating_sub(chunk.last_received) > age;
        let kept = !policy.even_unhandled && needed.is_some_and(|needed| chunk.first + chunk.count > needed);
        if !due || kept {
            break;
        }
        bytes = bytes.saturating_sub(chunk.bytes);
        gone += 1;
    }
    gone
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks() -> Vec<Extent> {
        (0..5)
            .map(|n| Extent { first: 1 + n * 10, count: 10, last_received: n * 1_000, bytes: 100 })
            .collect()
    }

    #[test]
    fn age_and_size_and_what_is_needed_decide() {
        let policy =
            |age, bytes, even_unhandled| Retention { age: Duration::from_millis(age), bytes, even_unhandled };
        let table = [
            ("nothing is due", policy(9_000, 500, false), None, 0),
            ("two are too old", policy(2_500, 500, false), None, 2),
            ("three are too many", policy(9_000, 200, false), None, 3),
            ("a consumer needs the first", policy(9_000, 200, false), Some(10), 0),
            ("a consumer needs the second", policy(9_000, 200, false), Some(11), 1),
            ("but it may be told of a gap", policy(9_000, 200, true), Some(10), 3),
            ("everything may go", policy(0, 0, false), Some(51), 5),
        ];
        for (case, policy, needed, expected) in table {
            assert_eq!(removable(&chunks(), 500, needed, &policy, 4_001), expected, "{case}");
        }
    }
}
