//! What must be true of a session's outputs, over its whole life.

use std::collections::{BTreeSet, VecDeque};

use transport_ws::packet::{Packet, PacketId};
use transport_ws::session::{Output, Session, State, Stats};

/// Keeps account of one session.
#[derive(Default)]
pub(super) struct Watcher {
    open: BTreeSet<u64>,
    largest_window: usize,
    published: u64,
    sent: u64,
    connected: bool,
    closed: bool,
    /// What the last text asks for, in order.
    expected: VecDeque<Expected>,
    counted: Counted,
}

#[derive(Debug, PartialEq, Eq)]
enum Expected {
    Heartbeat,
    Ack(u64),
    Event,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Counted {
    frames: u64,
    events: u64,
    acknowledged: u64,
    unconfirmed: u64,
    problems: u64,
}

impl Watcher {
    pub(super) fn new(window: usize) -> Self {
        Self { largest_window: window, ..Self::default() }
    }

    pub(super) fn allow(&mut self, window: usize) {
        self.largest_window = self.largest_window.max(window);
    }

    /// A text comes to a session that lives.
    pub(super) fn hears(&mut self, text: &str) {
        match Packet::decode(text) {
            Ok(Packet::Heartbeat) => self.expected.push_back(Expected::Heartbeat),
            Ok(Packet::Event { id, endpoint: "", .. }) => self.expected.extend(match id {
                None => vec![Expected::Event],
                Some(PacketId { number, wants_data: false }) => {
                    vec![Expected::Ack(number), Expected::Event]
                }
                Some(PacketId { number, wants_data: true }) => vec![Expected::Event, Expected::Ack(number)],
            }),
            _ => {}
        }
    }

    pub(super) fn published(&mut self, id: u64) {
        self.published += 1;
        assert_eq!(id, self.published, "ids count up");
        assert!(self.open.insert(id));
    }

    pub(super) fn drain(&mut self, session: &mut Session) {
        let mut outputs = 0;
        while let Some(output) = session.poll_output() {
            outputs += 1;
            assert!(!self.closed, "{output:?} after the end");
            self.output(output);
        }
        assert!(outputs <= self.largest_window + 3, "one operation, {outputs} outputs");
        assert_eq!(self.expected, [], "not answered");
        assert_eq!(session.in_flight(), self.open.len());
        assert!(self.open.len() <= self.largest_window);
        assert_eq!(self.closed, matches!(session.state(), State::Closed(_)));
        assert_eq!(session.is_connected(), self.connected && !self.closed);
        assert_eq!(session.poll_timeout().is_none(), self.closed);
    }

    fn output(&mut self, output: Output) {
        match output {
            Output::Send(text) => match std::str::from_utf8(&text) {
                Ok(text) => self.frame(text),
                Err(error) => panic!("sent what is no text: {error}"),
            },
            Output::Connected => {
                assert!(!self.connected, "connected twice");
                self.connected = true;
            }
            Output::Event { .. } => {
                self.counted.events += 1;
                assert_eq!(self.expected.pop_front(), Some(Expected::Event));
            }
            Output::Acknowledged { id, .. } => {
                self.counted.acknowledged += 1;
                assert!(id <= self.sent && self.open.remove(&id), "{id} acknowledged");
            }
            Output::Unconfirmed { id, sent } => {
                self.counted.unconfirmed += 1;
                assert_eq!(sent, id <= self.sent, "{id} was sent");
                assert_eq!(self.open.pop_first(), Some(id), "in order");
            }
            Output::Problem(_) => self.counted.problems += 1,
            Output::Closed(_) => {
                self.closed = true;
                assert!(self.open.is_empty(), "ends with open publishes");
            }
            other => panic!("a new kind of output: {other:?}"),
        }
    }

    fn frame(&mut self, text: &str) {
        self.counted.frames += 1;
        match Packet::decode(text) {
            Ok(Packet::Event { id, .. }) => {
                self.sent += 1;
                assert!(self.connected, "overtakes the set-up");
                assert_eq!(id, Some(PacketId::with_data(self.sent)), "in order");
            }
            Ok(Packet::Heartbeat) => assert_eq!(self.expected.pop_front(), Some(Expected::Heartbeat)),
            Ok(Packet::Ack { id, .. }) => assert_eq!(self.expected.pop_front(), Some(Expected::Ack(id))),
            other => panic!("sent {other:?}"),
        }
    }

    /// The session is over; its counters say what was seen.
    pub(super) fn ended(&self, stats: &Stats) {
        assert!(self.closed);
        let counted = Counted {
            frames: stats.frames_out,
            events: stats.events,
            acknowledged: stats.acknowledged,
            unconfirmed: stats.unconfirmed,
            problems: stats.problems_total(),
        };
        assert_eq!(self.counted, counted);
        assert_eq!(stats.published, self.published);
        assert_eq!(self.published, stats.acknowledged + stats.unconfirmed);
    }
}
