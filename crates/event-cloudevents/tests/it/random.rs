//! Whatever comes: nothing is lost, and nothing panics.

use proptest::prelude::*;

use crate::generated::{attributes, choices, mapping, tree};

proptest! {
    #[test]
    fn an_event_that_is_written_and_read_is_the_same(mut choices in choices()) {
        let event = choices.event();
        let json = mapping().write(&event).unwrap();
        let back = mapping().read(&json).unwrap();
        prop_assert_eq!(tree(&back), tree(&event), "{}", String::from_utf8_lossy(&json));
    }

    #[test]
    fn a_cloud_event_that_is_read_and_written_is_the_same(mut choices in choices()) {
        let json = choices.foreign().to_string();
        let event = mapping().read(&json).unwrap();
        let back = mapping().write(&event).unwrap();
        prop_assert_eq!(attributes(&back), attributes(json.as_bytes()));
    }

    #[test]
    fn batches_are_lists_of_the_same(mut choices in choices(), count in 0..4_u8) {
        let events: Vec<_> = (0..count).map(|_| choices.event()).collect();
        let json = mapping().write_batch(&events).unwrap();
        let back = mapping().read_batch(&json).unwrap();
        let trees = |events: &[event_core::Event]| events.iter().map(tree).collect::<Vec<_>>();
        prop_assert_eq!(trees(&back), trees(&events));
    }

    #[test]
    fn a_damaged_cloud_event_is_refused_or_read_and_never_half(
        mut choices in choices(),
        ours in any::<bool>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..4),
    ) {
        let mut json = if ours {
            mapping().write(&choices.event()).unwrap().to_vec()
        } else {
            choices.foreign().to_string().into_bytes()
        };
        for (at, byte, how) in damage {
            let at = at.index(json.len());
            match how {
                0 => json[at] = byte,
                1 => json.truncate(at.max(1)),
                _ => json.insert(at, byte),
            }
        }
        let _ = mapping().read_batch(&json);
        match mapping().read(&json) {
            Err(error) => prop_assert!(error.path().starts_with('$')),
            Ok(event) => {
                let written = mapping().write(&event).unwrap();
                let back = mapping().read(&written).unwrap();
                // A number that is too large for a tree is kept all the same.
                if serde_json::from_slice::<serde_json::Value>(&event.to_json()).is_ok() {
                    prop_assert_eq!(tree(&back), tree(&event));
                }
            }
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        prop_assert!(mapping().read(&bytes).is_err());
    }
}
