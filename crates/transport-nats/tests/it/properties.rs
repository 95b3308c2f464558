//! Topics and subjects, for any topic and any expression.

use event_core::{Event, Expression};
use proptest::prelude::*;
use transport_nats::{Filters, Subjects};

/// Topics with everything that subjects cannot have.
fn topics() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[a-c.*> %é]{0,12}", "[a-b](\\.[a-b]){0,4}"]
}

/// Expressions over few topics, so that they match now and then.
fn expressions() -> impl Strategy<Value = Expression> {
    let value = "[ab](\\.[ab]){0,3}\\.?";
    let leaf = prop_oneof![
        value.prop_map(|value| Expression::eq("topic", &value)),
        value.prop_map(|value| Expression::prefix("topic", &value)),
        value.prop_map(|value| Expression::ne("topic", &value)),
        Just(Expression::prefix("topic", "")),
        Just(Expression::eq("data.n", "1")),
    ];
    leaf.prop_map(|leaf| leaf.expect("an expression")).prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|all| Expression::all(all).expect("small")),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|any| Expression::any(any).expect("small")),
            inner.prop_map(|inner| inner.negate().expect("small")),
        ]
    })
}

/// Whether a server takes it as the subject of a publish: visible tokens without wildcards.
fn is_subject(subject: &str) -> bool {
    subject.split('.').all(|token| {
        !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'*' && byte != b'>')
    })
}

proptest! {
    #[test]
    fn every_topic_has_a_subject_of_its_own(topic in topics(), other in topics()) {
        let subjects = Subjects::new("p.q").unwrap();
        let subject = subjects.subject(&topic);
        prop_assert!(is_subject(&subject), "{subject}");
        let back = subjects.topic(&subject).unwrap();
        prop_assert_eq!(back.as_str(), &topic);
        prop_assert_eq!(subjects.subject(&other) == subject, other == topic);
    }

    #[test]
    fn a_subject_that_is_read_is_written_the_same(tail in "[a-b%0-9A-F. *>é]{0,16}") {
        let subjects = Subjects::new("p").unwrap();
        let subject = format!("p.{tail}");
        if let Ok(topic) = subjects.topic(&subject) {
            prop_assert_eq!(subjects.subject(topic.as_str()), subject);
        }
    }

    #[test]
    fn filters_let_through_whatever_matches(expression in expressions(), topic in "[ab](\\.[ab]){0,4}\\.?", n in 0..2) {
        let subjects = Subjects::new("p").unwrap();
        let event = Event::new(topic.as_str(), &serde_json::json!({ "n": n })).unwrap();
        let filters = Filters::of(&subjects, Some(&expression));
        let subject = subjects.subject(&topic);
        if expression.matches(&event) {
            prop_assert!(filters.accept(&subject), "{} over {}", filters.as_slice().join(" "), subject);
            let single = filters.single(&subjects);
            let through = single == subject || single.strip_suffix('>').is_some_and(|start| subject.starts_with(start));
            prop_assert!(through, "{single} over {subject}");
        }
    }

    #[test]
    fn no_two_filters_let_the_same_through(expression in expressions()) {
        let subjects = Subjects::new("p").unwrap();
        let filters = Filters::of(&subjects, Some(&expression));
        for (n, one) in filters.as_slice().iter().enumerate() {
            for other in &filters.as_slice()[n + 1..] {
                let within = |outer: &str, inner: &str| {
                    outer == inner || outer.strip_suffix('>').is_some_and(|start| inner.starts_with(start))
                };
                prop_assert!(!within(one, other) && !within(other, one), "{one} and {other}");
            }
        }
    }
}
