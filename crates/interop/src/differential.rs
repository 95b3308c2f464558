//! The official Python client's expressions beside ours: the same generated pairs of expression and event, in one
//! run. Every difference must be one of the documented classes.
//!
//! What explains a difference is a model of the documented rules of the Python client, evaluated on our own parsed
//! tree: where the model says what Python said, the rules that made it differ are the classes; where it does not,
//! the difference is unexplained.

use std::collections::BTreeMap;
use std::fmt;

use event_core::expression::{Condition, Node, Operator};
use event_core::{Event, Expression};
use serde_json::{Value, json};

use crate::{Failure, Puppet, Tools};

/// Pairs that go to Python at a time.
const BATCH: usize = 500;

/// How many pairs agreed, and how many differed for which documented reason.
#[derive(Clone, Debug, Default)]
pub struct Classes {
    /// Pairs with the same outcome.
    pub same: usize,
    /// Of these, expressions that both refuse.
    pub refused_by_both: usize,
    /// Of the rest, pairs that match.
    pub matched: usize,
    /// Differences by their class.
    pub classes: BTreeMap<&'static str, usize>,
    /// Differences of no class: expression, event, what Python said, what we said.
    pub unexplained: Vec<String>,
}

impl fmt::Display for Classes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { same, refused_by_both, matched, classes, unexplained } = self;
        writeln!(f, "{same:>7}  the same ({refused_by_both} refused by both, {matched} match)")?;
        for (class, count) in classes {
            writeln!(f, "{count:>7}  {class}")?;
        }
        write!(f, "{:>7}  unexplained", unexplained.len())?;
        for example in unexplained.iter().take(10) {
            write!(f, "\n         {example}")?;
        }
        Ok(())
    }
}

/// Compares this many generated pairs.
///
/// # Errors
///
/// When Python does not start or stops.
pub async fn differential(tools: &Tools, pairs: usize, seed: u64) -> Result<Classes, Failure> {
    let python = Puppet::start("ftrack-python-api 3.1.0", tools.python("ftrack.py")?)?;
    let mut random = Random(seed);
    let mut classes = Classes::default();
    let mut left = pairs;
    while left > 0 {
        let count = left.min(BATCH);
        left -= count;
        let cases: Vec<(String, Value)> =
            (0..count).map(|_| (random.expression(3), random.event())).collect();
        let answer = python.call("expressions", json!({"cases": cases})).await?;
        let results = answer["results"].as_array().cloned().unwrap_or_default();
        if results.len() != count {
            return Err(Failure::new(format!("{} results for {count} pairs", results.len())));
        }
        for ((text, event), theirs) in cases.iter().zip(&results) {
            compare(text, event, theirs, &mut classes);
        }
    }
    Ok(classes)
}

fn compare(text: &str, event: &Value, theirs: &Value, classes: &mut Classes) {
    let refused = theirs.get("refused").is_some();
    let ours = Expression::parse(text);
    let unexplained = |ours: &str| format!("{text:?} on {event}: Python {theirs}, ours {ours}");
    let Ok(expression) = ours else {
        if refused {
            classes.same += 1;
            classes.refused_by_both += 1;
        } else if let Some(class) = parse_class(text) {
            *classes.classes.entry(class).or_default() += 1;
        } else {
            classes.unexplained.push(unexplained("refuses"));
        }
        return;
    };
    if refused {
        match parse_class(text) {
            Some(class) => *classes.classes.entry(class).or_default() += 1,
            None => classes.unexplained.push(unexplained("parses")),
        }
        return;
    }
    let Ok(made) = Event::from_json(event.to_string()) else {
        classes.unexplained.push(unexplained("cannot read the event"));
        return;
    };
    let matches = expression.matches(&made);
    let same = theirs.get("matches") == Some(&json!(matches));
    if same {
        classes.same += 1;
        classes.matched += usize::from(matches);
        return;
    }
    let mut reasons = Vec::new();
    let model = match python(expression.node(), event, &mut reasons) {
        Ok(matches) => json!({"matches": matches}),
        Err(raises) => json!({"raises": raises}),
    };
    match (model == *theirs, reasons.first().copied(), parse_class(text)) {
        (true, Some(class), _) | (_, _, Some(class)) => *classes.classes.entry(class).or_default() += 1,
        _ => classes.unexplained.push(unexplained(if matches { "matches" } else { "does not match" })),
    }
}

/// Texts that the two parsers are documented to read differently.
fn parse_class(text: &str) -> Option<&'static str> {
    if text.contains('\t') {
        return Some("Python expands a tab inside quotes");
    }
    let lower = text.to_ascii_lowercase();
    let not_dot = lower
        .match_indices("not.")
        .any(|(at, _)| !lower[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.')));
    not_dot.then_some("Python reads \"not.x\" as \"not .x\"")
}

/// What the documented rules of the Python client make of an expression, and which of them differ from ours.
fn python(node: &Node, event: &Value, reasons: &mut Vec<&'static str>) -> Result<bool, &'static str> {
    // Its lists are evaluated to their end before they are judged.
    let mut each = |nodes: &[Node]| -> Result<Vec<bool>, &'static str> {
        nodes.iter().map(|node| python(node, event, reasons)).collect()
    };
    match node {
        Node::All(nodes) => Ok(each(nodes)?.into_iter().all(|matches| matches)),
        Node::Any(nodes) => Ok(each(nodes)?.into_iter().any(|matches| matches)),
        Node::Not(node) => Ok(!python(node, event, reasons)?),
        Node::Condition(condition) => condition_in_python(condition, event, reasons),
        _ => Err("unknown node"),
    }
}

fn condition_in_python(
    condition: &Condition,
    event: &Value,
    reasons: &mut Vec<&'static str>,
) -> Result<bool, &'static str> {
    let mut value = event;
    for key in condition.segments() {
        match value.as_object().and_then(|object| object.get(&**key)) {
            Some(found) => value = found,
            None => return Ok(false),
        }
    }
    let literal = condition.value();
    if condition.operator() == Operator::Eq {
        if literal.is_empty() {
            reasons.push("Python raises IndexError for an empty value");
            return Err("IndexError");
        }
        if let Some(part) = literal.strip_suffix('*') {
            return match value {
                Value::String(text) => {
                    if !text.starts_with(part) {
                        reasons.push("Python's wildcard is a substring");
                    }
                    Ok(text.contains(part))
                }
                Value::Array(items) => {
                    reasons.push("Python's wildcard is membership in lists and objects");
                    Ok(items.iter().any(|item| item == part))
                }
                Value::Object(object) => {
                    reasons.push("Python's wildcard is membership in lists and objects");
                    Ok(object.contains_key(part))
                }
                _ => {
                    reasons.push("Python raises TypeError for a wildcard on what is no text");
                    Err("TypeError")
                }
            };
        }
    }
    let Value::String(text) = value else {
        return match condition.operator() {
            Operator::Eq | Operator::Ne => {
                reasons.push("Python compares numbers and booleans with text: never equal");
                Ok(condition.operator() == Operator::Ne)
            }
            _ => {
                reasons.push("Python raises TypeError for an order of what is no text");
                Err("TypeError")
            }
        };
    };
    // By code point, as Python and UTF-8 do.
    let ordering = text.as_str().cmp(literal);
    Ok(match condition.operator() {
        Operator::Eq => ordering.is_eq(),
        Operator::Ne => ordering.is_ne(),
        Operator::Lt => ordering.is_lt(),
        Operator::Le => ordering.is_le(),
        Operator::Gt => ordering.is_gt(),
        Operator::Ge => ordering.is_ge(),
        _ => return Err("unknown operator"),
    })
}

/// Generates expressions and events that have something to do with each other.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap_or(0)
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    fn expression(&mut self, depth: usize) -> String {
        match self.below(if depth == 0 { 4 } else { 12 }) {
            0..=5 => self.condition(),
            6 | 7 => format!("{} and {}", self.expression(depth - 1), self.expression(depth - 1)),
            8 | 9 => format!("{} or {}", self.expression(depth - 1), self.expression(depth - 1)),
            10 => format!("not {}", self.expression(depth - 1)),
            _ => format!("({})", self.expression(depth - 1)),
        }
    }

    fn condition(&mut self) -> String {
        let field = self.of(&[
            "topic",
            "id",
            "target",
            "sent",
            "source.id",
            "source.user.username",
            "data",
            "data.text",
            "data.n",
            "data.x",
            "data.yes",
            "data.nothing",
            "data.list",
            "data.object",
            "data.object.deep",
            "data.list.0",
            "missing",
            "data.missing.more",
            "not.x",
            "and",
            "data.",
            ".topic",
        ]);
        let operator = self.of(&["=", "=", "=", "=", "!=", "!=", ">", "<", ">=", "<="]);
        let value = self.of(&[
            "ftrack.update",
            "ftrack.*",
            "update*",
            "*",
            "**",
            "a",
            "ab",
            "abc",
            "abc*",
            "b*",
            "3",
            "3*",
            "1.5",
            "-2",
            "true",
            "TRUE",
            "false",
            "null",
            "None",
            "1e3",
            "\"\"",
            "\"a b\"",
            "'ab'",
            "\"ftrack.*\"",
            "\"3\"",
            "\"tab\there\"",
            "'quote\"inside'",
            "zz",
            "@+/-",
            "\"\u{e9}\u{1f600}\"",
            "id-1",
            "ann",
            "0",
            "",
            "\"unclosed",
            "a:b",
        ]);
        let (before, after) = (self.of(&["", " "]), self.of(&["", " "]));
        format!("{field}{before}{operator}{after}{value}")
    }

    fn event(&mut self) -> Value {
        let text = self.of(&["abc", "ab", "a b", "", "xabcx", "\u{e9}\u{1f600}", "3", "true", "tab\there"]);
        let topic = self.of(&["ftrack.update", "my.ftrack.update", "ftrack.", "a"]);
        let number = match self.below(5) {
            0 => json!(3),
            1 => json!(-2),
            2 => json!(1.5),
            3 => json!(1000),
            _ => json!(0),
        };
        let object = if self.below(2) == 0 { json!({"deep": text, "a": 1}) } else { json!({}) };
        let mut data = json!({"text": text, "n": number, "yes": self.below(2) == 0, "nothing": null,
            "list": ["a", "abc", 3], "object": object});
        if self.below(2) == 0 {
            data["x"] = match self.below(4) {
                0 => json!(text),
                1 => json!(true),
                2 => json!(["b"]),
                _ => json!(3),
            };
        }
        json!({"topic": topic, "data": data, "id": "id-1", "target": "", "sent": null,
            "source": {"id": "s", "user": {"username": "ann"}}})
    }
}
