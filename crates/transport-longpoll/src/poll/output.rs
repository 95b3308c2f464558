//! What a poller says, and where it stands.

use std::time::{Duration, Instant};

use event_core::Error;

#[cfg(doc)]
use super::Poller;

/// What the shell has to do, in order.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// Get the authorization for a poll; then [`Poller::handle_authorized`] or
    /// [`Poller::handle_authorization_failed`].
    Authorize {
        /// The authorization of the poll before was refused: another one is needed.
        refused: bool,
    },
    /// Send a poll; then `handle_message`, `handle_nothing` or `handle_failure`.
    Poll {
        /// How long the service may hold it.
        timeout: Duration,
        /// When the client gives up. The machine says so itself, by [`Output::Drop`].
        deadline: Instant,
    },
    /// Drop the step in flight. Nothing is to be told of it any more.
    Drop,
    /// A step failed; there will be another.
    Retrying {
        /// How it failed.
        error: Error,
        /// Failures in a row, this one included.
        attempt: u32,
        /// The next step begins in this time, if there is credit.
        after: Duration,
    },
    /// One message may be lost: a destructive poll ended without its answer, for this reason. What else follows from
    /// that is the next output.
    PossibleLoss(Error),
    /// The service accepts a fresh authorization after it had refused the one before.
    Reauthenticated,
    /// Over: because of this error, or because it was asked to stop. The last output.
    Closed(Option<Error>),
}

/// Where a poller stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It may begin as soon as it has credit.
    Idle,
    /// It waits before the next step.
    Waiting {
        /// Till when.
        until: Instant,
    },
    /// An authorization is on its way.
    Authorizing,
    /// A poll is in flight.
    Polling {
        /// Since when.
        since: Instant,
    },
    /// A last poll is in flight.
    Stopping {
        /// When the client gives up.
        deadline: Instant,
    },
    /// Over.
    Closed,
}
