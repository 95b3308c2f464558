//! The tree, how large it is when written, and its two written forms.

use std::fmt::{self, Write};

use super::error::{ParseError, ParseErrorKind};
use super::number::{NumberLiteral, numeric_literal};
use super::parse::{is_bare, quote_for};
use super::{MAX_DEPTH, MAX_LENGTH};

/// One node of an expression's tree.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Node {
    /// `field operator value`.
    Condition(Condition),
    /// True where the inner node is not.
    Not(Box<Node>),
    /// True where every member is; at least two members.
    All(Vec<Node>),
    /// True where at least one member is; at least two members.
    Any(Vec<Node>),
}

/// A comparison of one field with one literal.
#[derive(Clone)]
pub struct Condition {
    segments: Box<[Box<str>]>,
    operator: Operator,
    value: Box<str>,
    number: Option<NumberLiteral>,
    boolean: Option<bool>,
}

/// How a condition compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operator {
    /// `=`: equal, or with a trailing `*` in the value: begins with.
    Eq,
    /// `!=`
    Ne,
    /// `>=`
    Ge,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `<`
    Lt,
}

/// What a condition with `=` asks of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pattern<'a> {
    /// The text begins with this: the value without its one final `*`.
    Prefix(&'a str),
    /// The text is this.
    Exact(&'a str),
}

impl Condition {
    pub(super) fn new(field: &str, operator: Operator, value: &str) -> Self {
        let boolean = if value.eq_ignore_ascii_case("true") {
            Some(true)
        } else if value.eq_ignore_ascii_case("false") {
            Some(false)
        } else {
            None
        };
        Self {
            segments: field.split('.').map(Into::into).collect(),
            operator,
            value: value.into(),
            number: numeric_literal(value),
            boolean,
        }
    }

    /// The field as written, such as `source.user.username`.
    pub fn field(&self) -> String {
        self.segments.join(".")
    }

    /// The field split at its dots, as [`Subject::lookup`](super::Subject::lookup) takes it; a segment may be empty.
    pub fn segments(&self) -> &[Box<str>] {
        &self.segments
    }

    /// The operator.
    pub fn operator(&self) -> Operator {
        self.operator
    }

    /// The value without its surrounding quotes; nothing else is unescaped.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// For `=`, whether texts must be equal to or begin with the value; `None` for the other operators.
    pub fn pattern(&self) -> Option<Pattern<'_>> {
        (self.operator == Operator::Eq)
            .then(|| self.value.strip_suffix('*').map_or(Pattern::Exact(&self.value), Pattern::Prefix))
    }

    pub(super) fn number(&self) -> Option<&NumberLiteral> {
        self.number.as_ref()
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        self.boolean
    }

    fn field_len(&self) -> usize {
        let letters: usize = self.segments.iter().map(|segment| segment.len()).sum();
        letters + self.segments.len() - 1
    }

    /// The quote that the value needs when written.
    fn quote(&self) -> Option<char> {
        let bare = !self.value.is_empty() && self.value.bytes().all(is_bare);
        // Every condition was written once or checked by its constructor, so one of the two quotes serves.
        if bare { None } else { Some(quote_for(&self.value).unwrap_or('"')) }
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.operator == other.operator && self.segments == other.segments && self.value == other.value
    }
}

impl Eq for Condition {}

impl std::hash::Hash for Condition {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.operator, &self.segments, &self.value).hash(state);
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Condition({:?})", self.to_string())
    }
}

/// The condition as expression text, with quotes where needed.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, segment) in self.segments.iter().enumerate() {
            f.write_str(if place == 0 { "" } else { "." })?;
            f.write_str(segment)?;
        }
        match self.quote() {
            None => write!(f, "{}{}", self.operator, self.value),
            Some(quote) => write!(f, "{}{quote}{}{quote}", self.operator, self.value),
        }
    }
}

impl Operator {
    /// The operator as written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Eq => "=",
            Self::Ne => "!=",
            Self::Ge => ">=",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Lt => "<",
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The two kinds of nodes with members.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    All,
    Any,
}

impl Group {
    pub(super) fn keyword(self) -> &'static str {
        match self {
            Self::All => "and",
            Self::Any => "or",
        }
    }

    pub(super) fn node(self, members: Vec<Node>) -> Node {
        match self {
            Self::All => Node::All(members),
            Self::Any => Node::Any(members),
        }
    }

    /// The node as a list of members of this group: its own members if it is one.
    pub(super) fn members(self, node: Node) -> Vec<Node> {
        match (self, node) {
            (Self::All, Node::All(members)) | (Self::Any, Node::Any(members)) => members,
            (_, node) => vec![node],
        }
    }

    /// Whether a member of this group stands in parentheses; `or` binds less than `and`.
    fn wraps(self, member: &Node) -> bool {
        matches!((self, member), (_, Node::Any(_)) | (Self::All, Node::All(_)))
    }

    fn is(self, node: &Node) -> bool {
        matches!((self, node), (Self::All, Node::All(_)) | (Self::Any, Node::Any(_)))
    }
}

/// How large a tree is when written with [`write()`], not compact.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Size {
    pub(super) length: usize,
    depth: usize,
}

impl Size {
    pub(super) fn of(node: &Node) -> Self {
        match node {
            Node::Condition(condition) => {
                let quotes = if condition.quote().is_some() { 2 } else { 0 };
                let operator = condition.operator.as_str().len();
                Self { length: condition.field_len() + operator + condition.value.len() + quotes, depth: 0 }
            }
            Node::Not(inner) => Self::of(inner).negated(inner),
            Node::All(members) => Self::of_group(Group::All, members),
            Node::Any(members) => Self::of_group(Group::Any, members),
        }
    }

    fn of_group(group: Group, members: &[Node]) -> Self {
        let sizes = members.iter().map(|member| Self::of(member).member(group, member, false));
        sizes.reduce(|size, next| size.beside(group, next)).unwrap_or(Self { length: 0, depth: 0 })
    }

    /// The size of `not` before a node of this size.
    pub(super) fn negated(self, inner: &Node) -> Self {
        let inner = if matches!(inner, Node::All(_) | Node::Any(_)) { self.in_parentheses() } else { self };
        Self { length: inner.length + "not ".len(), depth: inner.depth + 1 }
    }

    /// The size of a node of this size as a member of a group, in parentheses where needed; `flat`: a group of the
    /// same kind gives up its members instead.
    pub(super) fn member(self, group: Group, node: &Node, flat: bool) -> Self {
        if group.wraps(node) && !(flat && group.is(node)) { self.in_parentheses() } else { self }
    }

    /// The size of two neighbours in a group.
    pub(super) fn beside(self, group: Group, next: Self) -> Self {
        let keyword = group.keyword().len() + 2;
        Self { length: self.length + keyword + next.length, depth: self.depth.max(next.depth) }
    }

    fn in_parentheses(self) -> Self {
        Self { length: self.length + 2, depth: self.depth + 1 }
    }

    /// The size, if it can be parsed again.
    pub(super) fn checked(self) -> Result<Self, ParseError> {
        if self.depth > MAX_DEPTH {
            return Err(ParseError::unplaced(
                ParseErrorKind::TooDeep,
                format!(
                    "the expression would nest deeper than {MAX_DEPTH} levels of parentheses and `not`; build it flatter"
                ),
            ));
        }
        if self.length > MAX_LENGTH {
            return Err(ParseError::unplaced(
                ParseErrorKind::TooLong,
                format!(
                    "the expression would be longer than {MAX_LENGTH} bytes; use several subscriptions instead"
                ),
            ));
        }
        Ok(self)
    }
}

/// Writes expression text. `compact` leaves out the blanks beside parentheses and quotes, so that the result is
/// never longer than any text that parses to this tree.
pub(super) fn write(node: &Node, out: &mut fmt::Formatter<'_>, compact: bool) -> fmt::Result {
    Writer { out, compact, before: Edge::Open }.node(node)
}

/// What the text written so far ends with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Edge {
    /// Nothing, or an opening parenthesis.
    Open,
    /// A quote or a closing parenthesis.
    Closed,
    /// A keyword or a value without quotes.
    Word,
}

struct Writer<'a, 'b> {
    out: &'a mut fmt::Formatter<'b>,
    compact: bool,
    before: Edge,
}

impl Writer<'_, '_> {
    fn node(&mut self, node: &Node) -> fmt::Result {
        match node {
            Node::Condition(condition) => {
                let edge = if condition.quote().is_some() { Edge::Closed } else { Edge::Word };
                self.blank(false)?;
                self.before = edge;
                write!(self.out, "{condition}")
            }
            Node::Not(inner) => {
                self.keyword("not")?;
                self.nested(inner, matches!(**inner, Node::All(_) | Node::Any(_)))
            }
            Node::All(members) => self.group(Group::All, members),
            Node::Any(members) => self.group(Group::Any, members),
        }
    }

    fn group(&mut self, group: Group, members: &[Node]) -> fmt::Result {
        for (index, member) in members.iter().enumerate() {
            if index > 0 {
                self.keyword(group.keyword())?;
            }
            self.nested(member, group.wraps(member))?;
        }
        Ok(())
    }

    fn nested(&mut self, node: &Node, wrapped: bool) -> fmt::Result {
        if !wrapped {
            return self.node(node);
        }
        self.blank(true)?;
        self.before = Edge::Open;
        self.out.write_char('(')?;
        self.node(node)?;
        self.before = Edge::Closed;
        self.out.write_char(')')
    }

    fn keyword(&mut self, keyword: &str) -> fmt::Result {
        self.blank(false)?;
        self.before = Edge::Word;
        self.out.write_str(keyword)
    }

    /// The blank before the next token, which is a parenthesis or not.
    fn blank(&mut self, parenthesis: bool) -> fmt::Result {
        let wanted = match self.before {
            Edge::Open => false,
            Edge::Closed => !self.compact,
            Edge::Word => !(self.compact && parenthesis),
        };
        if wanted { self.out.write_char(' ') } else { Ok(()) }
    }
}

impl Node {
    pub(super) fn write_canonical(&self, out: &mut String) {
        let (name, members) = match self {
            Self::Condition(condition) => {
                let (field, operator, value) = (condition.field(), condition.operator, condition.value());
                for part in ["<Condition ", &field, operator.as_str(), value, ">"] {
                    out.push_str(part);
                }
                return;
            }
            Self::Not(inner) => {
                out.push_str("<Not ");
                inner.write_canonical(out);
                out.push('>');
                return;
            }
            Self::All(members) => ("<All [", members),
            Self::Any(members) => ("<Any [", members),
        };
        out.push_str(name);
        for (index, member) in members.iter().enumerate() {
            if index > 0 {
                out.push(' ');
            }
            member.write_canonical(out);
        }
        out.push_str("]>");
    }
}
