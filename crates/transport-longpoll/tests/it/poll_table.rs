//! The poll machine, rule by rule.

use std::time::{Duration, Instant};

use event_core::{Error, ErrorKind, Retry};
use http::{HeaderMap, StatusCode};
use transport_longpoll::exchange::{ExchangeError, ExchangeErrorKind};
use transport_longpoll::outcome::{Asked, Outcome};
use transport_longpoll::poll::{Output, PollConfig, Poller, State, StopPolicy};
use transport_longpoll::request::ReceiveMode::{self, PeekLock, ReceiveAndDelete};

use crate::support::{secs, start};

fn poller(mode: ReceiveMode) -> (Poller, Instant) {
    let now = start();
    (Poller::new(PollConfig::new(mode), now), now)
}

fn error(retry: Retry) -> Error {
    Error::new(ErrorKind::Unreachable, "receive", "scripted").with_retry(retry)
}

/// The outputs in short.
fn said(poller: &mut Poller) -> Vec<String> {
    let outputs = std::iter::from_fn(|| poller.poll_output());
    outputs
        .map(|output| match output {
            Output::Authorize { refused: false } => "authorize".to_owned(),
            Output::Authorize { refused: true } => "authorize anew".to_owned(),
            Output::Poll { timeout, .. } => format!("poll {}", timeout.as_secs()),
            Output::Drop => "drop".to_owned(),
            Output::Retrying { attempt, after, .. } => format!("retry {attempt} in {}ms", after.as_millis()),
            Output::PossibleLoss(error) => format!("possible loss: {:?}", error.kind()),
            Output::Reauthenticated => "reauthenticated".to_owned(),
            Output::Closed(None) => "closed".to_owned(),
            Output::Closed(Some(error)) => format!("closed: {:?} {:?}", error.kind(), error.retry()),
            other => panic!("{other:?}"),
        })
        .collect()
}

/// A poller with a poll in flight.
fn polling(mode: ReceiveMode, credit: u32) -> (Poller, Instant) {
    let (mut poller, now) = poller(mode);
    poller.grant(now, credit);
    poller.handle_authorized(now);
    assert_eq!(said(&mut poller), ["authorize", "poll 60"]);
    (poller, now)
}

#[test]
fn without_credit_nothing_is_polled() {
    let (mut poller, now) = poller(PeekLock);
    poller.handle_timeout(now + secs(1000), 0.5);
    assert_eq!((said(&mut poller).len(), poller.poll_timeout()), (0, None));
    poller.grant(now, 2);
    assert_eq!(said(&mut poller), ["authorize"]);
    poller.grant(now, 1);
    poller.handle_authorized(now);
    assert_eq!(said(&mut poller), ["poll 60"]);
    for _ in 0..2 {
        poller.handle_message(now);
        poller.handle_authorized(now);
        assert_eq!(said(&mut poller), ["authorize", "poll 60"]);
    }
    poller.handle_message(now);
    assert_eq!((said(&mut poller).len(), poller.credit()), (0, 0));
}

#[test]
fn an_empty_answer_uses_no_credit_and_polls_again_at_once_if_it_was_held() {
    let (mut poller, now) = polling(PeekLock, 1);
    poller.handle_nothing(now + secs(60));
    assert_eq!(said(&mut poller), ["authorize"]);
    poller.handle_authorized(now + secs(60));
    said(&mut poller);
    // A service that does not hold polls is asked once a second.
    poller.handle_nothing(now + secs(60));
    assert_eq!((said(&mut poller).len(), poller.poll_timeout()), (0, Some(now + secs(61))));
    poller.handle_timeout(now + secs(61), 0.0);
    assert_eq!(said(&mut poller), ["authorize"]);
}

#[test]
fn a_poll_is_given_up_after_its_timeout_and_margin_counted_from_its_sending() {
    let (mut poller, now) = poller(ReceiveAndDelete);
    poller.grant(now, 1);
    let sent = now + secs(10);
    poller.handle_authorized(sent);
    assert_eq!(poller.poll_timeout(), Some(sent + secs(65)));
    poller.handle_timeout(sent + secs(64), 1.0);
    assert_eq!(poller.state(), State::Polling { since: sent });
    said(&mut poller);
    poller.handle_timeout(sent + secs(65), 1.0);
    let first = poller.poll_output().unwrap();
    assert!(matches!(first, Output::Drop));
    assert!(matches!(poller.poll_output(), Some(Output::PossibleLoss(_))));
    match poller.poll_output().unwrap() {
        Output::Retrying { error, attempt: 1, .. } => {
            assert_eq!(error.kind(), ErrorKind::Timeout);
            assert!(error.to_string().contains("is lost"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(poller.stats().overdue, 1);
    // Too late: nobody asks any more.
    poller.handle_message(sent + secs(65));
    assert_eq!(poller.stats().messages, 0);
}

#[test]
fn an_authorization_that_does_not_come_is_asked_for_again() {
    let (mut poller, now) = poller(PeekLock);
    poller.grant(now, 1);
    poller.handle_timeout(now + secs(60), 1.0);
    assert_eq!(said(&mut poller), ["authorize", "drop", "retry 1 in 500ms"]);
    poller.handle_timeout(now + secs(61), 1.0);
    assert_eq!(said(&mut poller), ["authorize"]);
    poller.handle_authorization_failed(now + secs(61), error(Retry::Backoff), 1.0);
    assert_eq!(said(&mut poller), ["retry 2 in 1000ms"]);
    poller.handle_timeout(now + secs(62), 1.0);
    poller.handle_authorization_failed(now + secs(62), error(Retry::AfterReauth), 1.0);
    assert_eq!(said(&mut poller), ["authorize", "closed: Unreachable Never"]);
}

#[test]
fn failures_double_the_limit_of_the_pause_and_success_ends_that() {
    let (mut poller, mut now) = polling(PeekLock, 10);
    let mut pauses = Vec::new();
    for _ in 0..9 {
        poller.handle_failure(now, error(Retry::Backoff), 1.0);
        let until = poller.poll_timeout().unwrap();
        pauses.push((until - now).as_millis());
        now = until;
        poller.handle_timeout(now, 1.0);
        poller.handle_authorized(now);
    }
    assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
    poller.handle_message(now);
    poller.handle_authorized(now);
    said(&mut poller);
    poller.handle_failure(now, error(Retry::Backoff), 0.5);
    assert_eq!(said(&mut poller), ["retry 1 in 250ms"]);
}

#[test]
fn what_the_service_asks_to_wait_is_waited_and_a_little_more() {
    for (asked, random, waited) in
        [(7, 0.0, 7_000), (7, 1.0, 7_500), (0, 0.5, 250), (1_000_000, 0.0, 600_000)]
    {
        let (mut poller, now) = polling(PeekLock, 1);
        poller.handle_failure(now, error(Retry::After(secs(asked))), random);
        assert_eq!(said(&mut poller), [format!("retry 1 in {waited}ms")]);
        let until = now + Duration::from_millis(waited);
        assert_eq!(poller.poll_timeout(), Some(until));
        poller.handle_timeout(until.checked_sub(Duration::from_millis(1)).unwrap(), 0.0);
        poller.grant(until.checked_sub(Duration::from_millis(1)).unwrap(), 5);
        assert!(said(&mut poller).is_empty());
        poller.handle_timeout(until, 0.0);
        assert_eq!(said(&mut poller), ["authorize"]);
    }
}

#[test]
fn a_refused_authorization_is_replaced_once_and_a_persistent_refusal_is_the_end() {
    let (mut poller, now) = polling(PeekLock, 1);
    poller.handle_failure(now, error(Retry::AfterReauth), 1.0);
    assert_eq!(said(&mut poller), ["authorize anew"]);
    poller.handle_authorized(now);
    poller.handle_failure(now, error(Retry::AfterReauth), 1.0);
    assert_eq!(said(&mut poller), ["poll 60", "closed: Unreachable Never"]);
    assert_eq!((poller.stats().polls, poller.stats().refusals), (2, 1));
}

#[test]
fn a_refusal_after_a_good_poll_is_a_new_one() {
    let (mut poller, now) = polling(PeekLock, 9);
    for _ in 0..5 {
        poller.handle_failure(now, error(Retry::AfterReauth), 1.0);
        poller.handle_authorized(now);
        assert_eq!(said(&mut poller), ["authorize anew", "poll 60"]);
        poller.handle_message(now);
        poller.handle_authorized(now);
        assert_eq!(said(&mut poller), ["reauthenticated", "authorize", "poll 60"]);
    }
    // So is one after a failure of another kind: it was paid for with a pause.
    poller.handle_failure(now, error(Retry::AfterReauth), 1.0);
    poller.handle_authorized(now);
    poller.handle_failure(now, error(Retry::Backoff), 0.0);
    poller.handle_authorized(now);
    poller.handle_failure(now, error(Retry::AfterReauth), 1.0);
    let said = said(&mut poller);
    assert_eq!(
        said[..],
        ["authorize anew", "poll 60", "retry 1 in 0ms", "authorize", "poll 60", "authorize anew"]
    );
}

#[test]
fn while_the_source_fails_a_refused_authorization_stays_refused() {
    let (mut poller, now) = polling(PeekLock, 1);
    poller.handle_failure(now, error(Retry::AfterReauth), 1.0);
    poller.handle_authorization_failed(now, error(Retry::After(secs(1))), 0.0);
    poller.handle_timeout(now + secs(1), 0.0);
    assert_eq!(said(&mut poller), ["authorize anew", "retry 1 in 1000ms", "authorize anew"]);
}

#[test]
fn what_cannot_pass_is_the_end_with_its_reason() {
    let (mut poller, now) = polling(PeekLock, 1);
    poller.handle_failure(now, error(Retry::Never), 1.0);
    assert_eq!(said(&mut poller), ["closed: Unreachable Never"]);
    poller.grant(now, 5);
    poller.handle_timeout(now + secs(100), 1.0);
    poller.stop(now);
    poller.abort(now);
    assert_eq!((said(&mut poller).len(), poller.state(), poller.poll_timeout()), (0, State::Closed, None));
}

#[test]
fn a_stop_under_a_lock_drops_the_poll_at_once() {
    let (mut poller, now) = polling(PeekLock, 1);
    poller.stop(now + secs(1));
    assert_eq!(said(&mut poller), ["drop", "closed"]);
    assert_eq!(poller.stats().dropped, 1);
}

#[test]
fn a_stop_of_a_destructive_poll_waits_for_what_it_brings() {
    for outcome in ["message", "nothing", "failure", "timeout"] {
        let (mut poller, now) = polling(ReceiveAndDelete, 5);
        poller.stop(now);
        poller.stop(now);
        assert_eq!(said(&mut poller), Vec::<String>::new());
        assert_eq!(poller.state(), State::Stopping { deadline: now + secs(65) });
        let expected = match outcome {
            "message" => {
                poller.handle_message(now);
                vec!["closed"]
            }
            "nothing" => {
                poller.handle_nothing(now);
                vec!["closed"]
            }
            "failure" => {
                poller.handle_failure(now, error(Retry::AfterReauth), 0.0);
                vec!["closed"]
            }
            _ => {
                poller.handle_timeout(now + secs(65), 0.0);
                vec!["drop", "possible loss: Timeout", "closed"]
            }
        };
        assert_eq!(said(&mut poller), expected, "{outcome}");
        assert_eq!(poller.stats().dropped, 0);
    }
}

#[test]
fn a_stop_with_no_poll_in_flight_is_the_end() {
    for step in ["idle", "authorizing", "waiting"] {
        let (mut poller, now) = poller(ReceiveAndDelete);
        if step != "idle" {
            poller.grant(now, 1);
        }
        if step == "waiting" {
            poller.handle_authorization_failed(now, error(Retry::Backoff), 1.0);
        }
        said(&mut poller);
        poller.stop(now);
        let expected: &[&str] = if step == "authorizing" { &["drop", "closed"] } else { &["closed"] };
        assert_eq!(said(&mut poller), expected, "{step}");
        assert_eq!(poller.stats().dropped, 0);
    }
}

#[test]
fn a_destructive_poll_can_be_dropped_when_that_is_wanted() {
    let now = start();
    let mut config = PollConfig::new(ReceiveAndDelete);
    config.stop = StopPolicy::DropPoll;
    let mut poller = Poller::new(config, now);
    poller.grant(now, 1);
    poller.handle_authorized(now);
    said(&mut poller);
    poller.stop(now);
    let expected = ["drop", "possible loss: Closed", "closed"];
    assert_eq!((said(&mut poller), poller.stats().dropped), (expected.map(String::from).to_vec(), 1));
    let (mut poller, now) = polling(ReceiveAndDelete, 1);
    poller.stop(now);
    poller.abort(now);
    assert_eq!((said(&mut poller), poller.stats().dropped), (expected.map(String::from).to_vec(), 1));
}

#[test]
fn a_stop_can_be_taken_back_while_its_last_poll_is_in_flight() {
    let (mut poller, now) = polling(ReceiveAndDelete, 5);
    assert!(!poller.resume(now));
    poller.stop(now);
    assert!(poller.resume(now));
    // What it brings is taken from the credit to come.
    poller.handle_message(now);
    assert_eq!((said(&mut poller).len(), poller.credit()), (0, 0));
    poller.grant(now, 1);
    assert_eq!((said(&mut poller).len(), poller.credit()), (0, 0));
    poller.grant(now, 1);
    assert_eq!((said(&mut poller), poller.credit()), (vec!["authorize".to_owned()], 1));
}

#[test]
fn a_poll_lasts_whole_seconds_up_to_230() {
    for length in [secs(1), secs(60), secs(230)] {
        PollConfig::check_long_poll(length).unwrap();
    }
    for length in
        [Duration::ZERO, Duration::from_millis(500), Duration::from_millis(1500), secs(231), Duration::MAX]
    {
        assert_eq!(PollConfig::check_long_poll(length).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn a_destructive_poll_without_its_answer_is_a_possible_loss_unless_the_service_cannot_have_acted() {
    enum Ended {
        Broken(ExchangeErrorKind),
        Answered(StatusCode),
        Overdue,
    }
    let error = |ended: &Ended| match ended {
        Ended::Broken(kind) => ExchangeError::new(*kind, "scripted").into_error("receive", "queue"),
        Ended::Answered(status) => match Outcome::read(Asked::Receive, *status, &HeaderMap::new(), b"") {
            Outcome::Failed(failure) => failure.into_error("receive", "queue"),
            other => panic!("{other:?}"),
        },
        Ended::Overdue => Error::new(ErrorKind::Timeout, "receive", "scripted"),
    };
    for (label, ended, lost) in [
        ("reset", Ended::Broken(ExchangeErrorKind::Broken), true),
        ("cut", Ended::Broken(ExchangeErrorKind::Protocol), true),
        ("too large", Ended::Broken(ExchangeErrorKind::TooLarge), true),
        ("no answer", Ended::Overdue, true),
        ("refused", Ended::Broken(ExchangeErrorKind::Connect), false),
        ("500", Ended::Answered(StatusCode::INTERNAL_SERVER_ERROR), true),
        ("502", Ended::Answered(StatusCode::BAD_GATEWAY), true),
        ("202", Ended::Answered(StatusCode::ACCEPTED), true),
        ("503", Ended::Answered(StatusCode::SERVICE_UNAVAILABLE), false),
        ("401", Ended::Answered(StatusCode::UNAUTHORIZED), false),
        ("410", Ended::Answered(StatusCode::GONE), false),
    ] {
        for mode in [ReceiveAndDelete, PeekLock] {
            let (mut poller, now) = polling(mode, 1);
            poller.handle_failure(now, error(&ended), 0.5);
            let said = said(&mut poller);
            let lost = u64::from(lost && mode == ReceiveAndDelete);
            let reports = said.iter().filter(|output| output.starts_with("possible loss")).count() as u64;
            assert_eq!(
                (reports, poller.stats().possible_losses),
                (lost, lost),
                "{label} by {mode:?}: {said:?}"
            );
        }
    }
}

#[test]
fn a_possible_loss_is_told_of_a_last_poll_and_of_one_that_a_stop_drops() {
    let (mut last, now) = polling(ReceiveAndDelete, 1);
    last.stop(now);
    last.handle_timeout(now + secs(65), 0.5);
    assert_eq!(said(&mut last), ["drop", "possible loss: Timeout", "closed"]);

    let mut config = PollConfig::new(ReceiveAndDelete);
    config.stop = StopPolicy::DropPoll;
    let mut dropped = Poller::new(config, now);
    dropped.grant(now, 1);
    dropped.handle_authorized(now);
    dropped.stop(now);
    assert_eq!(said(&mut dropped), ["authorize", "poll 60", "drop", "possible loss: Closed", "closed"]);

    let (mut idle, now) = polling(ReceiveAndDelete, 1);
    idle.handle_nothing(now + secs(60));
    idle.stop(now + secs(60));
    assert_eq!(said(&mut idle), ["authorize", "drop", "closed"]);
}
