//! What a request asks for, read from its query. Pure.

use event_core::Expression;
use event_core::expression::ParseError;
use serde::Deserialize;
use serde_json::{Value, json};

/// The most rows of one answer, and how many it has when nothing is said.
const MOST: usize = 1_000;
const USUAL: usize = 200;

/// The query of routes that give events.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// Only events that match. Empty or not given: all.
    #[serde(default)]
    expression: String,
    /// Only events with a larger number.
    #[serde(default)]
    pub(super) after: Option<u64>,
    /// Only events with a smaller number.
    #[serde(default)]
    pub(super) before: Option<u64>,
    #[serde(default)]
    limit: Option<usize>,
    /// Whether to give the events themselves, too.
    #[serde(default)]
    pub(super) whole: bool,
}

impl Asked {
    pub(super) fn expression(&self) -> Result<Option<Expression>, ParseError> {
        if self.expression.trim().is_empty() {
            Ok(None)
        } else {
            Expression::parse(&self.expression).map(Some)
        }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit.unwrap_or(USUAL).clamp(1, MOST)
    }
}

/// An expression as the page wants it: whether it is one, its canonical form, or where it is wrong.
pub(super) fn checked(text: &str) -> Value {
    if text.trim().is_empty() {
        return json!({"ok": true, "canonical": null});
    }
    match Expression::parse(text) {
        Ok(expression) => json!({"ok": true, "canonical": expression.to_string()}),
        Err(error) => json!({"ok": false, "error": wrong(text, &error)}),
    }
}

/// What is wrong with an expression. `offset` counts as JavaScript does, in UTF-16 units.
pub(super) fn wrong(text: &str, error: &ParseError) -> Value {
    let before = text.get(..error.position()).unwrap_or(text);
    json!({
        "message": error.to_string(),
        "line": error.line(),
        "column": error.column(),
        "position": error.position(),
        "offset": before.encode_utf16().count(),
        "caret": error.caret(),
    })
}

impl Asked {
    /// The error of [`Asked::expression`], for an answer.
    pub(super) fn wrong(&self, error: &ParseError) -> Value {
        json!({"error": wrong(&self.expression, error)})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_checked_with_its_place() {
        assert_eq!(checked(" "), json!({"ok": true, "canonical": null}));
        let good = checked("topic=a   and id=1");
        assert_eq!(good, json!({"ok": true, "canonical": "topic=a and id=1"}));
        let wrong = checked("topic=\"é😀\" and id=");
        assert_eq!((&wrong["ok"], &wrong["error"]["column"]), (&false.into(), &19.into()));
        assert_eq!((&wrong["error"]["offset"], &wrong["error"]["position"]), (&19.into(), &22.into()));
        assert!(wrong["error"]["caret"].as_str().unwrap().ends_with('^'));
    }

    #[test]
    fn limits_are_kept_within_bounds() {
        let asked = |limit| Asked { limit, ..Asked::default() }.limit();
        assert_eq!((asked(None), asked(Some(0)), asked(Some(7)), asked(Some(9_999))), (200, 1, 7, 1_000));
    }
}
