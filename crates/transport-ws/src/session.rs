//! The client's side of one Socket.IO 0.9 session over one websocket, without I/O and without a clock.
//!
//! A [`Session`] starts when the websocket is open and ends with [`Output::Closed`]; it never reconnects. The
//! shell around it does this in a loop:
//!
//! 1. `while let Some(output) = session.poll_output()` { write, deliver, or end };
//! 2. wait for the first of: a message from the socket, the time of [`Session::poll_timeout`], a publish, a wish
//!    to leave;
//! 3. tell the session, with the present time: [`handle_text`](Session::handle_text) and its siblings,
//!    [`handle_timeout`](Session::handle_timeout), [`emit`](Session::emit), [`close`](Session::close);
//! 4. again from 1.
//!
//! # The rules of the wire, and where they come from
//!
//! - `2::` is answered with `2::`. Heartbeats are never volunteered: a 0.9 server never answers one.
//! - Anything that comes in is a sign of life. The JavaScript client counts heartbeats only, with a timer of 15 s
//!   of its own, and so drops healthy links.
//! - What is published before `1::` has come waits inside the session and goes out right after
//!   [`Output::Connected`]. The JavaScript client sends at once, and a packet that overtakes the server's set-up
//!   is lost without notice. Events that arrive before `1::` are delivered.
//! - Every publish asks for an ack with data (`5:N+::`, N from 1), and is *in flight* until it has had its last
//!   word: [`Output::Acknowledged`] or [`Output::Unconfirmed`], exactly one of them. Acks may come in any order.
//! - An event that itself asks for an ack: `5:9::` is answered `6:::9` before it is delivered, as the protocol
//!   wants of the library; `5:9+::` is answered `6:::9`, without data, right after its delivery. The Python
//!   client never answers either; no hub is known to ask.
//! - `0::` and `7:::x+y` end the session.
//!
//! # What is left to the shell
//!
//! Websocket framing. Against `socket.io` 0.9.19 a client must never send a ping (the answer is an invalid frame),
//! never an unsolicited pong (the server closes), and never a fragmented message (characters across the cut are
//! destroyed); the session produces nothing of the sort, only whole texts. Leaving is a websocket close of code
//! 1000 without a `0::`, as the official clients do; that server answers it with a plain end of the connection.
//!
//! # Bounds
//!
//! At most `window` publishes are held or in flight. One call of `handle_*` adds at most three outputs, those
//! that connect or close at most `window + 1`; so a shell that drains the outputs after every call, as above,
//! keeps the queue small.

mod config;
mod output;
mod stats;

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::ops::Range;
use std::time::Instant;

use bytes::Bytes;

use crate::packet::{self, Packet, PacketId};
use crate::rising::Rising;

pub use config::SessionConfig;
pub use output::{CloseReason, Output, Problem, ProblemKind};
pub use stats::Stats;

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// The server has not said `1::` yet.
    Connecting,
    /// Publishes go out at once.
    Connected,
    /// Over. Nothing comes out any more once the queue is drained.
    Closed(CloseReason),
}

/// Why [`Session::emit`] did not take a publish. Nothing was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EmitError {
    /// As many publishes as the window allows wait for their ack. Try again after the next
    /// [`Output::Acknowledged`] or [`Output::Unconfirmed`].
    WindowFull,
    /// The session is over.
    Closed,
}

impl fmt::Display for EmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WindowFull => "too many publishes wait for their acknowledgement",
            Self::Closed => "the session is over",
        })
    }
}

impl Error for EmitError {}

/// A publish without its last word.
enum InFlight {
    /// Its frame waits for `1::`.
    Held(Bytes),
    /// Its frame was given out; `None` waits for ever.
    Sent { deadline: Option<Instant> },
}

/// One session. See the [module](self) for its rules and for the loop around it.
///
/// `now` is whatever clock the caller uses; a time before the latest one seen counts as that one.
pub struct Session {
    config: SessionConfig,
    state: State,
    now: Instant,
    started: Instant,
    last_heard: Instant,
    next_id: u64,
    in_flight: Rising<InFlight>,
    outputs: VecDeque<Output>,
    stats: Stats,
}

/// What one text asks to hand over, as places in it.
enum Handover {
    Event { name: String, args: Vec<Range<usize>>, ack_after: Option<u64> },
    Acknowledged { id: u64, args: Vec<Range<usize>> },
}

impl Session {
    /// A session over a websocket that has just been opened.
    pub fn new(config: SessionConfig, now: Instant) -> Self {
        Self {
            config: SessionConfig { window: config.window.max(1), ..config },
            state: State::Connecting,
            now,
            started: now,
            last_heard: now,
            next_id: 1,
            in_flight: Rising::new(),
            outputs: VecDeque::new(),
            stats: Stats::default(),
        }
    }

    /// A text message came in.
    ///
    /// Takes the text as what it came in as, `Utf8Bytes` of tungstenite for one: it is neither checked for UTF-8
    /// again nor copied, and the arguments of [`Output::Event`] are slices of it. Poll the outputs afterwards.
    pub fn handle_text<T: AsRef<str> + Into<Bytes>>(&mut self, now: Instant, text: T) {
        let Some(handover) = self.text(now, text.as_ref()) else { return };
        let frame: Bytes = text.into();
        let slices = |args: Vec<Range<usize>>| args.into_iter().map(|arg| frame.slice(arg)).collect();
        match handover {
            Handover::Event { name, args, ack_after } => {
                self.stats.events += 1;
                self.outputs.push_back(Output::Event { name, args: slices(args) });
                if let Some(id) = ack_after {
                    self.send(Packet::ack(id, Vec::new()).encode());
                }
            }
            Handover::Acknowledged { id, args } => {
                self.stats.acknowledged += 1;
                self.outputs.push_back(Output::Acknowledged { id, args: slices(args) });
            }
        }
    }

    /// An event packet came in, in a text message of so many bytes, whose argument the caller has read by itself; it
    /// asked for no ack. Says whether the event is to be delivered: not when the session is over or the message is
    /// too large. Poll the outputs afterwards.
    pub fn handle_event(&mut self, now: Instant, bytes: usize) -> bool {
        let admitted = self.admit(now, bytes);
        self.stats.events += u64::from(admitted);
        admitted
    }

    /// An ack came in, in a text message of so many bytes, whose words the caller has read by itself. Says whether it
    /// is the last word on a publish, of which [`Output::Acknowledged`] does not tell then. Poll the outputs afterwards.
    pub fn handle_acknowledgement(&mut self, now: Instant, bytes: usize, id: u64) -> bool {
        let lands = self.admit(now, bytes) && self.lands(id);
        self.stats.acknowledged += u64::from(lands);
        lands
    }

    /// A binary message came in. It is a sign of life, and a [`Problem`]. Poll the outputs afterwards.
    pub fn handle_binary(&mut self, now: Instant) {
        if self.heard(now) {
            self.stats.frames_in += 1;
            self.problem(Problem::UnexpectedBinary);
        }
    }

    /// Something came in that is not a message: a websocket ping or pong, or a part of a long message that is
    /// still under way. It is a sign of life and nothing else. Adds no output.
    pub fn handle_activity(&mut self, now: Instant) {
        self.heard(now);
    }

    /// A websocket close frame came in. Poll the outputs afterwards.
    pub fn handle_peer_close(&mut self, now: Instant, code: Option<u16>) {
        self.end(now, CloseReason::PeerClosed { code });
    }

    /// The connection ended, or failed. Poll the outputs afterwards.
    pub fn handle_eof(&mut self, now: Instant) {
        self.end(now, CloseReason::Eof);
    }

    /// The shell met a message larger than [`SessionConfig::max_frame`] and did not read it. Poll the outputs
    /// afterwards.
    pub fn handle_too_large(&mut self, now: Instant) {
        self.end(now, CloseReason::FrameTooLarge);
    }

    /// The shell met bytes that are not valid websocket frames, or text that is not UTF-8. Poll the outputs
    /// afterwards.
    pub fn handle_broken_framing(&mut self, now: Instant) {
        self.end(now, CloseReason::BrokenFraming);
    }

    /// Publishes the event `name` and gives its packet id: 1, 2, 3 and so on.
    ///
    /// `args_json` is what goes between the brackets of `args`, as JSON: for ftrack's hub one object. It is
    /// written as it is and not checked. Poll the outputs afterwards.
    ///
    /// # Errors
    ///
    /// [`EmitError::WindowFull`] and [`EmitError::Closed`]; the id is not used up then.
    pub fn emit(&mut self, now: Instant, name: &str, args_json: &str) -> Result<u64, EmitError> {
        self.emit_with(now, name, args_json.len(), |frame| frame.extend_from_slice(args_json.as_bytes()))
    }

    /// The same with arguments that are written straight into the frame: about so many bytes of JSON in UTF-8, behind
    /// what is there.
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit); nothing is written then.
    pub fn emit_with(
        &mut self,
        now: Instant,
        name: &str,
        size: usize,
        args_json: impl FnOnce(&mut Vec<u8>),
    ) -> Result<u64, EmitError> {
        self.advance(now);
        if let State::Closed(_) = self.state {
            return Err(EmitError::Closed);
        }
        if self.in_flight.len() >= self.config.window {
            return Err(EmitError::WindowFull);
        }
        let id = self.next_id;
        self.next_id += 1;
        self.stats.published += 1;
        let frame = Bytes::from(packet::acked_event(id, name, size, args_json));
        let publish = if self.is_connected() {
            self.send(frame);
            InFlight::Sent { deadline: self.ack_deadline() }
        } else {
            InFlight::Held(frame)
        };
        self.in_flight.push(id, publish);
        Ok(id)
    }

    /// The time of [`poll_timeout`](Self::poll_timeout) has come. Does nothing when called too early. Poll the
    /// outputs afterwards, and then the timeout: it is later than `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        let due = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= self.now);
        if due(self.connect_deadline()) {
            self.end(now, CloseReason::ConnectTimeout);
        } else if due(self.heartbeat_deadline()) {
            self.end(now, CloseReason::HeartbeatTimeout);
        } else {
            self.give_up_overdue();
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout): ask again after every other call. `None` when
    /// nothing is to be waited for, as after the end.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.connect_deadline(), self.heartbeat_deadline(), self.first_ack_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// The next thing to do. Ask until `None` after every call that may have added some.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Ends the session from this side. What is in flight is reported as unconfirmed, then comes
    /// [`Output::Closed`], at which the shell sends a websocket close of code 1000. Poll the outputs afterwards.
    pub fn close(&mut self, now: Instant) {
        self.end(now, CloseReason::Local);
    }

    /// Changes the window, at least 1. Publishes above a smaller one stay in flight; there will be no new ones
    /// until enough of them have had their last word.
    pub fn set_window(&mut self, publishes: usize) {
        self.config.window = publishes.max(1);
    }

    /// How many publishes have not had their last word, those held until the session is connected included.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Where the session stands. The outputs that led there may still be in the queue.
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether the server has said `1::` and the session is not over.
    pub fn is_connected(&self) -> bool {
        self.state == State::Connected
    }

    /// The settings in force.
    pub fn config(&self) -> &SessionConfig {
        &self.config
    }

    /// The counters so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Everything about a text except cutting it into slices.
    fn text(&mut self, now: Instant, text: &str) -> Option<Handover> {
        if !self.admit(now, text.len()) {
            return None;
        }
        match Packet::decode(text) {
            Ok(packet) if packet.endpoint().is_empty() => self.packet(now, text, packet),
            Ok(_) => self.problem(Problem::ForeignEndpoint),
            Err(error) => self.problem(Problem::MalformedPacket(error)),
        }
    }

    /// Whether a text of so many bytes is to be looked at.
    fn admit(&mut self, now: Instant, bytes: usize) -> bool {
        if !self.heard(now) {
            return false;
        }
        self.stats.frames_in += 1;
        if bytes > self.config.max_frame {
            self.end(now, CloseReason::FrameTooLarge);
            return false;
        }
        true
    }

    fn packet(&mut self, now: Instant, text: &str, packet: Packet<'_>) -> Option<Handover> {
        match packet {
            Packet::Connect { .. } => self.connected(),
            Packet::Heartbeat => {
                self.stats.heartbeats += 1;
                self.send(Packet::Heartbeat.encode());
            }
            Packet::Event { id, name, args, .. } => {
                let ack_after = match id {
                    Some(PacketId { number, wants_data: true }) => Some(number),
                    Some(PacketId { number, wants_data: false }) => {
                        self.send(Packet::ack(number, Vec::new()).encode());
                        None
                    }
                    None => None,
                };
                return Some(Handover::Event {
                    name: name.into_owned(),
                    args: ranges(text, &args),
                    ack_after,
                });
            }
            Packet::Ack { id, args, .. } => {
                return self.lands(id).then(|| Handover::Acknowledged { id, args: ranges(text, &args) });
            }
            Packet::Disconnect { .. } => self.end(now, CloseReason::PeerDisconnect),
            Packet::Error { reason, advice, .. } => {
                self.end(now, CloseReason::ServerError { reason, advice });
            }
            Packet::Message { .. } | Packet::Json { .. } => return self.problem(Problem::UnexpectedPacket),
            Packet::Noop => {}
        }
        None
    }

    /// Whether this ack is the last word on a publish; else it is a problem.
    fn lands(&mut self, id: u64) -> bool {
        let open = self.in_flight.get(id);
        if let Some(InFlight::Sent { .. }) = open {
            self.in_flight.remove(id);
            return true;
        }
        let spoken_for = id > 0 && id < self.next_id && open.is_none();
        self.problem(if spoken_for { Problem::RepeatedAck { id } } else { Problem::UnknownAck { id } });
        false
    }

    /// `1::`: says so, and lets go what was held.
    fn connected(&mut self) {
        if self.is_connected() {
            self.problem(Problem::RepeatedConnect);
            return;
        }
        self.state = State::Connected;
        self.outputs.push_back(Output::Connected);
        let deadline = self.ack_deadline();
        for publish in self.in_flight.values_mut() {
            if let InFlight::Held(frame) = std::mem::replace(publish, InFlight::Sent { deadline }) {
                self.stats.frames_out += 1;
                self.outputs.push_back(Output::Send(frame));
            }
        }
    }

    /// The end, once: everything open gets its last word, in order.
    fn end(&mut self, now: Instant, reason: CloseReason) {
        self.advance(now);
        if let State::Closed(_) = self.state {
            return;
        }
        self.state = State::Closed(reason);
        while let Some((id, publish)) = self.in_flight.pop_first() {
            self.unconfirmed(id, &publish);
        }
        self.outputs.push_back(Output::Closed(reason));
    }

    fn give_up_overdue(&mut self) {
        while self.first_ack_deadline().is_some_and(|deadline| deadline <= self.now) {
            if let Some((id, publish)) = self.in_flight.pop_first() {
                self.unconfirmed(id, &publish);
            }
        }
    }

    fn unconfirmed(&mut self, id: u64, publish: &InFlight) {
        self.stats.unconfirmed += 1;
        let sent = matches!(publish, InFlight::Sent { .. });
        self.outputs.push_back(Output::Unconfirmed { id, sent });
    }

    fn send(&mut self, frame: impl Into<Bytes>) {
        self.stats.frames_out += 1;
        self.outputs.push_back(Output::Send(frame.into()));
    }

    /// Always `None`, so that it can end a branch that hands nothing over.
    fn problem(&mut self, problem: Problem) -> Option<Handover> {
        self.stats.count(problem.kind());
        self.outputs.push_back(Output::Problem(problem));
        None
    }

    fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// A sign of life. False when the session is over and the sign is to be ignored.
    fn heard(&mut self, now: Instant) -> bool {
        self.advance(now);
        self.last_heard = self.now;
        !matches!(self.state, State::Closed(_))
    }

    fn connect_deadline(&self) -> Option<Instant> {
        if self.state == State::Connecting {
            self.started.checked_add(self.config.connect_timeout)
        } else {
            None
        }
    }

    fn heartbeat_deadline(&self) -> Option<Instant> {
        match self.state {
            State::Closed(_) => None,
            _ => self.last_heard.checked_add(self.config.heartbeat_timeout),
        }
    }

    fn ack_deadline(&self) -> Option<Instant> {
        self.config.ack_timeout.and_then(|timeout| self.now.checked_add(timeout))
    }

    /// Ids and deadlines rise together, so the first in flight is the first due.
    fn first_ack_deadline(&self) -> Option<Instant> {
        match self.in_flight.first() {
            Some(InFlight::Sent { deadline }) => *deadline,
            _ => None,
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("state", &self.state)
            .field("in_flight", &self.in_flight.len())
            .field("outputs", &self.outputs.len())
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

/// Where the parts of `text` lie in it.
fn ranges(text: &str, parts: &[&str]) -> Vec<Range<usize>> {
    let start = text.as_ptr().addr();
    let place = |part: &&str| {
        let offset = part.as_ptr().addr() - start;
        offset..offset + part.len()
    };
    parts.iter().map(place).collect()
}
