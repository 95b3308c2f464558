//! Matching: what a condition finds in a subject, and whether it holds.

use serde_json::{Map, Number, Value};

use super::tree::{Condition, Node, Operator, Pattern};

/// Something that expressions are evaluated over.
pub trait Subject {
    /// What stands at a path of keys, or `None` where a key is missing.
    ///
    /// Arrays and scalars have no keys. An empty path is the subject itself. Called once per condition evaluated,
    /// so it should not allocate:
    ///
    /// ```
    /// use event_core::expression::{Expression, Scalar, Subject};
    ///
    /// struct Message { topic: String, data: serde_json::Value }
    ///
    /// impl Subject for Message {
    ///     fn lookup(&self, path: &[Box<str>]) -> Option<Scalar<'_>> {
    ///         let (first, rest) = path.split_first()?;
    ///         match &**first {
    ///             "topic" if rest.is_empty() => Some(Scalar::Str(&self.topic)),
    ///             "data" => self.data.lookup(rest),
    ///             _ => None,
    ///         }
    ///     }
    /// }
    ///
    /// let message = Message { topic: "ftrack.update".into(), data: serde_json::json!({"count": 3}) };
    /// assert!(Expression::parse("topic=ftrack.* and data.count<=3.0").unwrap().matches(&message));
    /// ```
    fn lookup(&self, path: &[Box<str>]) -> Option<Scalar<'_>>;
}

/// A value found in a subject, as far as expressions tell values apart.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Scalar<'a> {
    /// A text.
    Str(&'a str),
    /// A number.
    Number(&'a Number),
    /// A boolean.
    Bool(bool),
    /// Null, an array or an object: present, but equal to nothing.
    Other,
}

impl<'a> From<&'a Value> for Scalar<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::String(text) => Self::Str(text),
            Value::Number(number) => Self::Number(number),
            Value::Bool(boolean) => Self::Bool(*boolean),
            Value::Null | Value::Array(_) | Value::Object(_) => Self::Other,
        }
    }
}

impl Subject for Value {
    fn lookup(&self, path: &[Box<str>]) -> Option<Scalar<'_>> {
        let found = path.iter().try_fold(self, |value, key| value.as_object()?.get(&**key))?;
        Some(found.into())
    }
}

impl Subject for Map<String, Value> {
    fn lookup(&self, path: &[Box<str>]) -> Option<Scalar<'_>> {
        match path.split_first() {
            Some((first, rest)) => self.get(&**first)?.lookup(rest),
            None => Some(Scalar::Other),
        }
    }
}

impl Node {
    /// Whether the subject satisfies this node.
    pub fn matches<S: Subject + ?Sized>(&self, subject: &S) -> bool {
        match self {
            Self::Condition(condition) => condition.matches(subject),
            Self::Not(inner) => !inner.matches(subject),
            Self::All(members) => members.iter().all(|member| member.matches(subject)),
            Self::Any(members) => members.iter().any(|member| member.matches(subject)),
        }
    }
}

impl Condition {
    /// Whether the subject satisfies this condition; a missing field never does, whatever the operator.
    pub fn matches<S: Subject + ?Sized>(&self, subject: &S) -> bool {
        subject.lookup(self.segments()).is_some_and(|found| self.accepts(found))
    }

    /// Whether the condition holds for a value found at its field.
    ///
    /// Texts compare by code point. Numbers compare with a numeric literal by value, booleans with `true` and
    /// `false` in any case, quoted or not. Everything else is only different (`!=`).
    pub fn accepts(&self, found: Scalar<'_>) -> bool {
        let operator = self.operator();
        match found {
            Scalar::Str(text) => match self.pattern() {
                Some(Pattern::Exact(value)) => text == value,
                Some(Pattern::Prefix(start)) => text.starts_with(start),
                None => operator.holds(text.cmp(self.value())),
            },
            Scalar::Number(number) => match self.number().and_then(|literal| literal.order(number)) {
                Some(order) => operator.holds(order),
                None => operator == Operator::Ne,
            },
            Scalar::Bool(boolean) => match operator {
                Operator::Eq => self.boolean() == Some(boolean),
                Operator::Ne => self.boolean() != Some(boolean),
                _ => false,
            },
            Scalar::Other => operator == Operator::Ne,
        }
    }
}

impl Operator {
    fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Self::Eq => order.is_eq(),
            Self::Ne => order.is_ne(),
            Self::Ge => order.is_ge(),
            Self::Le => order.is_le(),
            Self::Gt => order.is_gt(),
            Self::Lt => order.is_lt(),
        }
    }
}
