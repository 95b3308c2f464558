//! Why an event satisfies an expression, or does not: the tree, condition by condition, with what was found.

use ftrack_hub::Event;
use ftrack_hub::expression::{Condition, Expression, Node, Scalar, Subject};

/// One line of the explanation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) depth: usize,
    /// `None` without an event.
    pub(crate) holds: Option<bool>,
    pub(crate) text: String,
}

/// The rows of an expression over an event, or of the expression alone.
pub(crate) fn rows(expression: &Expression, event: Option<&Event>) -> Vec<Row> {
    let mut rows = Vec::new();
    walk(expression.node(), event, 0, &mut rows);
    rows
}

fn walk(node: &Node, event: Option<&Event>, depth: usize, rows: &mut Vec<Row>) {
    let holds = event.map(|event| node.matches(event));
    let (text, members): (String, &[Node]) = match node {
        Node::Condition(condition) => (told(condition, event), &[]),
        Node::Not(inner) => ("not".to_owned(), std::slice::from_ref(inner)),
        Node::All(members) => ("all of".to_owned(), members),
        Node::Any(members) => ("any of".to_owned(), members),
        other => (format!("{other:?}"), &[]),
    };
    rows.push(Row { depth, holds, text });
    for member in members {
        walk(member, event, depth + 1, rows);
    }
}

/// The condition, and what stands at its field.
fn told(condition: &Condition, event: Option<&Event>) -> String {
    let Some(event) = event else { return condition.to_string() };
    let found = match event.lookup(condition.segments()) {
        None => "there is no such field".to_owned(),
        Some(Scalar::Str(text)) => format!("it is {text:?}"),
        Some(Scalar::Number(number)) => format!("it is {number}"),
        Some(Scalar::Bool(boolean)) => format!("it is {boolean}"),
        Some(_) => "it is null, an object or an array, which equals nothing".to_owned(),
    };
    format!("{condition}   {found}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_condition_says_what_it_found() {
        let event = Event::from_json(r#"{"topic":"a.b","data":{"n":3,"list":[]}}"#).unwrap();
        let expression = Expression::parse("topic=a.* and not (data.n>5 or data.list=x) and id=7").unwrap();
        let told: Vec<String> = rows(&expression, Some(&event))
            .into_iter()
            .map(|row| format!("{}{} {}", " ".repeat(row.depth), row.holds.unwrap(), row.text))
            .collect();
        assert_eq!(
            told,
            [
                "false all of",
                " true topic=a.*   it is \"a.b\"",
                " true not",
                "  false any of",
                "   false data.n>5   it is 3",
                "   false data.list=x   it is null, an object or an array, which equals nothing",
                " false id=7   there is no such field",
            ]
        );
        assert_eq!(rows(&expression, None)[1], Row { depth: 1, holds: None, text: "topic=a.*".to_owned() });
    }
}
