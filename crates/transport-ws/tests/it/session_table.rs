//! The session, rule by rule.

use std::time::{Duration, Instant};

use bytes::Bytes;
use transport_ws::handshake::Handshake;
use transport_ws::packet::{Advice, DecodeErrorKind, Reason};
use transport_ws::session::{
    CloseReason, EmitError, Output, Problem, ProblemKind, Session, SessionConfig, State,
};

use crate::support::{outputs, secs, start};

/// Something that happens to a session.
type Operation = fn(&mut Session, Instant);

fn send(text: &str) -> Output {
    Output::Send(text.to_owned().into())
}

fn event(name: &str, args: &[&'static str]) -> Output {
    let args = args.iter().map(|arg| Bytes::from_static(arg.as_bytes())).collect();
    Output::Event { name: name.to_owned(), args }
}

fn acknowledged(id: u64, args: &[&'static str]) -> Output {
    Output::Acknowledged { id, args: args.iter().map(|arg| Bytes::from_static(arg.as_bytes())).collect() }
}

/// A session that has said `Connected`, and its start.
fn connected(config: SessionConfig) -> (Session, Instant) {
    let t0 = start();
    let mut session = Session::new(config, t0);
    session.handle_text(t0, "1::");
    assert_eq!(outputs(&mut session), [Output::Connected]);
    (session, t0)
}

#[test]
fn publishes_carry_ids_from_one_and_are_acknowledged_in_any_order() {
    let (mut session, t0) = connected(SessionConfig::default());
    assert_eq!(session.emit(t0, "ftrack.event", "{\"topic\":\"a\"}"), Ok(1));
    assert_eq!(session.emit(t0, "a\"b", "1, 2"), Ok(2));
    assert_eq!(session.emit(t0, "c", ""), Ok(3));
    assert_eq!(
        outputs(&mut session),
        [
            send("5:1+::{\"name\":\"ftrack.event\",\"args\":[{\"topic\":\"a\"}]}"),
            send("5:2+::{\"name\":\"a\\\"b\",\"args\":[1, 2]}"),
            send("5:3+::{\"name\":\"c\",\"args\":[]}"),
        ]
    );
    session.handle_text(t0, "6:::3+[{\"success\":true}]");
    session.handle_text(t0, "6:::1");
    assert_eq!(session.in_flight(), 1);
    session.handle_text(t0, "6:::2+[1,\"x\"]");
    assert_eq!(
        outputs(&mut session),
        [acknowledged(3, &["{\"success\":true}"]), acknowledged(1, &[]), acknowledged(2, &["1", "\"x\""]),]
    );
    assert_eq!(session.in_flight(), 0);
}

#[test]
fn acks_that_nothing_waits_for_are_problems_and_resolve_nothing() {
    let t0 = start();
    let mut session = Session::new(SessionConfig::default(), t0);
    assert_eq!(session.emit(t0, "held", ""), Ok(1));
    session.handle_text(t0, "6:::1");
    session.handle_text(t0, "1::");
    for text in ["6:::0", "6:::2", "6:::1", "6:::1", "6:::1+[1]"] {
        session.handle_text(t0, text);
    }
    assert_eq!(
        outputs(&mut session),
        [
            Output::Problem(Problem::UnknownAck { id: 1 }),
            Output::Connected,
            send("5:1+::{\"name\":\"held\",\"args\":[]}"),
            Output::Problem(Problem::UnknownAck { id: 0 }),
            Output::Problem(Problem::UnknownAck { id: 2 }),
            acknowledged(1, &[]),
            Output::Problem(Problem::RepeatedAck { id: 1 }),
            Output::Problem(Problem::RepeatedAck { id: 1 }),
        ]
    );
    assert_eq!(session.stats().problems(ProblemKind::UnknownAck), 3);
    assert_eq!(session.stats().problems(ProblemKind::RepeatedAck), 2);
}

#[test]
fn the_window_bounds_what_is_in_flight_and_can_change() {
    let (mut session, t0) = connected(SessionConfig::default().window(2));
    assert_eq!(session.emit(t0, "a", ""), Ok(1));
    assert_eq!(session.emit(t0, "a", ""), Ok(2));
    assert_eq!(session.emit(t0, "a", ""), Err(EmitError::WindowFull));
    session.set_window(1);
    session.handle_text(t0, "6:::2");
    assert_eq!(session.emit(t0, "a", ""), Err(EmitError::WindowFull));
    session.handle_text(t0, "6:::1");
    assert_eq!(session.emit(t0, "a", ""), Ok(3));
    session.set_window(0);
    assert_eq!(session.config().window, 1);
    session.close(t0);
    assert_eq!(session.emit(t0, "a", ""), Err(EmitError::Closed));
    assert_eq!(SessionConfig::default().window(0).window, 1);
}

#[test]
fn publishes_before_the_connect_packet_wait_for_it() {
    let t0 = start();
    let mut session = Session::new(SessionConfig::default().window(2), t0);
    assert_eq!(session.emit(t0, "a", "1"), Ok(1));
    assert_eq!(session.emit(t0, "b", "2"), Ok(2));
    assert_eq!(session.emit(t0, "c", "3"), Err(EmitError::WindowFull));
    session.handle_text(t0, "5:::{\"name\":\"early\",\"args\":[]}");
    assert_eq!(outputs(&mut session), [event("early", &[])]);
    assert_eq!((session.in_flight(), session.state()), (2, State::Connecting));
    session.handle_text(t0 + secs(5), "1::");
    assert_eq!(
        outputs(&mut session),
        [
            Output::Connected,
            send("5:1+::{\"name\":\"a\",\"args\":[1]}"),
            send("5:2+::{\"name\":\"b\",\"args\":[2]}"),
        ]
    );
    // The time to acknowledge them starts now, not when they were handed in.
    session.handle_timeout(t0 + secs(34));
    assert_eq!(session.in_flight(), 2);
    session.handle_timeout(t0 + secs(35));
    assert_eq!(session.in_flight(), 0);
}

#[test]
fn heartbeats_are_answered_and_never_volunteered() {
    let (mut session, mut now) = connected(SessionConfig::default());
    for beat in ["2::", "2:::"] {
        now += secs(25);
        session.handle_timeout(now);
        assert_eq!(outputs(&mut session), []);
        session.handle_text(now, beat);
        assert_eq!(outputs(&mut session), [send("2::")]);
    }
    assert_eq!(session.stats().heartbeats, 2);
}

#[test]
fn everything_that_comes_in_is_a_sign_of_life_and_silence_ends_the_session() {
    let signs: [(&str, Operation); 7] = [
        ("heartbeat", |session, now| session.handle_text(now, "2::")),
        ("event", |session, now| session.handle_text(now, "5:::{\"name\":\"a\",\"args\":[1]}")),
        ("noop", |session, now| session.handle_text(now, "8::")),
        ("unknown ack", |session, now| session.handle_text(now, "6:::9")),
        ("garbage", |session, now| session.handle_text(now, "garbage")),
        ("binary", Session::handle_binary),
        ("part of a message", Session::handle_activity),
    ];
    for (sign, give) in signs {
        let (mut session, t0) = connected(SessionConfig::default().heartbeat_timeout(secs(15)));
        assert_eq!(session.poll_timeout(), Some(t0 + secs(15)));
        give(&mut session, t0 + secs(14));
        outputs(&mut session);
        assert_eq!(session.poll_timeout(), Some(t0 + secs(29)), "{sign}");
        session.handle_timeout(t0 + secs(28));
        assert!(session.is_connected(), "{sign}");
        session.handle_timeout(t0 + secs(29));
        assert_eq!(outputs(&mut session), [Output::Closed(CloseReason::HeartbeatTimeout)], "{sign}");
        assert_eq!(session.poll_timeout(), None);
    }
}

#[test]
fn what_this_side_sends_is_no_sign_of_life() {
    let (mut session, t0) = connected(SessionConfig::default().ack_timeout(None));
    assert_eq!(session.emit(t0 + secs(59), "a", ""), Ok(1));
    assert_eq!(session.poll_timeout(), Some(t0 + secs(60)));
}

#[test]
fn the_heartbeat_timeout_is_the_one_of_the_handshake() {
    let timeout =
        |body: &str| SessionConfig::for_handshake(&Handshake::parse(body).unwrap()).heartbeat_timeout;
    assert_eq!(timeout("a:15:60:websocket"), secs(15));
    assert_eq!(timeout("a::60:websocket"), secs(60));
}

#[test]
fn a_server_that_does_not_confirm_the_connection_is_left() {
    let t0 = start();
    let mut session = Session::new(SessionConfig::default().connect_timeout(secs(3)), t0);
    assert_eq!(session.emit(t0, "a", ""), Ok(1));
    session.handle_text(t0 + secs(2), "2::");
    assert_eq!(session.poll_timeout(), Some(t0 + secs(3)));
    session.handle_timeout(t0 + secs(3));
    assert_eq!(
        outputs(&mut session),
        [
            send("2::"),
            Output::Unconfirmed { id: 1, sent: false },
            Output::Closed(CloseReason::ConnectTimeout),
        ]
    );
}

#[test]
fn an_overdue_ack_frees_the_window_and_comes_too_late_afterwards() {
    let (mut session, t0) = connected(SessionConfig::default().window(2).ack_timeout(Some(secs(5))));
    assert_eq!(session.emit(t0, "a", ""), Ok(1));
    assert_eq!(session.emit(t0 + secs(1), "b", ""), Ok(2));
    outputs(&mut session);
    assert_eq!(session.poll_timeout(), Some(t0 + secs(5)));
    session.handle_timeout(t0 + secs(5));
    assert_eq!(outputs(&mut session), [Output::Unconfirmed { id: 1, sent: true }]);
    assert_eq!(session.poll_timeout(), Some(t0 + secs(6)));
    assert_eq!(session.emit(t0 + secs(5), "c", ""), Ok(3));
    session.handle_text(t0 + secs(5), "6:::1");
    session.handle_text(t0 + secs(5), "6:::2");
    assert_eq!(
        outputs(&mut session)[1..],
        [Output::Problem(Problem::RepeatedAck { id: 1 }), acknowledged(2, &[])]
    );
    assert!(session.is_connected());
}

#[test]
fn every_end_reports_what_is_open_once_and_then_says_nothing() {
    let error = |reason, advice| CloseReason::ServerError { reason, advice };
    let ends: [(Operation, CloseReason); 11] = [
        (|session, now| session.handle_text(now, "0::"), CloseReason::PeerDisconnect),
        (
            |session, now| session.handle_text(now, "7:::1+0"),
            error(Some(Reason::ClientNotHandshaken), Some(Advice::Reconnect)),
        ),
        (|session, now| session.handle_text(now, "7:::2"), error(Some(Reason::Unauthorized), None)),
        (|session, now| session.handle_text(now, "7::"), error(None, None)),
        (
            |session, now| session.handle_peer_close(now, Some(1001)),
            CloseReason::PeerClosed { code: Some(1001) },
        ),
        (|session, now| session.handle_peer_close(now, None), CloseReason::PeerClosed { code: None }),
        (Session::handle_eof, CloseReason::Eof),
        (Session::handle_too_large, CloseReason::FrameTooLarge),
        (
            |session, now| session.handle_text(now, format!("3:::{}", "x".repeat(997))),
            CloseReason::FrameTooLarge,
        ),
        (Session::handle_broken_framing, CloseReason::BrokenFraming),
        (Session::close, CloseReason::Local),
    ];
    for (end, reason) in ends {
        let (mut session, t0) = connected(SessionConfig::default().max_frame(1000));
        for id in 1..=3 {
            assert_eq!(session.emit(t0, "a", ""), Ok(id));
        }
        session.handle_text(t0, "6:::2");
        outputs(&mut session);
        end(&mut session, t0);
        assert_eq!(
            outputs(&mut session),
            [
                Output::Unconfirmed { id: 1, sent: true },
                Output::Unconfirmed { id: 3, sent: true },
                Output::Closed(reason),
            ]
        );
        let stats = session.stats();
        assert_eq!((stats.published, stats.acknowledged, stats.unconfirmed), (3, 1, 2));
        for (again, _) in ends {
            again(&mut session, t0 + secs(1));
        }
        session.handle_text(t0, "1::");
        session.handle_binary(t0);
        session.handle_activity(t0);
        session.handle_timeout(t0 + secs(1000));
        assert_eq!(outputs(&mut session), []);
        assert_eq!((session.state(), session.in_flight()), (State::Closed(reason), 0));
        assert_eq!((session.poll_timeout(), session.stats()), (None, stats));
    }
}

#[test]
fn mistakes_of_the_server_are_counted_and_survived() {
    let (mut session, t0) = connected(SessionConfig::default());
    let mut problem = |text: &str| {
        session.handle_text(t0, text.to_owned());
        match outputs(&mut session).as_slice() {
            [Output::Problem(problem)] => *problem,
            other => panic!("{text}: {other:?}"),
        }
    };
    for (text, kind) in [
        ("", DecodeErrorKind::Empty),
        ("9::", DecodeErrorKind::UnknownType),
        ("5:::{bad", DecodeErrorKind::BadJson),
        ("6::", DecodeErrorKind::BadAckId),
    ] {
        let Problem::MalformedPacket(error) = problem(text) else { panic!("{text}") };
        assert_eq!(error.kind(), kind);
    }
    for text in [
        "0::/x",
        "1::/x",
        "3::/x:hi",
        "4::/x:1",
        "5:1+:/x:{\"name\":\"a\",\"args\":[]}",
        "6::/x:1",
        "7::/x:1+0",
    ] {
        assert_eq!(problem(text), Problem::ForeignEndpoint, "{text}");
    }
    assert_eq!(problem("3:::hi"), Problem::UnexpectedPacket);
    assert_eq!(problem("3:7::hi"), Problem::UnexpectedPacket);
    assert_eq!(problem("4:::{}"), Problem::UnexpectedPacket);
    assert_eq!(problem("1::"), Problem::RepeatedConnect);
    session.handle_binary(t0);
    assert_eq!(outputs(&mut session), [Output::Problem(Problem::UnexpectedBinary)]);
    session.handle_text(t0, "8::");
    assert_eq!(outputs(&mut session), []);
    assert!(session.is_connected());

    let stats = session.stats();
    let counts: Vec<String> =
        ProblemKind::ALL.iter().map(|kind| format!("{} {}", kind.name(), stats.problems(*kind))).collect();
    assert_eq!(
        counts.join(", "),
        "malformed_packet 4, foreign_endpoint 7, unexpected_binary 1, unexpected_packet 3, repeated_connect 1, \
         unknown_ack 0, repeated_ack 0"
    );
    assert_eq!((stats.problems_total(), stats.frames_in), (16, 18));
}

#[test]
fn events_with_an_id_are_acknowledged() {
    let (mut session, t0) = connected(SessionConfig::default());
    session.handle_text(t0, "5:9::{\"name\":\"a\",\"args\":[1]}");
    session.handle_text(t0, "5:10+::{\"name\":\"b\",\"args\":[2]}");
    session.handle_text(t0, "5:::{\"name\":\"c\",\"args\":[3]}");
    assert_eq!(
        outputs(&mut session),
        [send("6:::9"), event("a", &["1"]), event("b", &["2"]), send("6:::10"), event("c", &["3"])]
    );
}

#[test]
fn arguments_keep_their_bytes_and_are_slices_of_the_message() {
    use tokio_tungstenite::tungstenite::Utf8Bytes;

    let (mut session, t0) = connected(SessionConfig::default());
    let argument = format!("{{ \"n\" : 1.0e2, \"s\":\"\\u00e9{}\" }}", "é".repeat(600_000));
    let text = Utf8Bytes::from(format!("5:::{{\"name\": \"a\", \"args\": [ {argument} ,7]}}"));
    let place = text.as_str().as_ptr().addr() + text.as_str().find(&argument).unwrap();
    session.handle_text(t0, text);
    let outputs = outputs(&mut session);
    let [Output::Event { args, .. }] = outputs.as_slice() else { panic!("{outputs:?}") };
    assert_eq!(args[..], [argument.as_bytes(), b"7"]);
    assert_eq!(args[0].as_ptr().addr(), place);
}

#[test]
fn a_clock_that_steps_back_changes_nothing() {
    let (mut session, t0) = connected(SessionConfig::default());
    session.handle_text(t0 + secs(50), "2::");
    session.handle_text(t0 + secs(10), "2::");
    assert_eq!(session.poll_timeout(), Some(t0 + secs(110)));
    session.handle_timeout(t0);
    assert!(session.is_connected());
}

#[test]
fn timeouts_beyond_the_clock_never_come() {
    let never = Duration::MAX;
    let config =
        SessionConfig::default().heartbeat_timeout(never).connect_timeout(never).ack_timeout(Some(never));
    let t0 = start();
    let mut session = Session::new(config, t0);
    assert_eq!(session.poll_timeout(), None);
    session.handle_text(t0, "1::");
    assert_eq!(session.emit(t0, "a", ""), Ok(1));
    session.handle_timeout(t0 + secs(1_000_000));
    assert_eq!((session.poll_timeout(), session.in_flight()), (None, 1));
}

#[test]
fn debug_output_shows_no_payload() {
    let t0 = start();
    let mut session = Session::new(SessionConfig::default(), t0);
    session.emit(t0, "a", "\"hunter2\"").unwrap();
    let waiting = format!("{session:?}");
    session.handle_text(t0, "1::");
    session.handle_text(t0, "5:::{\"name\":\"a\",\"args\":[\"hunter2\"]}");
    session.handle_text(t0, "6:::1+[\"hunter2\"]");
    session.handle_text(t0, "hunter2");
    let shown = format!("{waiting} {session:?} {:?}", outputs(&mut session));
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn an_event_that_the_caller_read_counts_and_is_a_sign_of_life_like_any_other() {
    let config = SessionConfig::default().max_frame(1000);
    let (mut session, t0) = connected(config);
    let silence = session.poll_timeout().unwrap() - t0;
    let later = t0 + secs(5);
    assert!(session.handle_event(later, 1000));
    assert_eq!(session.poll_timeout(), Some(later + silence));
    assert_eq!((session.stats().frames_in, session.stats().events), (2, 1));
    assert_eq!(outputs(&mut session), []);
    assert!(!session.handle_event(later, 1001));
    assert_eq!(outputs(&mut session), [Output::Closed(CloseReason::FrameTooLarge)]);
    assert!(!session.handle_event(later, 1));
    assert_eq!(session.stats().events, 1);
}
