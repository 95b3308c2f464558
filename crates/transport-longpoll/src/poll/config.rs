//! What a poller can be told, and what it counts.

use std::ops::{AddAssign, Sub};
use std::time::Duration;

use event_core::supervisor::ReconnectPolicy;
use event_core::{Error, ErrorKind, Result};

use crate::request::{LONGEST_POLL, ReceiveMode};

/// The settings of a [`Poller`](super::Poller). Start from [`PollConfig::new`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PollConfig {
    /// What becomes of a message that is read.
    pub mode: ReceiveMode,
    /// How long the service may hold a poll; whole seconds, from 1 to 230. Default 60 s. Choose less than what
    /// the proxies on the way cut off as idle.
    pub long_poll: Duration,
    /// How much longer the client waits. Default 5 s.
    pub margin: Duration,
    /// How long an authorization may take. Default 60 s.
    pub authorize_timeout: Duration,
    /// The pauses after failures: `first`, `max` and `jitter` of it. Default 500 ms, doubling up to 60 s.
    pub backoff: ReconnectPolicy,
    /// The longest wait that the service can ask for. Default 10 min.
    pub max_retry_after: Duration,
    /// After an empty answer the next poll begins no sooner than this after the one before began. Default 1 s.
    pub empty_interval: Duration,
    /// How often in a row a refused authorization is replaced before the refusal counts. Default 1.
    pub refreshes: u32,
    /// What a stop does with a destructive poll. Default [`StopPolicy::FinishPoll`].
    pub stop: StopPolicy,
}

/// What a stop does with a destructive poll in flight. Under a lock a poll is always dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopPolicy {
    /// It ends by itself, which takes up to its timeout and margin; what it brings is delivered.
    #[default]
    FinishPoll,
    /// It is dropped at once; a message that is being dequeued is lost.
    DropPoll,
}

impl PollConfig {
    /// The defaults for a mode.
    pub fn new(mode: ReceiveMode) -> Self {
        Self {
            mode,
            long_poll: Duration::from_secs(60),
            margin: Duration::from_secs(5),
            authorize_timeout: Duration::from_secs(60),
            backoff: ReconnectPolicy::default(),
            max_retry_after: Duration::from_secs(600),
            empty_interval: Duration::from_secs(1),
            refreshes: 1,
            stop: StopPolicy::default(),
        }
    }

    /// Whether a poll may be this long: whole seconds, 1 to 230.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`], saying what is allowed.
    pub fn check_long_poll(long_poll: Duration) -> Result<()> {
        if long_poll.subsec_nanos() == 0 && !long_poll.is_zero() && long_poll <= LONGEST_POLL {
            return Ok(());
        }
        let message = format!(
            "a poll of {long_poll:?} is not possible: the service takes whole seconds, from 1 to {}",
            LONGEST_POLL.as_secs()
        );
        Err(Error::new(ErrorKind::InvalidInput, "set poll length", message))
    }
}

/// What pollers have done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Polls sent.
    pub polls: u64,
    /// Messages received.
    pub messages: u64,
    /// Polls that found the queue empty.
    pub empty: u64,
    /// Steps that failed, refusals of the authorization and overdue ones included.
    pub failures: u64,
    /// Refusals that were answered with a fresh authorization.
    pub refusals: u64,
    /// Polls that were not answered in time.
    pub overdue: u64,
    /// Polls in flight that a stop dropped. Under a lock each may have locked one message for the time of the
    /// lock; in destructive mode each may have lost one.
    pub dropped: u64,
    /// Destructive polls that ended without an answer after the service may have taken a message out of the queue.
    /// Those that nobody waited for any more, because the whole link was dropped, are among them.
    pub possible_losses: u64,
}

impl AddAssign for Stats {
    fn add_assign(&mut self, other: Self) {
        self.polls += other.polls;
        self.messages += other.messages;
        self.empty += other.empty;
        self.failures += other.failures;
        self.refusals += other.refusals;
        self.overdue += other.overdue;
        self.dropped += other.dropped;
        self.possible_losses += other.possible_losses;
    }
}

impl Sub for Stats {
    type Output = Self;

    /// What was done since an earlier count.
    fn sub(self, earlier: Self) -> Self {
        Self {
            polls: self.polls.saturating_sub(earlier.polls),
            messages: self.messages.saturating_sub(earlier.messages),
            empty: self.empty.saturating_sub(earlier.empty),
            failures: self.failures.saturating_sub(earlier.failures),
            refusals: self.refusals.saturating_sub(earlier.refusals),
            overdue: self.overdue.saturating_sub(earlier.overdue),
            dropped: self.dropped.saturating_sub(earlier.dropped),
            possible_losses: self.possible_losses.saturating_sub(earlier.possible_losses),
        }
    }
}
