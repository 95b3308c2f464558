//! The parser: one pass over the text, recursion bounded by the depth limit.

use super::error::{ParseError, ParseErrorKind as Kind};
use super::tree::{Condition, Group, Node, Operator};
use super::{MAX_DEPTH, MAX_LENGTH};

type Result<T> = std::result::Result<T, ParseError>;

const EXAMPLE: &str = "write a condition such as topic=ftrack.update";

/// Characters of a field.
fn is_field(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.')
}

/// Characters of a value that needs no quotes.
pub(super) fn is_bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_,./*@+".contains(&byte)
}

pub(super) fn parse(text: &str) -> Result<Node> {
    if text.len() > MAX_LENGTH {
        let message = format!(
            "the expression has {} bytes, {MAX_LENGTH} are allowed; use several subscriptions instead",
            text.len()
        );
        return Err(ParseError::at(Kind::TooLong, text, MAX_LENGTH, message));
    }
    let start = text.len() - text.trim_start().len();
    let text_end = text.trim_end().len();
    if start >= text_end {
        return Err(ParseError::unplaced(Kind::Empty, format!("the expression is empty; {EXAMPLE}")));
    }
    let mut parser = Parser { text: &text[..text_end], at: start, depth: 0 };
    let node = parser.any()?;
    match parser.peek() {
        None => Ok(node),
        Some(b')') => Err(parser.error(
            Kind::UnbalancedParenthesis,
            "`)` closes nothing; remove it, or open a parenthesis before",
        )),
        Some(_) => Err(parser.after_operand("`and`, `or` or the end")),
    }
}

/// Whether a constructor's field can be written.
pub(super) fn check_field(field: &str) -> Result<()> {
    if field.is_empty() {
        return Err(ParseError::unplaced(
            Kind::InvalidField,
            "the field is empty; give a name such as topic",
        ));
    }
    match field.bytes().position(|byte| !is_field(byte)) {
        None => Ok(()),
        Some(at) => {
            let message =
                format!("{} cannot stand in a field; use A-Z a-z 0-9 _ and dots", character_at(field, at));
            Err(ParseError::at(Kind::InvalidField, field, at, message))
        }
    }
}

/// Whether a constructor's value can be written, with quotes if need be.
pub(super) fn check_value(value: &str) -> Result<()> {
    if quote_for(value).is_some() {
        return Ok(());
    }
    let (at, message) = match value.find(['\n', '\r']) {
        Some(at) => (at, "a line break cannot be written in a value; match on a part of the text"),
        // Under both quotes it ends too early or not at all; the later of the two places is the one to change.
        None => (
            closed(value, b'"').max(closed(value, b'\'')),
            "no quotes can hold this value: it has both kinds, or ends in a single `\\`; match on a prefix instead",
        ),
    };
    Err(ParseError::at(Kind::InvalidValue, value, at, message))
}

/// Where a value would end early, or its last character where it would run on.
fn closed(value: &str, quote: u8) -> usize {
    end_of_quoted(value, quote).unwrap_or(value.len().saturating_sub(1))
}

/// The quote that can hold a value, which stands between them as it is.
pub(super) fn quote_for(value: &str) -> Option<char> {
    let holds = |quote| {
        let text = format!("{value}{}", char::from(quote));
        end_of_quoted(&text, quote) == Ok(value.len())
    };
    [b'"', b'\''].into_iter().find(|quote| holds(*quote)).map(char::from)
}

#[derive(Debug, PartialEq, Eq)]
enum Unquotable {
    LineBreak(usize),
    Unterminated,
}

/// Where the closing quote stands, in a text that begins after the opening one.
fn end_of_quoted(text: &str, quote: u8) -> std::result::Result<usize, Unquotable> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let next = bytes.get(at + 1);
        at += match byte {
            b'\n' | b'\r' => return Err(Unquotable::LineBreak(at)),
            b'\\' if !matches!(next, Some(b'\n' | b'\r')) => 2,
            _ if byte == quote && next == Some(&quote) => 2,
            _ if byte == quote => return Ok(at),
            _ => 1,
        };
    }
    Err(Unquotable::Unterminated)
}

struct Parser<'a> {
    /// Without the white space at its end.
    text: &'a str,
    at: usize,
    /// Open parentheses and open `not`.
    depth: usize,
}

impl<'a> Parser<'a> {
    fn any(&mut self) -> Result<Node> {
        self.group(Group::Any, Self::all)
    }

    fn all(&mut self) -> Result<Node> {
        self.group(Group::All, Self::operand)
    }

    fn group(&mut self, group: Group, member: fn(&mut Self) -> Result<Node>) -> Result<Node> {
        let first = member(self)?;
        if !self.take_keyword(group.keyword()) {
            return Ok(first);
        }
        let mut members = vec![first, member(self)?];
        while self.take_keyword(group.keyword()) {
            members.push(member(self)?);
        }
        Ok(group.node(members))
    }

    /// `not` operand, a group in parentheses, or a condition.
    fn operand(&mut self) -> Result<Node> {
        let next = self.peek();
        let start = self.at;
        if next == Some(b'(') {
            self.open()?;
            self.at += 1;
            let node = self.any()?;
            match self.peek() {
                Some(b')') => self.at += 1,
                Some(_) => return Err(self.after_operand("`and`, `or` or `)`")),
                None => {
                    let message = "this parenthesis is never closed; add `)`";
                    return Err(ParseError::at(Kind::UnbalancedParenthesis, self.text, start, message));
                }
            }
            self.depth -= 1;
            return Ok(node);
        }

        let word = self.word();
        self.at += word.len();
        let operator = self.operator();
        let Some((operator, length)) = operator else {
            if word.eq_ignore_ascii_case("not") {
                self.at = start;
                self.open()?;
                self.at += word.len();
                let node = self.operand()?;
                self.depth -= 1;
                return Ok(Node::Not(Box::new(node)));
            }
            return Err(self.no_operator(start, word));
        };
        if word.is_empty() {
            return Err(self.no_operator(start, word));
        }
        self.at += length;
        let value = self.value(operator)?;
        Ok(Node::Condition(Condition::new(word, operator, value)))
    }

    fn value(&mut self, operator: Operator) -> Result<&'a str> {
        let next = self.peek();
        let rest = &self.text[self.at..];
        if let Some(quote @ (b'"' | b'\'')) = next {
            let body = &rest[1..];
            return match end_of_quoted(body, quote) {
                Ok(end) => {
                    self.at += end + 2;
                    Ok(&body[..end])
                }
                Err(Unquotable::Unterminated) => Err(self.error(
                    Kind::UnterminatedQuote,
                    format!("the quoted value never ends; close it with {}", char::from(quote)),
                )),
                Err(Unquotable::LineBreak(offset)) => {
                    self.at += 1 + offset;
                    Err(self.error(
                        Kind::LineBreakInQuote,
                        "a quoted value cannot contain a line break; close the quote before it",
                    ))
                }
            };
        }
        let length = rest.bytes().position(|byte| !is_bare(byte)).unwrap_or(rest.len());
        if length == 0 {
            return Err(self.expected(
                Kind::ExpectedValue,
                &format!("a value after `{operator}`"),
                "give one, in quotes if it is empty or has other characters than A-Z a-z 0-9 - _ , . / * @ +",
            ));
        }
        self.at += length;
        Ok(&rest[..length])
    }

    /// The operator after blanks, not taken, and its length.
    fn operator(&mut self) -> Option<(Operator, usize)> {
        let first = self.peek()?;
        let equals = self.text.as_bytes().get(self.at + 1) == Some(&b'=');
        match (first, equals) {
            (b'=', _) => Some((Operator::Eq, 1)),
            (b'!', true) => Some((Operator::Ne, 2)),
            (b'>', true) => Some((Operator::Ge, 2)),
            (b'<', true) => Some((Operator::Le, 2)),
            (b'>', false) => Some((Operator::Gt, 1)),
            (b'<', false) => Some((Operator::Lt, 1)),
            _ => None,
        }
    }

    /// Skips blanks; the byte that follows.
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = bytes.get(self.at) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    /// The longest run of field characters from here, not taken.
    fn word(&self) -> &'a str {
        let rest = &self.text[self.at..];
        &rest[..rest.bytes().position(|byte| !is_field(byte)).unwrap_or(rest.len())]
    }

    /// Takes `and` or `or` after an operand, if it stands there.
    fn take_keyword(&mut self, keyword: &str) -> bool {
        self.peek();
        let found = self.word().eq_ignore_ascii_case(keyword);
        if found {
            self.at += keyword.len();
        }
        found
    }

    fn open(&mut self) -> Result<()> {
        if self.depth == MAX_DEPTH {
            return Err(self.error(
                Kind::TooDeep,
                format!("nested deeper than {MAX_DEPTH} levels of parentheses and `not`; write it flatter"),
            ));
        }
        self.depth += 1;
        Ok(())
    }

    /// No operator follows the word that begins at `start`; `self.at` is after blanks.
    fn no_operator(&mut self, start: usize, word: &str) -> ParseError {
        if word.is_empty() || word.eq_ignore_ascii_case("and") || word.eq_ignore_ascii_case("or") {
            self.at = start;
            return self.expected(Kind::ExpectedOperand, "a condition, `not` or `(`", EXAMPLE);
        }
        self.expected(
            Kind::ExpectedOperator,
            &format!("an operator (= != >= <= > <) after the field `{}`", clipped(word)),
            EXAMPLE,
        )
    }

    /// Something follows a complete operand; `self.at` is after blanks.
    fn after_operand(&self, wanted: &str) -> ParseError {
        let touches = self.text[..self.at].ends_with(|last: char| last.is_ascii() && is_bare(last as u8));
        let hint = match self.text.as_bytes().get(self.at) {
            Some(b'&') => "write `and`",
            Some(b'|') => "write `or`",
            _ if touches => "a value with other characters than A-Z a-z 0-9 - _ , . / * @ + needs quotes",
            _ => "join conditions with `and` or `or`, and put a value with blanks in quotes",
        };
        self.expected(Kind::TrailingInput, wanted, hint)
    }

    fn expected(&self, kind: Kind, wanted: &str, hint: &str) -> ParseError {
        let rest = &self.text[self.at..];
        let word = self.word();
        let (kind, found) = match rest.bytes().next() {
            None => (kind, "the end of the expression".to_owned()),
            Some(_) if !word.is_empty() => (kind, format!("`{}`", clipped(word))),
            Some(byte) if is_bare(byte) || b"()=!<>\"'".contains(&byte) => {
                (kind, format!("`{}`", char::from(byte)))
            }
            Some(_) => (Kind::UnexpectedCharacter, character_at(self.text, self.at)),
        };
        self.error(kind, format!("found {found} where {wanted} was expected; {hint}"))
    }

    fn error(&self, kind: Kind, message: impl Into<String>) -> ParseError {
        ParseError::at(kind, self.text, self.at, message)
    }
}

/// A character for a message; one that does not show by itself is named by its number.
fn character_at(text: &str, at: usize) -> String {
    match text[at..].chars().next() {
        Some(character @ '!'..='~') => format!("`{character}`"),
        Some(' ') => "a blank".to_owned(),
        Some(character) if character.is_alphanumeric() => {
            format!("`{character}` (U+{:04X})", u32::from(character))
        }
        Some(character) => format!("U+{:04X}", u32::from(character)),
        None => "the end".to_owned(),
    }
}

/// A word for a message, cut where it is long.
fn clipped(word: &str) -> String {
    match word.get(..24) {
        Some(start) if word.len() > 27 => format!("{start}..."),
        _ => word.to_owned(),
    }
}
