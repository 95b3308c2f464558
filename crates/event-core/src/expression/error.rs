//! The error of parsing and building: which rule, where, and a picture of the place.

use std::fmt;

use crate::{Error, ErrorKind};

/// How many characters of a line the picture shows.
const WINDOW: usize = 70;

/// Why a text is not an expression, or why parts cannot make one.
///
/// `Display` is one line: where, what was found, what was expected and what to do. [`ParseError::caret`] adds the
/// picture.
///
/// ```
/// let error = event_core::expression::Expression::parse("topic=ftrack.update and id=").unwrap_err();
/// assert_eq!((error.position(), error.column()), (27, 28));
/// assert_eq!(error.caret(), "topic=ftrack.update and id=\n                           ^");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ParseError(Box<Inner>);

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    kind: ParseErrorKind,
    position: usize,
    line: usize,
    column: usize,
    message: String,
    /// The line, or the part of it around the place.
    excerpt: String,
    /// Characters of the excerpt before the place.
    indent: usize,
}

/// The rules an expression can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// There is nothing but white space, or no part to join.
    Empty,
    /// A character that no part of an expression has outside quotes.
    UnexpectedCharacter,
    /// A condition, `not` or `(` should stand here.
    ExpectedOperand,
    /// A field is not followed by an operator.
    ExpectedOperator,
    /// An operator is not followed by a value.
    ExpectedValue,
    /// A quoted value does not end.
    UnterminatedQuote,
    /// A quoted value contains a line break.
    LineBreakInQuote,
    /// A parenthesis without its partner.
    UnbalancedParenthesis,
    /// Something other than `and`, `or` or `)` follows a complete operand.
    TrailingInput,
    /// Nested deeper than [`MAX_DEPTH`](super::MAX_DEPTH).
    TooDeep,
    /// Longer than [`MAX_LENGTH`](super::MAX_LENGTH).
    TooLong,
    /// A field given to a constructor cannot be written.
    InvalidField,
    /// A value given to a constructor cannot be written.
    InvalidValue,
}

impl ParseError {
    /// An error at a byte offset of a text.
    pub(super) fn at(kind: ParseErrorKind, text: &str, position: usize, message: impl Into<String>) -> Self {
        let position = (0..=position).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let (before, after) = text.split_at(position);
        let line_start = before.rfind('\n').map_or(0, |index| index + 1);
        let line_end = position + after.find('\n').unwrap_or(after.len());
        let line = 1 + before.matches('\n').count();
        let column = before[line_start..].chars().count();

        let line_text = text[line_start..line_end].trim_end_matches('\r');
        let count = line_text.chars().count();
        let start = if count <= WINDOW { 0 } else { column.saturating_sub(WINDOW / 2).min(count - WINDOW) };
        let mut excerpt: String = line_text.chars().skip(start).take(WINDOW).map(shown).collect();
        let mut indent = column - start;
        if start > 0 {
            excerpt.insert_str(0, "...");
            indent += 3;
        }
        if start + WINDOW < count {
            excerpt.push_str("...");
        }
        Self(Box::new(Inner {
            kind,
            position,
            line,
            column: column + 1,
            message: message.into(),
            excerpt,
            indent,
        }))
    }

    /// An error about an expression that has no text.
    pub(super) fn unplaced(kind: ParseErrorKind, message: impl Into<String>) -> Self {
        Self::at(kind, "", 0, message)
    }

    /// Which rule was broken, for `match`.
    pub fn kind(&self) -> ParseErrorKind {
        self.0.kind
    }

    /// The byte offset of the place in the text that was given: the expression for the parser, the field or the
    /// value for a constructor, 0 where parts were joined.
    pub fn position(&self) -> usize {
        self.0.position
    }

    /// The line of the place, from 1.
    pub fn line(&self) -> usize {
        self.0.line
    }

    /// The column of the place in its line, from 1, in characters.
    pub fn column(&self) -> usize {
        self.0.column
    }

    /// Two lines: the text and a caret under the place. Of a text of several lines, the one concerned; of a long
    /// one, about 70 characters; control characters are replaced. Empty where there is no text.
    pub fn caret(&self) -> String {
        if self.0.excerpt.is_empty() {
            return String::new();
        }
        format!("{}\n{:indent$}^", self.0.excerpt, "", indent = self.0.indent)
    }
}

/// A character that takes one column and does nothing else to a terminal.
fn shown(character: char) -> char {
    match character {
        '\t' => ' ',
        control if control.is_control() => char::REPLACEMENT_CHARACTER,
        other => other,
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.line > 1 {
            write!(f, "line {}, ", self.0.line)?;
        }
        if !self.0.excerpt.is_empty() {
            write!(f, "column {}: ", self.0.column)?;
        }
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParseError")
            .field("kind", &self.0.kind)
            .field("position", &self.0.position)
            .field("message", &self.to_string())
            .finish()
    }
}

impl std::error::Error for ParseError {}

/// [`ErrorKind::InvalidExpression`]; the message has the picture, and the cause is the [`ParseError`].
impl From<ParseError> for Error {
    fn from(error: ParseError) -> Self {
        let caret = error.caret();
        let message = if caret.is_empty() { error.to_string() } else { format!("{error}\n{caret}") };
        Error::new(ErrorKind::InvalidExpression, "parse expression", message).with_source(error)
    }
}
