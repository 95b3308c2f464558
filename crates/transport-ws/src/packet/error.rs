//! What can be wrong with a packet's text.

use std::error::Error;
use std::fmt;

/// What was expected and not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The text is empty.
    Empty,
    /// The type is not one digit 0 to 8 (or, in text without any colon, does not start like one).
    UnknownType,
    /// The text ends before the second colon.
    MissingSeparator,
    /// The id is not a decimal number below 2^64 with an optional `+` after it.
    BadId,
    /// The payload of an event or a JSON packet, or the arguments of an ack, are not JSON.
    BadJson,
    /// The payload of an event is JSON but not an object.
    NotAnObject,
    /// An event has no `name`, or one that is not a string of Unicode characters.
    BadName,
    /// The arguments of an event or an ack are neither an array nor `null`.
    ArgsNotArray,
    /// More than [`MAX_ARGS`](super::MAX_ARGS) arguments.
    TooManyArgs,
    /// An ack does not say which packet it acknowledges.
    BadAckId,
}

impl DecodeErrorKind {
    const fn expected(self) -> &'static str {
        match self {
            Self::Empty => "a packet, not an empty text",
            Self::UnknownType => "a packet type, one digit from 0 to 8",
            Self::MissingSeparator => "two colons before the end of the packet",
            Self::BadId => {
                "an id that is a decimal number below 2^64, a '+' or nothing before the second colon"
            }
            Self::BadJson => "valid JSON",
            Self::NotAnObject => "a JSON object as the payload of an event",
            Self::BadName => "a \"name\" that is a string in the payload of an event",
            Self::ArgsNotArray => "arguments that are a JSON array",
            Self::TooManyArgs => "at most 256 arguments",
            Self::BadAckId => "the number of the packet that the ack is for",
        }
    }
}

/// A text that is not a packet: what was expected, and where. Holds nothing of the text itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DecodeError {
    kind: DecodeErrorKind,
    position: usize,
}

impl DecodeError {
    pub(super) const fn new(kind: DecodeErrorKind, position: usize) -> Self {
        Self { kind, position }
    }

    /// What was expected.
    pub const fn kind(&self) -> DecodeErrorKind {
        self.kind
    }

    /// Where, in bytes from the start of the text, never beyond its end. For [`DecodeErrorKind::BadJson`] the
    /// byte where the JSON parser stopped; for what an event or an ack lacks, the start of its payload.
    pub const fn position(&self) -> usize {
        self.position
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed Socket.IO packet: expected {} at byte {}", self.kind.expected(), self.position)
    }
}

impl Error for DecodeError {}
