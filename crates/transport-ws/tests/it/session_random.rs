//! The session under random sequences of operations.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use transport_ws::packet::Packet;
use transport_ws::session::{EmitError, Output, Session, SessionConfig, State, Stats};

use crate::support::{cases, start};

#[derive(Clone, Debug)]
enum Operation {
    Text(String),
    Ack(u64),
    Emit,
    Wait(u64),
    WaitForTimeout,
    Binary,
    Activity,
    Window(usize),
    PeerClose,
    Eof,
    Close,
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let texts = prop_oneof![
        4 => Just("1::"),
        4 => Just("2::"),
        4 => Just("5:::{\"name\":\"a\",\"args\":[1,{\"b\": 2}]}"),
        2 => Just("5:9::{\"name\":\"a\"}"),
        2 => Just("5:9+::{\"name\":\"a\",\"args\":[]}"),
        2 => Just("garbage"),
        1 => Just("5:1:/x:{\"name\":\"a\"}"),
        1 => Just("3:::hi"),
        1 => Just("8::"),
        1 => Just("6:::1+[}"),
    ];
    let endings = prop_oneof![
        Just(Operation::Text("0::".to_owned())),
        Just(Operation::Text("7:::1+0".to_owned())),
        Just(Operation::Text(format!("3:::{}", "x".repeat(100)))),
        Just(Operation::PeerClose),
        Just(Operation::Eof),
        Just(Operation::Close),
    ];
    let operation = prop_oneof![
        12 => texts.prop_map(|text| Operation::Text(text.to_owned())),
        12 => (0..12_u64).prop_map(Operation::Ack),
        16 => Just(Operation::Emit),
        4 => (0..40_u64).prop_map(Operation::Wait),
        4 => Just(Operation::WaitForTimeout),
        1 => Just(Operation::Binary),
        1 => Just(Operation::Activity),
        1 => (0..6_usize).prop_map(Operation::Window),
        1 => endings,
        1 => ".{0,6}".prop_map(Operation::Text),
    ];
    proptest::collection::vec(operation, 0..40)
}

/// What must be true of the outputs, over the whole life of a session.
#[derive(Default)]
struct Watcher {
    open: BTreeSet<u64>,
    sent: u64,
    connected: bool,
    closed: bool,
    counted: [u64; 6],
}

impl Watcher {
    fn drain(&mut self, session: &mut Session) -> Result<(), TestCaseError> {
        let mut outputs = 0;
        while let Some(output) = session.poll_output() {
            outputs += 1;
            prop_assert!(!self.closed, "{:?} after the end", output);
            self.output(output)?;
        }
        prop_assert!(outputs <= 8, "one operation, {} outputs", outputs);
        prop_assert_eq!(session.in_flight(), self.open.len());
        prop_assert_eq!(self.closed, matches!(session.state(), State::Closed(_)));
        prop_assert_eq!(session.is_connected(), self.connected && !self.closed);
        prop_assert_eq!(session.poll_timeout().is_none(), self.closed);
        Ok(())
    }

    fn output(&mut self, output: Output) -> Result<(), TestCaseError> {
        match output {
            Output::Send(text) => {
                self.counted[0] += 1;
                match Packet::decode(std::str::from_utf8(&text).unwrap()).unwrap() {
                    Packet::Event { id, .. } => {
                        self.sent += 1;
                        prop_assert!(self.connected);
                        prop_assert_eq!(id.unwrap().number, self.sent);
                    }
                    Packet::Heartbeat | Packet::Ack { id: 9, .. } => {}
                    other => prop_assert!(false, "sent {:?}", other),
                }
            }
            Output::Connected => {
                prop_assert!(!self.connected);
                self.connected = true;
            }
            Output::Event { .. } => self.counted[1] += 1,
            Output::Acknowledged { id, .. } => {
                self.counted[2] += 1;
                prop_assert!(id <= self.sent && self.open.remove(&id), "{} acknowledged", id);
            }
            Output::Unconfirmed { id, sent } => {
                self.counted[3] += 1;
                prop_assert_eq!(sent, id <= self.sent);
                prop_assert_eq!(self.open.pop_first(), Some(id));
            }
            Output::Problem(_) => self.counted[4] += 1,
            Output::Closed(_) => {
                self.closed = true;
                prop_assert!(self.open.is_empty());
            }
            other => prop_assert!(false, "a new kind of output: {:?}", other),
        }
        Ok(())
    }

    fn agrees_with(&self, stats: &Stats) -> Result<(), TestCaseError> {
        let counted = [
            stats.frames_out,
            stats.events,
            stats.acknowledged,
            stats.unconfirmed,
            stats.problems_total(),
            stats.published,
        ];
        prop_assert_eq!(counted, self.counted);
        prop_assert_eq!(stats.published, stats.acknowledged + stats.unconfirmed);
        Ok(())
    }
}

fn live(operations: Vec<Operation>, window: usize, ack_timeout: Option<u64>) -> Result<(), TestCaseError> {
    let mut now = start();
    let config = SessionConfig::default()
        .window(window)
        .max_frame(64)
        .ack_timeout(ack_timeout.map(Duration::from_secs));
    let mut session = Session::new(config, now);
    let mut watcher = Watcher::default();
    let mut largest = window;
    for operation in operations {
        match operation {
            Operation::Text(text) => session.handle_text(now, text),
            Operation::Ack(id) => session.handle_text(now, format!("6:::{id}+[{{}}]")),
            Operation::Emit => match session.emit(now, "ftrack.event", "{}") {
                Ok(id) => {
                    watcher.counted[5] += 1;
                    prop_assert_eq!(id, watcher.counted[5]);
                    prop_assert!(watcher.open.insert(id));
                    prop_assert!(session.in_flight() <= session.config().window);
                }
                Err(EmitError::Closed) => prop_assert!(watcher.closed),
                Err(_) => prop_assert!(session.in_flight() >= session.config().window),
            },
            Operation::Wait(seconds) => {
                now += Duration::from_secs(seconds);
                session.handle_timeout(now);
                prop_assert!(session.poll_timeout().is_none_or(|timeout| timeout > now));
            }
            Operation::WaitForTimeout => {
                if let Some(timeout) = session.poll_timeout() {
                    now = timeout;
                    let before = session.stats().unconfirmed;
                    session.handle_timeout(now);
                    let ended = matches!(session.state(), State::Closed(_));
                    prop_assert!(ended || session.stats().unconfirmed > before, "woken for nothing");
                }
            }
            Operation::Binary => session.handle_binary(now),
            Operation::Activity => session.handle_activity(now),
            Operation::Window(publishes) => {
                largest = largest.max(publishes);
                session.set_window(publishes);
            }
            Operation::PeerClose => session.handle_peer_close(now, Some(1001)),
            Operation::Eof => session.handle_eof(now),
            Operation::Close => session.close(now),
        }
        watcher.drain(&mut session)?;
        prop_assert!(session.in_flight() <= largest);
    }
    session.close(now);
    watcher.drain(&mut session)?;
    prop_assert!(watcher.closed);
    watcher.agrees_with(&session.stats())
}

proptest! {
    #![proptest_config(cases(5_000))]

    #[test]
    fn every_publish_has_one_last_word_and_nothing_follows_the_end(
        operations in operations(),
        window in 1..6_usize,
        ack_timeout in proptest::option::of(1..50_u64),
    ) {
        live(operations, window, ack_timeout)?;
    }
}
