//! Expressions: what parses can be written and parses to the same, and means the same wherever it is evaluated.

use std::sync::LazyLock;

use event_core::Event;
use event_core::expression::{Expression, MAX_LENGTH, ParseError};
use serde_json::Value;

/// Subjects with every kind of value, as events and as trees.
static SUBJECTS: LazyLock<Vec<(Event, Value)>> = LazyLock::new(|| {
    [
        r#"{"id":"7","topic":"ftrack.update","data":{"count":10,"ratio":0.5,"flag":true,"none":null,"list":[1],"name":"Jane Doe","":{"":"*"}},"source":{"id":"s","user":{"username":"é"}},"target":"","inReplyToEvent":null,"a":"b"}"#,
        r#"{"topic":"a","data":"b","id":null,"target":"id=1","sent":"x","source":null,"a":{"b":-1e300},"AND":18446744073709551615}"#,
    ]
    .into_iter()
    .filter_map(|text| Some((Event::from_json(text).ok()?, serde_json::from_str(text).ok()?)))
    .collect()
});

/// Reads the bytes as an expression.
///
/// # Panics
///
/// When an expression changes by being written and parsed, when it means something else then, or for an event and
/// the tree of the same text, when its negation is not its negation, or when an error does not point into the text.
pub fn body(data: &[u8]) {
    let text = crate::text(data);
    match Expression::parse(&text) {
        Ok(expression) => {
            let again = round_trip(&expression);
            assert_eq!(SUBJECTS.len(), 2, "both subjects are read");
            for (event, tree) in &*SUBJECTS {
                let matches = expression.matches(tree);
                assert_eq!(again.matches(tree), matches, "{expression}");
                assert_eq!(expression.matches(event), matches, "{expression} over an event");
                combined(&expression, tree, matches);
            }
        }
        Err(error) => points_into(&text, &error),
    }
}

fn round_trip(expression: &Expression) -> Expression {
    let written = expression.to_string();
    assert!(written.len() <= MAX_LENGTH);
    match Expression::parse(&written) {
        Ok(again) => {
            assert_eq!(&again, expression, "{written}");
            assert_eq!(again.canonical(), expression.canonical());
            assert_eq!(again.to_string(), written, "written twice");
            again
        }
        Err(error) => panic!("{written} does not parse: {error}"),
    }
}

/// What is built from the expression obeys logic, if it is not too large to be built.
fn combined(expression: &Expression, subject: &Value, matches: bool) {
    let Ok(not) = expression.clone().negate() else { return };
    round_trip(&not);
    assert_eq!(not.matches(subject), !matches, "{not}");
    if let Ok(both) = expression.clone().and(not.clone()) {
        assert!(!round_trip(&both).matches(subject), "{both}");
    }
    if let Ok(either) = expression.clone().or(not) {
        assert!(round_trip(&either).matches(subject), "{either}");
    }
}

fn points_into(text: &str, error: &ParseError) {
    assert!(text.is_char_boundary(error.position()), "{error:?}");
    assert!(!error.to_string().contains(['\n', '\r']), "{error}");
    let caret = error.caret();
    assert!(caret.lines().count() <= 2 && caret.lines().all(|line| line.chars().count() <= 77), "{caret}");
    if let Some((line, mark)) = caret.split_once('\n') {
        assert!(mark.len() <= line.chars().count() + 1, "{caret}");
    }
}
