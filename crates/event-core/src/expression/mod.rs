//! Expressions: which events a subscription wants, and which subscribers an event is for.
//!
//! An expression is a condition such as `topic=ftrack.update`, or conditions put together with `and`, `or`, `not`
//! and parentheses. It is evaluated over a [`Subject`]: the event for a subscription, the subscriber's metadata for
//! a target.
//!
//! ```
//! use event_core::expression::Expression;
//! use serde_json::json;
//!
//! let wanted: Expression = r#"topic=ftrack.* and not (data.count<10 or data.user.name="Jane Doe")"#.parse()?;
//! assert!(wanted.matches(&json!({"topic": "ftrack.update", "data": {"count": 10}})));
//! assert!(!wanted.matches(&json!({"topic": "ftrack.update", "data": {"count": 9.5}})));
//!
//! let built = Expression::prefix("topic", "ftrack.")?
//!     .and(Expression::lt("data.count", "10")?.or(Expression::eq("data.user.name", "Jane Doe")?)?.negate()?)?;
//! assert_eq!(built, wanted);
//! # Ok::<(), event_core::expression::ParseError>(())
//! ```

mod error;
mod matching;
mod number;
mod parse;
mod tree;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

pub use error::{ParseError, ParseErrorKind};
pub use matching::{Scalar, Subject};
#[allow(unused_imports, reason = "for the dispatch index")]
pub(crate) use number::{NumberLiteral, numeric_key, numeric_literal, same_number};
pub use tree::{Condition, Node, Operator, Pattern};

use tree::{Group, Size};

/// How deep an expression may nest: open parentheses plus open `not`, counted in the written form.
pub const MAX_DEPTH: usize = 64;

/// How long an expression may be, in bytes of its text.
pub const MAX_LENGTH: usize = 64 * 1024;

/// A parsed expression; a clone shares the tree.
///
/// `Display` is expression text: quotes and parentheses only where needed, and `text.parse()` gives an equal
/// expression again. That holds for every value of this type, because whatever could not be written within
/// [`MAX_DEPTH`] and [`MAX_LENGTH`] is refused when it is built.
///
/// Equality is that of the trees: `a=b and c=d` differs from `c=d and a=b`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Expression(Arc<Inner>);

#[derive(PartialEq, Eq, Hash)]
struct Inner {
    node: Node,
    size: Size,
}

impl Expression {
    /// Parses expression text, in linear time and bounded stack.
    ///
    /// White space around the whole is ignored. The error says where, what was found and what to write instead.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let node = parse::parse(text)?;
        Ok(Self::new(Size::of(&node), node))
    }

    /// `field=value`, taken literally.
    ///
    /// Refused: a field that is not of `A-Z a-z 0-9 _ .`; a value that no quoting can carry (a line break, both
    /// kinds of quotes, an open backslash at the end); a value that ends in `*`, which would be a prefix: that is
    /// [`Expression::prefix`].
    pub fn eq(field: &str, value: &str) -> Result<Self, ParseError> {
        if value.ends_with('*') {
            return Err(ParseError::at(
                ParseErrorKind::InvalidValue,
                value,
                value.len() - 1,
                "a value that ends in `*` is a prefix and cannot be asked for literally; use Expression::prefix with the text before the `*`",
            ));
        }
        Self::condition(field, Operator::Eq, value)
    }

    /// `field=start*`: true for texts that begin with `start`; an empty start accepts every text.
    ///
    /// Refused: as for [`Expression::eq`], except that `start` may end in `*`, which is then literal.
    pub fn prefix(field: &str, start: &str) -> Result<Self, ParseError> {
        Self::condition(field, Operator::Eq, &format!("{start}*"))
    }

    /// `field!=value`; `*` has no special meaning. Refused: as for [`Expression::eq`], but for the final `*`.
    pub fn ne(field: &str, value: &str) -> Result<Self, ParseError> {
        Self::condition(field, Operator::Ne, value)
    }

    /// `field<value`; `*` has no special meaning. Refused: as for [`Expression::eq`], but for the final `*`.
    pub fn lt(field: &str, value: &str) -> Result<Self, ParseError> {
        Self::condition(field, Operator::Lt, value)
    }

    /// `field<=value`; `*` has no special meaning. Refused: as for [`Expression::eq`], but for the final `*`.
    pub fn le(field: &str, value: &str) -> Result<Self, ParseError> {
        Self::condition(field, Operator::Le, value)
    }

    /// `field>value`; `*` has no special meaning. Refused: as for [`Expression::eq`], but for the final `*`.
    pub fn gt(field: &str, value: &str) -> Result<Self, ParseError> {
        Self::condition(field, Operator::Gt, value)
    }

    /// `field>=value`; `*` has no special meaning. Refused: as for [`Expression::eq`], but for the final `*`.
    pub fn ge(field: &str, value: &str) -> Result<Self, ParseError> {
        Self::condition(field, Operator::Ge, value)
    }

    /// `topic=topic`, taken literally; refused as [`Expression::eq`] is.
    pub fn topic(topic: &str) -> Result<Self, ParseError> {
        Self::eq("topic", topic)
    }

    /// True where every item is. One item is returned as it is, and the members of an `all` among the items join
    /// this one, which keeps the meaning and the written form flat.
    ///
    /// Refused: no items ([`ParseErrorKind::Empty`]), and what would be written deeper than [`MAX_DEPTH`] or longer
    /// than [`MAX_LENGTH`].
    pub fn all(items: impl IntoIterator<Item = Self>) -> Result<Self, ParseError> {
        Self::join(Group::All, items)
    }

    /// True where at least one item is; the rest is as for [`Expression::all`].
    pub fn any(items: impl IntoIterator<Item = Self>) -> Result<Self, ParseError> {
        Self::join(Group::Any, items)
    }

    /// [`Expression::all`] of the two.
    pub fn and(self, other: Self) -> Result<Self, ParseError> {
        Self::all([self, other])
    }

    /// [`Expression::any`] of the two.
    pub fn or(self, other: Self) -> Result<Self, ParseError> {
        Self::any([self, other])
    }

    /// True where this one is not. The negation of `not x` is `x`. Also written `!expression`.
    ///
    /// Refused: what would be written deeper than [`MAX_DEPTH`] or longer than [`MAX_LENGTH`].
    pub fn negate(self) -> Result<Self, ParseError> {
        let size = self.0.size;
        match self.into_node() {
            Node::Not(inner) => Ok(Self::new(Size::of(&inner), *inner)),
            node => Ok(Self::new(size.negated(&node).checked()?, Node::Not(Box::new(node)))),
        }
    }

    /// Whether the subject satisfies the expression. Never fails and allocates nothing.
    pub fn matches<S: Subject + ?Sized>(&self, subject: &S) -> bool {
        self.0.node.matches(subject)
    }

    /// The tree in print form, such as `<All [<Condition topic=ftrack.*> <Not <Condition id=7>>]>`: for logs and
    /// for comparison with other clients. It does not parse again; `Display` does.
    pub fn canonical(&self) -> String {
        let mut out = String::new();
        self.0.node.write_canonical(&mut out);
        out
    }

    /// The tree, to read.
    pub fn node(&self) -> &Node {
        &self.0.node
    }

    fn new(size: Size, node: Node) -> Self {
        Self(Arc::new(Inner { node, size }))
    }

    fn into_node(self) -> Node {
        Arc::try_unwrap(self.0).map_or_else(|shared| shared.node.clone(), |inner| inner.node)
    }

    fn condition(field: &str, operator: Operator, value: &str) -> Result<Self, ParseError> {
        parse::check_field(field)?;
        parse::check_value(value)?;
        let node = Node::Condition(Condition::new(field, operator, value));
        Ok(Self::new(Size::of(&node).checked()?, node))
    }

    fn join(group: Group, items: impl IntoIterator<Item = Self>) -> Result<Self, ParseError> {
        let mut items = items.into_iter();
        let Some(first) = items.next() else {
            return Err(ParseError::unplaced(
                ParseErrorKind::Empty,
                "there is no expression to join; give at least one",
            ));
        };
        let Some(second) = items.next() else { return Ok(first) };

        let mut size = first.0.size.member(group, &first.0.node, true);
        let mut nodes = group.members(first.into_node());
        for item in std::iter::once(second).chain(items) {
            size = size.beside(group, item.0.size.member(group, &item.0.node, true)).checked()?;
            nodes.append(&mut group.members(item.into_node()));
        }
        Ok(Self::new(size, group.node(nodes)))
    }
}

impl std::ops::Not for Expression {
    type Output = Result<Self, ParseError>;

    /// [`Expression::negate`].
    fn not(self) -> Self::Output {
        self.negate()
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The text that was parsed may have had fewer blanks than we like to write; at the limit, so have we.
        tree::write(&self.0.node, f, self.0.size.length > MAX_LENGTH)
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({:?})", self.to_string())
    }
}

impl FromStr for Expression {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text)
    }
}

impl TryFrom<&str> for Expression {
    type Error = ParseError;

    fn try_from(text: &str) -> Result<Self, ParseError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Expression {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        Self::parse(&text)
    }
}

impl TryFrom<&String> for Expression {
    type Error = ParseError;

    fn try_from(text: &String) -> Result<Self, ParseError> {
        Self::parse(text)
    }
}

impl From<&Expression> for Expression {
    fn from(expression: &Expression) -> Self {
        expression.clone()
    }
}
