//! What is wrong, and where.

use std::fmt;

use event_core::{Error, ErrorKind};

/// Why something is no CloudEvent, or cannot be one. Names places, never values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudEventError {
    path: String,
    problem: Problem,
}

/// What is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// The text is no JSON, or not UTF-8.
    NotJson {
        /// The line, from 1 on; 0 where it is not known.
        line: usize,
        /// The column, from 1 on; 0 where it is not known.
        column: usize,
    },
    /// It must be there.
    Missing,
    /// It must not be empty.
    Empty,
    /// It is there twice.
    Twice,
    /// It has another type.
    Type {
        /// What it must be.
        expected: &'static str,
    },
    /// It is of a version that is not read here; 1.0 is.
    Version,
    /// The name of an attribute has other characters than small letters and digits.
    Name,
    /// It has control characters, or others that CloudEvents does not allow.
    Characters,
    /// It is no URI and no reference to one.
    NotUri,
    /// It is no time of RFC 3339.
    NotTime,
    /// `data` and `data_base64` exclude each other.
    TwoPayloads,
    /// The extension has a member that it cannot have.
    Reserved {
        /// Which one.
        member: &'static str,
    },
    /// The event that it describes cannot be: too many members, for instance.
    NoEvent {
        /// What the core says.
        why: String,
    },
}

impl CloudEventError {
    pub(crate) fn at(member: &str, problem: Problem) -> Self {
        Self { path: format!("$.{member}"), problem }
    }

    pub(crate) fn whole(problem: Problem) -> Self {
        Self { path: "$".to_owned(), problem }
    }

    pub(crate) fn within(mut self, index: usize) -> Self {
        self.path = format!("$[{index}]{}", self.path.strip_prefix('$').unwrap_or_default());
        self
    }

    /// Where: `$.id`, `$[3].time`. What the extensions of this mapping hold is named below them: `$.hubextra.id`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }
}

impl fmt::Display for CloudEventError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path)?;
        match &self.problem {
            Problem::NotJson { line: 0, .. } => f.write_str("it is no JSON"),
            Problem::NotJson { line, column } => {
                write!(f, "it is no JSON from line {line}, column {column} on")
            }
            Problem::Missing => f.write_str("it is missing, and a CloudEvent must have it"),
            Problem::Empty => f.write_str("it must not be empty"),
            Problem::Twice => f.write_str("it is there twice"),
            Problem::Type { expected } => write!(f, "it must be {expected}"),
            Problem::Version => f.write_str("only CloudEvents 1.0 are read"),
            Problem::Name => f.write_str("attributes are named with small letters and digits alone"),
            Problem::Characters => f.write_str("it has control characters or others that are not allowed"),
            Problem::NotUri => f.write_str("it must be a URI or a reference to one"),
            Problem::NotTime => f.write_str("it must be a time such as 2026-11-26T10:00:00Z"),
            Problem::TwoPayloads => f.write_str("there must be data or data_base64, and not both"),
            Problem::Reserved { member } => write!(f, "it cannot have a member {member} here"),
            Problem::NoEvent { why } => write!(f, "it describes no event: {why}"),
        }
    }
}

impl std::error::Error for CloudEventError {}

impl From<CloudEventError> for Error {
    /// Of the kind [`ErrorKind::Decode`], with the error as its source.
    fn from(error: CloudEventError) -> Self {
        Self::new(ErrorKind::Decode, "convert CloudEvent", error.to_string()).with_source(error)
    }
}
