//! What judging comes to.

use std::fmt;

use event_core::Error;
use event_core::transport::NotSent;

use crate::subject::Tool;

/// Nothing to object to, or what is broken.
pub type Verdict<T = ()> = Result<T, Broken>;

/// Why a behaviour was not seen.
#[derive(Debug)]
#[non_exhaustive]
pub enum Broken {
    /// The transport does something else; the text says what.
    Promise(String),
    /// The subject has no means to bring the situation about.
    Missing(Tool),
}

impl Broken {
    /// A broken promise.
    pub fn promise(what: impl Into<String>) -> Self {
        Self::Promise(what.into())
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Promise(what) => f.write_str(what),
            Self::Missing(tool) => write!(f, "the subject has no means to {tool}"),
        }
    }
}

impl std::error::Error for Broken {}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self::Promise(format!("an error where none is due: {error} ({:?})", error.kind()))
    }
}

impl From<NotSent> for Broken {
    fn from(not_sent: NotSent) -> Self {
        not_sent.error.into()
    }
}

/// Returns with a broken promise unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($what:tt)+) => {
        if !$condition {
            return Err($crate::Broken::Promise(format!($($what)+)));
        }
    };
}

pub(crate) use ensure;
