//! What can be wrong with a store, and what to do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use event_core::{Error, ErrorKind, Retry};

/// What is wrong with a store.
///
/// As an [`Error`] it has the kind [`ErrorKind::Storage`] and is its source.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// The file is no journal, or is damaged.
    Damaged {
        /// Where it is.
        path: PathBuf,
        /// What was found.
        found: String,
    },
    /// The file was written by a newer version of this crate.
    NewerVersion {
        /// Where it is.
        path: PathBuf,
        /// The version of its format.
        version: u32,
    },
    /// Another process, or another journal of this one, has the file open.
    Locked {
        /// Where it is.
        path: PathBuf,
    },
    /// The file or its folder cannot be written.
    ReadOnly {
        /// Where it is.
        path: PathBuf,
    },
    /// There is no such file, and it is not to be made.
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// There is no room on the disk.
    Full {
        /// Where it is.
        path: PathBuf,
    },
    /// Another failure of the disk.
    Io {
        /// Where it is.
        path: PathBuf,
        /// What the system says.
        found: String,
    },
    /// More waits to be written than may.
    Busy,
    /// The journal was closed.
    Closed,
}

impl StoreError {
    /// What an operation on the file came to.
    pub(crate) fn of_io(path: &Path, error: &io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::Full { path }
            }
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                Self::Damaged { path, found: error.to_string() }
            }
            _ => Self::Io { path, found: error.to_string() },
        }
    }

    pub(crate) fn of_store(path: &Path, error: &redb::Error) -> Self {
        match error {
            redb::Error::Io(error) => Self::of_io(path, error),
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => {
                Self::Locked { path: path.to_owned() }
            }
            redb::Error::PreviousIo | redb::Error::DatabaseClosed => {
                Self::Io { path: path.to_owned(), found: "it failed before".to_owned() }
            }
            other => Self::Damaged { path: path.to_owned(), found: other.to_string() },
        }
    }

    /// Whether the same may go well later without anybody doing anything to the file.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Locked { .. } | Self::Full { .. } | Self::Io { .. } | Self::Busy)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { path, found } => write!(
                f,
                "{} is damaged or no journal ({found}); save what is readable with event_journal::export, move the \
                 file away and open a new one",
                path.display()
            ),
            Self::NewerVersion { path, version } => write!(
                f,
                "{} has format {version}, and this version reads up to {}; use a newer version of event-journal, or \
                 another file",
                path.display(),
                crate::record::FORMAT
            ),
            Self::Locked { path } => write!(
                f,
                "{} is open already, in this process or another; end that, or give each its own file",
                path.display()
            ),
            Self::ReadOnly { path } => write!(
                f,
                "{} cannot be written; give this user the right to write it and its folder, or choose another place",
                path.display()
            ),
            Self::Missing { path } => {
                write!(f, "there is no journal at {}; look for it where the program makes it", path.display())
            }
            Self::Full { path } => write!(
                f,
                "no room on the disk of {}; free some, or lower Retention::bytes; writing goes on by itself then",
                path.display()
            ),
            Self::Io { path, found } => write!(f, "the disk of {} fails: {found}", path.display()),
            Self::Busy => {
                f.write_str("more waits to be written than may; the disk is too slow for what comes")
            }
            Self::Closed => f.write_str("the journal was closed; open it again"),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let kind = match error {
            StoreError::Busy => ErrorKind::Full,
            StoreError::Closed => ErrorKind::Closed,
            _ => ErrorKind::Storage,
        };
        let retry = if error.may_pass() { Retry::Backoff } else { Retry::Never };
        Self::new(kind, "use journal", error.to_string()).with_retry(retry).with_source(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_of_the_disk_says_what_to_do() {
        let of = |kind| StoreError::of_io(Path::new("/j"), &io::Error::from(kind));
        assert!(matches!(of(io::ErrorKind::StorageFull), StoreError::Full { .. }));
        assert!(matches!(of(io::ErrorKind::ReadOnlyFilesystem), StoreError::ReadOnly { .. }));
        assert!(matches!(of(io::ErrorKind::PermissionDenied), StoreError::ReadOnly { .. }));
        assert!(matches!(of(io::ErrorKind::InvalidData), StoreError::Damaged { .. }));
        assert!(matches!(of(io::ErrorKind::TimedOut), StoreError::Io { .. }));
        let error = Error::from(of(io::ErrorKind::StorageFull));
        assert_eq!(error.kind(), ErrorKind::Storage);
        assert!(error.is_transient() && error.to_string().contains("free some"), "{error}");
        assert!(!Error::from(of(io::ErrorKind::InvalidData)).is_transient());
    }
}
