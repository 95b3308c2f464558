//! The poll machine under random sequences of operations.

use std::time::Duration;

use event_core::{Error, ErrorKind, Retry};
use proptest::prelude::*;
use transport_longpoll::poll::{Output, PollConfig, Poller, State, Stats, StopPolicy};
use transport_longpoll::request::ReceiveMode;

use crate::support::start;

#[derive(Clone, Debug)]
enum Operation {
    Grant(u32),
    Authorized,
    AuthorizationFailed(Advice),
    Message,
    Nothing,
    Failure(Advice),
    Wait(u64),
    WaitForTimeout,
    Stop,
    Resume,
    Abort,
}

#[derive(Clone, Copy, Debug)]
enum Advice {
    Never,
    Backoff,
    After(u64),
    Reauth,
}

fn advice() -> impl Strategy<Value = Advice> {
    prop_oneof![
        1 => Just(Advice::Never),
        8 => Just(Advice::Backoff),
        4 => prop_oneof![0..100_u64, Just(u64::MAX)].prop_map(Advice::After),
        8 => Just(Advice::Reauth),
    ]
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let operation = prop_oneof![
        8 => prop_oneof![0..5_u32, Just(u32::MAX)].prop_map(Operation::Grant),
        24 => Just(Operation::Authorized),
        2 => advice().prop_map(Operation::AuthorizationFailed),
        12 => Just(Operation::Message),
        8 => Just(Operation::Nothing),
        6 => advice().prop_map(Operation::Failure),
        6 => (0..100_000_u64).prop_map(Operation::Wait),
        8 => Just(Operation::WaitForTimeout),
        1 => Just(Operation::Stop),
        1 => Just(Operation::Resume),
        1 => prop_oneof![9 => Just(Operation::Stop), 1 => Just(Operation::Abort)],
    ];
    proptest::collection::vec(operation, 0..60)
}

fn error(advice: Advice) -> Error {
    let retry = match advice {
        Advice::Never => Retry::Never,
        Advice::Backoff => Retry::Backoff,
        Advice::After(seconds) => Retry::After(Duration::from_secs(seconds)),
        Advice::Reauth => Retry::AfterReauth,
    };
    Error::new(ErrorKind::Unreachable, "receive", "random").with_retry(retry)
}

/// What must be true of the outputs, over the whole life of a poller.
#[derive(Default)]
struct Watcher {
    authorizing: bool,
    polling: bool,
    closed: bool,
    granted: u64,
    counted: Stats,
    refusals_in_a_row: u32,
}

impl Watcher {
    fn drain(&mut self, poller: &mut Poller) -> Result<(), TestCaseError> {
        let mut outputs = 0;
        while let Some(output) = poller.poll_output() {
            outputs += 1;
            prop_assert!(!self.closed, "{:?} after the end", output);
            match output {
                Output::Authorize { refused } => {
                    prop_assert!(!self.authorizing && !self.polling, "two steps in flight");
                    prop_assert!(self.counted.messages < self.granted, "a poll without credit");
                    prop_assert_eq!(refused, self.refusals_in_a_row > 0);
                    self.authorizing = true;
                }
                Output::Poll { .. } => {
                    prop_assert!(self.authorizing && !self.polling);
                    (self.authorizing, self.polling) = (false, true);
                    self.counted.polls += 1;
                }
                Output::Drop => {
                    prop_assert!(self.authorizing || self.polling);
                    (self.authorizing, self.polling) = (false, false);
                }
                Output::Retrying { after, .. } => {
                    prop_assert!(after <= Duration::from_millis(600_500));
                }
                Output::PossibleLoss(_) => {
                    prop_assert_eq!(poller.config().mode, ReceiveMode::ReceiveAndDelete);
                    self.counted.possible_losses += 1;
                }
                Output::Reauthenticated => {}
                Output::Closed(_) => self.closed = true,
                other => prop_assert!(false, "a new kind of output: {:?}", other),
            }
        }
        prop_assert!(outputs <= 4, "one operation, {} outputs", outputs);
        prop_assert_eq!(self.closed, poller.state() == State::Closed);
        prop_assert_eq!(self.authorizing, poller.state() == State::Authorizing);
        let in_flight = matches!(poller.state(), State::Polling { .. } | State::Stopping { .. });
        prop_assert_eq!(self.polling, in_flight);
        // Whoever has something in flight or to wait for, has a time to be woken.
        let busy = in_flight || self.authorizing;
        prop_assert!(!busy || poller.poll_timeout().is_some());
        prop_assert!(!self.closed || poller.poll_timeout().is_none());
        if poller.credit() > 0 && !self.closed {
            prop_assert!(poller.poll_timeout().is_some(), "credit and nothing to do: {:?}", poller.state());
        }
        Ok(())
    }

    fn answered(&mut self) {
        self.polling = false;
    }
}

fn live(
    operations: Vec<Operation>,
    mode: ReceiveMode,
    stop: StopPolicy,
    random: f64,
) -> Result<(), TestCaseError> {
    let mut now = start();
    let mut config = PollConfig::new(mode);
    config.stop = stop;
    let mut poller = Poller::new(config, now);
    let mut watcher = Watcher::default();
    let mut resumed = 0;
    for operation in operations {
        let was_polling = watcher.polling;
        match operation {
            Operation::Grant(credit) => {
                watcher.granted += u64::from(credit);
                poller.grant(now, credit);
            }
            Operation::Authorized => poller.handle_authorized(now),
            Operation::AuthorizationFailed(advice) => {
                watcher.authorizing = false;
                poller.handle_authorization_failed(now, error(advice), random);
            }
            Operation::Message => {
                watcher.counted.messages += u64::from(was_polling);
                watcher.refusals_in_a_row *= u32::from(!was_polling);
                watcher.answered();
                poller.handle_message(now);
            }
            Operation::Nothing => {
                watcher.refusals_in_a_row *= u32::from(!was_polling);
                watcher.answered();
                poller.handle_nothing(now);
            }
            Operation::Failure(advice) => {
                if was_polling {
                    watcher.refusals_in_a_row = match advice {
                        Advice::Reauth => watcher.refusals_in_a_row + 1,
                        _ => 0,
                    };
                }
                watcher.answered();
                poller.handle_failure(now, error(advice), random);
            }
            Operation::Wait(millis) => {
                now += Duration::from_millis(millis);
                poller.handle_timeout(now, random);
                prop_assert!(poller.poll_timeout().is_none_or(|timeout| timeout >= now));
            }
            Operation::WaitForTimeout => {
                if let Some(timeout) = poller.poll_timeout() {
                    now = timeout;
                    let before = poller.state();
                    poller.handle_timeout(now, random);
                    prop_assert_ne!(before, poller.state(), "woken for nothing");
                }
            }
            Operation::Stop => poller.stop(now),
            Operation::Resume => resumed += u64::from(poller.resume(now)),
            Operation::Abort => poller.abort(now),
        }
        watcher.drain(&mut poller)?;
        // A poll that was taken over may bring one message before there is credit for it.
        prop_assert!(poller.stats().messages <= watcher.granted + resumed);
        prop_assert!(watcher.refusals_in_a_row <= 2, "a hot loop of refusals");
    }
    poller.abort(now);
    watcher.drain(&mut poller)?;
    prop_assert!(watcher.closed);
    let stats = poller.stats();
    prop_assert_eq!((stats.polls, stats.messages), (watcher.counted.polls, watcher.counted.messages));
    prop_assert!(mode == ReceiveMode::PeekLock || stop == StopPolicy::DropPoll || stats.dropped <= 1);
    Ok(())
}

proptest! {
    #[test]
    fn never_a_poll_without_credit_never_two_and_nothing_after_the_end(
        operations in operations(),
        under_lock: bool,
        drop: bool,
        random in 0.0..1.0_f64,
    ) {
        let mode = if under_lock { ReceiveMode::PeekLock } else { ReceiveMode::ReceiveAndDelete };
        let stop = if drop { StopPolicy::DropPoll } else { StopPolicy::FinishPoll };
        live(operations, mode, stop, random)?;
    }
}
