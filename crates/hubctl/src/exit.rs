//! What went wrong, as one line with what to try next, and an exit code.

use std::fmt;
use std::io;
use std::process::ExitCode;

use ftrack_hub::{Error, ErrorKind};

/// The exit codes besides 0. Documented in `hubctl --help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Failed = 1,
    Usage = 2,
    Connection = 3,
    Timeout = 4,
}

/// Why a command ends without success.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
    next: Option<String>,
    closed_pipe: bool,
}

pub(crate) type Result<T = ()> = std::result::Result<T, Failure>;

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), next: None, closed_pipe: false }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// What to try next.
    #[must_use]
    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// Whether the reader of the output went away, which is no error.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        self.closed_pipe
    }

    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(self.exit as u8)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.next {
            Some(next) => write!(f, "\n  try: {next}"),
            None => Ok(()),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let closed_pipe = error.kind() == io::ErrorKind::BrokenPipe;
        Self { closed_pipe, ..Self::new(Exit::Failed, error.to_string()) }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = exit_of(error.kind());
        let failure = Self::new(exit, error.to_string());
        match exit {
            Exit::Connection => failure.next("hubctl doctor, which looks at every step of a connection"),
            _ => failure,
        }
    }
}

/// The kinds of errors by exit codes.
pub(crate) fn exit_of(kind: ErrorKind) -> Exit {
    match kind {
        ErrorKind::InvalidInput
        | ErrorKind::InvalidExpression
        | ErrorKind::InvalidUrl
        | ErrorKind::InvalidCredentials => Exit::Usage,
        ErrorKind::Unauthenticated
        | ErrorKind::PermissionDenied
        | ErrorKind::ProxyUnauthenticated
        | ErrorKind::Unreachable
        | ErrorKind::Tls
        | ErrorKind::UnsupportedTransport
        | ErrorKind::Protocol
        | ErrorKind::NotConnected
        | ErrorKind::Disconnected => Exit::Connection,
        ErrorKind::Timeout => Exit::Timeout,
        _ => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_their_exit_codes_and_say_what_to_try() {
        for (kind, exit) in [
            (ErrorKind::InvalidUrl, Exit::Usage),
            (ErrorKind::Unauthenticated, Exit::Connection),
            (ErrorKind::ProxyUnauthenticated, Exit::Connection),
            (ErrorKind::Timeout, Exit::Timeout),
            (ErrorKind::Refused, Exit::Failed),
        ] {
            assert_eq!(exit_of(kind), exit, "{kind:?}");
        }
        let failure = Failure::from(Error::new(ErrorKind::Unreachable, "connect", "nobody there"));
        assert_eq!(
            failure.to_string(),
            "connect: nobody there\n  try: hubctl doctor, which looks at every step of a connection"
        );
    }

    #[test]
    fn only_a_closed_pipe_is_no_error() {
        assert!(Failure::from(io::Error::from(io::ErrorKind::BrokenPipe)).is_closed_pipe());
        assert!(!Failure::from(io::Error::from(io::ErrorKind::NotFound)).is_closed_pipe());
    }
}
