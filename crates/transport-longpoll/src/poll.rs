//! The polling of one queue, without I/O and without a clock.
//!
//! A [`Poller`] decides when to ask for the next message, how long to wait for it, and what to do when that fails.
//! The shell around it does this in a loop:
//!
//! 1. `while let Some(output) = poller.poll_output()` { begin, drop or report what it says };
//! 2. wait for the first of: the end of the step in flight, the time of [`Poller::poll_timeout`], a grant, a wish
//!    to stop;
//! 3. tell the poller, with the present time;
//! 4. again from 1.
//!
//! # The rules
//!
//! - No credit, no poll. One [`grant`](Poller::grant) allows one message; an empty answer uses nothing up.
//! - At most one step is in flight: an authorization ([`Output::Authorize`]) or a poll ([`Output::Poll`]).
//! - The service is asked to hold a poll for [`PollConfig::long_poll`]; the client gives up
//!   [`PollConfig::margin`] later, counted from the sending of the poll.
//! - An empty answer that comes early, from a service that does not hold polls for so long, does not lead to a hot
//!   loop: see [`PollConfig::empty_interval`].
//! - What an error advises ([`Error::retry`]) is done. `Backoff`: a random share of a limit that doubles with each
//!   failure in a row. `After`: at least as long, up to [`PollConfig::max_retry_after`]. `AfterReauth`: at once
//!   with a fresh authorization, but so only [`PollConfig::refreshes`] times in a row; one that its source had
//!   kept is not fresh. `Never`: the end, with the
//!   error as its reason.
//! - Any success starts the limits anew. A poll is not a connection that must prove itself: every message is
//!   progress, and empty answers are spaced anyway.
//! - A destructive poll that ends without its answer, after the service may have taken a message, is told by
//!   [`Output::PossibleLoss`], whatever follows from the failure.
//! - [`stop`](Poller::stop) under a lock drops the poll at once: what is dequeued meanwhile is locked, and comes
//!   back when its lock lapses. In destructive mode that message would be lost, so the poll is left to end, and
//!   what it brings is delivered, unless [`PollConfig::stop`] says otherwise. An authorization is dropped in
//!   either mode.

mod config;
mod output;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use event_core::{Error, ErrorKind, Retry};

pub use config::{PollConfig, Stats, StopPolicy};
pub use output::{Output, State};

use crate::exchange::ExchangeError;
use crate::outcome::Failure;
use crate::request::ReceiveMode;

/// The polling of one queue. See the [module](self).
///
/// `now` is whatever clock the caller uses; a time before the latest one seen counts as that one. `random` is a
/// random share between 0 and 1.
#[derive(Debug)]
pub struct Poller {
    config: PollConfig,
    state: State,
    now: Instant,
    /// The end of the step in flight.
    deadline: Option<Instant>,
    credit: u32,
    /// Messages brought by a poll that was taken over before there was new credit for it.
    debt: u32,
    /// Failures in a row.
    failures: u32,
    /// Refusals of the authorization in a row, and how many others were asked for because of them.
    refusals: u32,
    renewals: u32,
    outputs: VecDeque<Output>,
    stats: Stats,
}

impl Poller {
    /// A poller without credit.
    pub fn new(config: PollConfig, now: Instant) -> Self {
        Self {
            config,
            state: State::Idle,
            now,
            deadline: None,
            credit: 0,
            debt: 0,
            failures: 0,
            refusals: 0,
            renewals: 0,
            outputs: VecDeque::new(),
            stats: Stats::default(),
        }
    }

    /// Allows so many more messages.
    pub fn grant(&mut self, now: Instant, messages: u32) {
        self.advance(now);
        let owed = self.debt.min(messages);
        self.debt -= owed;
        self.credit = self.credit.saturating_add(messages - owed);
        self.begin();
    }

    /// The authorization is there: the poll is sent.
    pub fn handle_authorized(&mut self, now: Instant) {
        self.authorized(now, false);
    }

    /// The same with an authorization that its source had already. If the one before was refused, this one may be as
    /// old, and its refusal does not count yet.
    pub fn handle_kept_authorization(&mut self, now: Instant) {
        self.authorized(now, true);
    }

    fn authorized(&mut self, now: Instant, kept: bool) {
        self.advance(now);
        if self.state != State::Authorizing {
            return;
        }
        if self.refusals > 0 && !kept {
            self.renewals += 1;
        }
        let deadline = self.after(self.config.long_poll.saturating_add(self.config.margin));
        self.state = State::Polling { since: self.now };
        self.deadline = Some(deadline);
        self.stats.polls += 1;
        self.outputs.push_back(Output::Poll { timeout: self.config.long_poll, deadline });
    }

    /// There is no authorization. Advice to get fresh credentials counts as `Never`: that was just tried.
    pub fn handle_authorization_failed(&mut self, now: Instant, error: Error, random: f64) {
        self.advance(now);
        if self.state != State::Authorizing {
            return;
        }
        self.stats.failures += 1;
        match error.retry() {
            Retry::Never | Retry::AfterReauth => self.end(Some(error.with_retry(Retry::Never))),
            _ => self.retry(error, random),
        }
    }

    /// The poll brought a message, which is the shell's to deliver.
    pub fn handle_message(&mut self, now: Instant) {
        self.advance(now);
        if self.answered().is_none() {
            return;
        }
        self.stats.messages += 1;
        match self.credit.checked_sub(1) {
            Some(rest) => self.credit = rest,
            None => self.debt += 1,
        }
        self.success();
        self.next(self.now);
    }

    /// The poll found the queue empty.
    pub fn handle_nothing(&mut self, now: Instant) {
        self.advance(now);
        let Some(since) = self.answered() else { return };
        self.stats.empty += 1;
        self.success();
        self.next(since.checked_add(self.config.empty_interval).unwrap_or(self.now));
    }

    /// The poll failed. The error's advice is followed; see the [module](self).
    pub fn handle_failure(&mut self, now: Instant, error: Error, random: f64) {
        self.advance(now);
        if self.answered().is_none() {
            return;
        }
        self.stats.failures += 1;
        if may_have_taken(&error) {
            self.may_have_lost(|| error.duplicate());
        }
        if self.is_stopping() {
            return self.end(None);
        }
        match error.retry() {
            Retry::Never => self.end(Some(error)),
            // One that was kept counts no more than once, or a source that keeps the same one would be asked for ever.
            Retry::AfterReauth
                if self.renewals >= self.config.refreshes || self.refusals > self.config.refreshes =>
            {
                self.end(Some(error.with_retry(Retry::Never)));
            }
            Retry::AfterReauth => {
                self.refusals += 1;
                self.stats.refusals += 1;
                self.next(self.now);
            }
            _ => {
                (self.refusals, self.renewals) = (0, 0);
                self.retry(error, random);
            }
        }
    }

    /// The time of [`Poller::poll_timeout`] has come, or may have.
    pub fn handle_timeout(&mut self, now: Instant, random: f64) {
        self.advance(now);
        match self.state {
            State::Waiting { until } if until <= self.now => {
                self.state = State::Idle;
                self.begin();
            }
            State::Authorizing | State::Polling { .. } | State::Stopping { .. }
                if self.deadline.is_some_and(|deadline| deadline <= self.now) =>
            {
                self.overdue(random);
            }
            _ => {}
        }
    }

    /// Stops: at once, or when the poll in flight has ended; see the [module](self).
    pub fn stop(&mut self, now: Instant) {
        self.advance(now);
        let finish =
            self.config.mode == ReceiveMode::ReceiveAndDelete && self.config.stop == StopPolicy::FinishPoll;
        match (self.state, self.deadline) {
            (State::Polling { .. }, Some(deadline)) if finish => self.state = State::Stopping { deadline },
            (State::Stopping { .. } | State::Closed, _) => {}
            _ => self.abort(now),
        }
    }

    /// Takes a stop back that still waits for its last poll. Whether there was one.
    ///
    /// The credit starts anew at none; what the poll brings is taken from the grants to come.
    pub fn resume(&mut self, now: Instant) -> bool {
        self.advance(now);
        let stopping = self.is_stopping();
        if stopping {
            self.state = State::Polling { since: self.now };
            self.credit = 0;
        }
        stopping
    }

    /// Stops at once, whatever is in flight. A message that is being dequeued is lost in destructive mode.
    pub fn abort(&mut self, now: Instant) {
        self.advance(now);
        match self.state {
            State::Closed => return,
            State::Polling { .. } | State::Stopping { .. } => {
                self.stats.dropped += 1;
                self.outputs.push_back(Output::Drop);
                self.may_have_lost(|| {
                    Error::new(
                        ErrorKind::Closed,
                        "receive",
                        "the poll was dropped by a stop that does not wait for it",
                    )
                });
            }
            State::Authorizing => self.outputs.push_back(Output::Drop),
            State::Idle | State::Waiting { .. } => {}
        }
        self.end(None);
    }

    /// The next thing to do. Poll it after every call until there is nothing.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Poller::handle_timeout`]; it changes with every call.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { until } if self.credit > 0 => Some(until),
            _ => self.deadline,
        }
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// How many messages are allowed still.
    pub fn credit(&self) -> u32 {
        self.credit
    }

    /// The settings.
    pub fn config(&self) -> &PollConfig {
        &self.config
    }

    /// What it has done so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    // ---- inside -----------------------------------------------------------------------------------------------

    /// Begins a step if it may.
    fn begin(&mut self) {
        if let State::Waiting { until } = self.state
            && until <= self.now
        {
            self.state = State::Idle;
        }
        if self.state != State::Idle || self.credit == 0 {
            return;
        }
        self.state = State::Authorizing;
        self.deadline = Some(self.after(self.config.authorize_timeout));
        self.outputs.push_back(Output::Authorize { refused: self.refusals > 0 });
    }

    /// The next step, not before a time; or the end, if this was the last.
    fn next(&mut self, not_before: Instant) {
        if self.is_stopping() {
            return self.end(None);
        }
        self.state = State::Waiting { until: not_before };
        self.begin();
    }

    /// Takes note of an answer to the poll in flight: since when that was.
    fn answered(&mut self) -> Option<Instant> {
        let since = match self.state {
            State::Polling { since } => since,
            State::Stopping { .. } => self.now,
            _ => return None,
        };
        self.deadline = None;
        Some(since)
    }

    fn success(&mut self) {
        self.failures = 0;
        self.renewals = 0;
        if std::mem::take(&mut self.refusals) > 0 {
            self.outputs.push_back(Output::Reauthenticated);
        }
    }

    /// Waits as the error advises.
    fn retry(&mut self, error: Error, random: f64) {
        let random = if random.is_finite() { random.clamp(0.0, 1.0) } else { 1.0 };
        let policy = &self.config.backoff;
        let limit = policy.first.saturating_mul(1 << self.failures.min(20)).min(policy.max);
        self.failures = self.failures.saturating_add(1);
        let after = match error.retry() {
            // All clients were told the same time: they come back spread out after it.
            Retry::After(asked) => {
                let asked = asked.min(self.config.max_retry_after);
                asked.saturating_add(policy.first.mul_f64(random))
            }
            _ => limit.mul_f64(random),
        };
        self.deadline = None;
        self.outputs.push_back(Output::Retrying { error, attempt: self.failures, after });
        let until = self.after(after);
        self.next(until);
    }

    /// The step in flight takes too long.
    fn overdue(&mut self, random: f64) {
        self.outputs.push_back(Output::Drop);
        self.stats.failures += 1;
        let authorizing = self.state == State::Authorizing;
        let what = if authorizing {
            "no authorization came in time".to_owned()
        } else {
            self.stats.overdue += 1;
            let lost = match self.config.mode {
                ReceiveMode::ReceiveAndDelete => "; a message that was on its way is lost",
                ReceiveMode::PeekLock => "",
            };
            format!(
                "the poll was not answered within {:?} of its {:?}{lost}",
                self.config.margin, self.config.long_poll
            )
        };
        let error = Error::new(ErrorKind::Timeout, "receive", what);
        if !authorizing {
            self.may_have_lost(|| error.duplicate());
        }
        if self.is_stopping() {
            return self.end(None);
        }
        self.retry(error, random);
    }

    /// A poll ended without its answer, after the service may have given out a message.
    fn may_have_lost(&mut self, how: impl FnOnce() -> Error) {
        if self.config.mode == ReceiveMode::ReceiveAndDelete {
            self.stats.possible_losses += 1;
            self.outputs.push_back(Output::PossibleLoss(how()));
        }
    }

    fn end(&mut self, reason: Option<Error>) {
        self.state = State::Closed;
        self.deadline = None;
        self.outputs.push_back(Output::Closed(reason));
    }

    fn is_stopping(&self) -> bool {
        matches!(self.state, State::Stopping { .. })
    }

    /// A time from now; the far future is as good as the end of time.
    fn after(&self, duration: Duration) -> Instant {
        const FAR: Duration = Duration::from_secs(365 * 24 * 3600);
        self.now.checked_add(duration.min(FAR)).unwrap_or(self.now)
    }

    fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }
}

/// Whether a poll that failed so may have taken a message out of the queue.
fn may_have_taken(error: &Error) -> bool {
    if let Some(broken) = ExchangeError::of(error) {
        return broken.may_have_acted();
    }
    match Failure::of(error) {
        Some(failure) => failure.may_have_acted(),
        // Without an answer there was no telling; a request that could not be made was not sent.
        None => error.kind() == ErrorKind::Timeout,
    }
}
