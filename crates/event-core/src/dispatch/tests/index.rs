use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::Event;

fn parse(text: &str) -> Expression {
    Expression::parse(text).unwrap()
}

fn found(index: &Index, event: &Event) -> Vec<u32> {
    let mut found = Vec::new();
    index.candidates(event, &mut found);
    found
}

#[test]
fn only_those_whose_literals_are_all_there_are_candidates() {
    let mut index = Index::new();
    for (number, text) in [
        "topic=ftrack.update and data.n=1",
        "topic=ftrack.update and data.n=2",
        "topic=ftrack.*",
        "topic=other or data.n=2",
        "not topic=x",
        "(topic=a or topic=b) and data.n>1",
    ]
    .iter()
    .enumerate()
    {
        index.insert(u32::try_from(number).unwrap(), &parse(text));
    }
    let event = Event::new("ftrack.update", &json!({"n": 2})).unwrap();
    assert_eq!(found(&index, &event), [1, 2, 3, 4]);
    assert_eq!(found(&index, &Event::new("b", &json!({})).unwrap()), [4, 5]);
    assert_eq!(index.residual_len(), 1);
}

#[test]
fn numbers_booleans_and_texts_meet_under_one_key() {
    let mut index = Index::new();
    index.insert(0, &parse("data.n=10"));
    index.insert(1, &parse("data.n=true"));
    for (data, wanted) in
        [(json!(10), 0), (json!(10.0), 0), (json!("10"), 0), (json!(true), 1), (json!("true"), 1)]
    {
        let event = Event::new("t", &json!({ "n": data })).unwrap();
        assert_eq!(found(&index, &event), [wanted], "{data}");
    }
}

#[test]
fn what_is_taken_out_is_not_found_and_leaves_nothing() {
    let mut index = Index::new();
    let texts = ["topic=a", "topic=a", "topic=a*", "not topic=a", "topic=a or topic=b"];
    for (number, text) in texts.iter().enumerate() {
        index.insert(u32::try_from(number).unwrap(), &parse(text));
    }
    for (number, text) in texts.iter().enumerate().rev() {
        index.remove(u32::try_from(number).unwrap(), &parse(text));
    }
    assert!(index.shapes.is_empty() && index.residual.is_empty() && index.fields.is_empty());
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        (-3_i64..20).prop_map(Value::from),
        Just(json!(1.5)),
        Just(json!(-0.0)),
        "[a1.*tT]{0,3}".prop_map(Value::from),
        Just(json!("true")),
        Just(json!(["a"])),
        Just(json!({"x": "a"})),
    ]
}

fn expression() -> impl Strategy<Value = String> {
    let field =
        prop_oneof![Just("topic"), Just("data.a"), Just("data.b"), Just("data.a.x"), Just("source.id")];
    let operator = prop_oneof![8 => Just("="), 1 => Just("!="), 1 => Just(">")];
    let literal = prop_oneof![
        "[a1.]{0,3}\\*?",
        "-?[0-9]{1,2}(\\.0)?",
        Just("true".to_owned()),
        Just("TRUE".to_owned())
    ];
    let condition = (field, operator, literal).prop_map(|(f, o, v)| format!("{f}{o}\"{v}\""));
    condition.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} and {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} or {b})")),
            inner.prop_map(|a| format!("not ({a})")),
        ]
    })
}

proptest! {
    /// Nobody who wants an event is left out.
    #[test]
    fn whoever_matches_is_a_candidate(
        texts in prop::collection::vec(expression(), 1..12),
        topic in "[a1.]{1,3}",
        a in value(),
        b in value(),
    ) {
        let expressions: Vec<Expression> = texts.iter().map(|text| parse(text)).collect();
        let mut index = Index::new();
        for (number, expression) in (0..).zip(&expressions) {
            index.insert(number, expression);
        }
        let event = Event::builder(topic).data(&json!({"a": a, "b": b})).source_field("id", "a").build().unwrap();
        let candidates = found(&index, &event);
        for (number, expression) in (0..).zip(&expressions) {
            if expression.matches(&event) {
                prop_assert!(candidates.contains(&number), "{expression} wants {}", String::from_utf8_lossy(&event.to_json()));
            }
        }
    }
}
