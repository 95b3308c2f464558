//! What a session says to its shell.

use std::fmt;

use bytes::Bytes;

use crate::packet::{Advice, DecodeError, Reason};

/// What the shell is to do or to know next. `Debug` shows lengths instead of payloads.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// Write this, which is UTF-8, as one unfragmented text message, in order.
    Send(Bytes),
    /// The server said `1::`. Said at most once.
    Connected,
    /// The server delivers an event.
    Event {
        /// Its name, `ftrack.event` for everything of ftrack's hub.
        name: String,
        /// Its arguments as raw JSON: slices of the frame, not copies. ftrack's hub sends exactly one; how many
        /// are right is for the layer above to judge.
        args: Vec<Bytes>,
    },
    /// The server acknowledged a publish: the last word on this id.
    Acknowledged {
        /// What [`emit`](super::Session::emit) gave.
        id: u64,
        /// What the server answered, as raw JSON: slices of the frame. Empty for an automatic ack.
        args: Vec<Bytes>,
    },
    /// There is no ack for this publish and the session waits no more: the last word on this id.
    ///
    /// Comes when the ack timeout has passed, and for all that is open, in order, right before `Closed`.
    Unconfirmed {
        /// What [`emit`](super::Session::emit) gave.
        id: u64,
        /// Whether its frame was given out as `Send`. If not, the server certainly has not got it; if so, it may
        /// have, and sending the event again may duplicate it.
        sent: bool,
    },
    /// The server did something wrong; the session lives on.
    Problem(Problem),
    /// The session is over: drop the connection. Always the last output.
    Closed(CloseReason),
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lengths = |args: &[Bytes]| args.iter().map(Bytes::len).collect::<Vec<_>>();
        match self {
            Self::Send(frame) => write!(f, "Send(<{} bytes>)", frame.len()),
            Self::Connected => f.write_str("Connected"),
            Self::Event { name, args } => {
                f.debug_struct("Event").field("name", name).field("args_len", &lengths(args)).finish()
            }
            Self::Acknowledged { id, args } => {
                f.debug_struct("Acknowledged").field("id", id).field("args_len", &lengths(args)).finish()
            }
            Self::Unconfirmed { id, sent } => {
                f.debug_struct("Unconfirmed").field("id", id).field("sent", sent).finish()
            }
            Self::Problem(problem) => f.debug_tuple("Problem").field(problem).finish(),
            Self::Closed(reason) => f.debug_tuple("Closed").field(reason).finish(),
        }
    }
}

/// Something wrong that does not end the session. Holds no payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// A text that is not a packet. The official clients die of some of these; this one goes on.
    MalformedPacket(DecodeError),
    /// A packet for another endpoint than `""`, which this client never joins.
    ForeignEndpoint,
    /// A binary message; Socket.IO 0.9 has none.
    UnexpectedBinary,
    /// A plain message or a JSON packet (types 3 and 4), which no event hub sends.
    UnexpectedPacket,
    /// A second `1::`.
    RepeatedConnect,
    /// An ack for an id that was never sent.
    UnknownAck {
        /// The id.
        id: u64,
    },
    /// An ack for a publish that has had its last word: acknowledged twice, or later than the ack timeout.
    RepeatedAck {
        /// The id.
        id: u64,
    },
}

impl Problem {
    /// Which counter it belongs to.
    pub const fn kind(&self) -> ProblemKind {
        match self {
            Self::MalformedPacket(_) => ProblemKind::MalformedPacket,
            Self::ForeignEndpoint => ProblemKind::ForeignEndpoint,
            Self::UnexpectedBinary => ProblemKind::UnexpectedBinary,
            Self::UnexpectedPacket => ProblemKind::UnexpectedPacket,
            Self::RepeatedConnect => ProblemKind::RepeatedConnect,
            Self::UnknownAck { .. } => ProblemKind::UnknownAck,
            Self::RepeatedAck { .. } => ProblemKind::RepeatedAck,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MalformedPacket(cause) => write!(f, "a malformed packet was skipped: {cause}"),
            Self::ForeignEndpoint => {
                f.write_str("a packet for an endpoint that was never joined was skipped")
            }
            Self::UnexpectedBinary => f.write_str("a binary message was skipped; Socket.IO 0.9 has none"),
            Self::UnexpectedPacket => f.write_str("a plain message or JSON packet was skipped"),
            Self::RepeatedConnect => f.write_str("the server said a second time that the session stands"),
            Self::UnknownAck { id } => write!(f, "the server acknowledged packet {id}, which was never sent"),
            Self::RepeatedAck { id } => write!(f, "the server acknowledged packet {id} again or too late"),
        }
    }
}

/// The kinds of [`Problem`], for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProblemKind {
    /// See [`Problem::MalformedPacket`].
    MalformedPacket,
    /// See [`Problem::ForeignEndpoint`].
    ForeignEndpoint,
    /// See [`Problem::UnexpectedBinary`].
    UnexpectedBinary,
    /// See [`Problem::UnexpectedPacket`].
    UnexpectedPacket,
    /// See [`Problem::RepeatedConnect`].
    RepeatedConnect,
    /// See [`Problem::UnknownAck`].
    UnknownAck,
    /// See [`Problem::RepeatedAck`].
    RepeatedAck,
}

impl ProblemKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::MalformedPacket,
        Self::ForeignEndpoint,
        Self::UnexpectedBinary,
        Self::UnexpectedPacket,
        Self::RepeatedConnect,
        Self::UnknownAck,
        Self::RepeatedAck,
    ];

    /// A name for metrics, lower case with underscores.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MalformedPacket => "malformed_packet",
            Self::ForeignEndpoint => "foreign_endpoint",
            Self::UnexpectedBinary => "unexpected_binary",
            Self::UnexpectedPacket => "unexpected_packet",
            Self::RepeatedConnect => "repeated_connect",
            Self::UnknownAck => "unknown_ack",
            Self::RepeatedAck => "repeated_ack",
        }
    }
}

/// Why a session ended. Every reason but `Local` and `ServerError` with [`Reason::Unauthorized`] calls for a new
/// handshake and a new session: with a 0.9 server an end is routine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The server sent `0::`: it puts the client out, as `socket.io` 0.9.19 does with every busy publisher after
    /// some megabytes.
    PeerDisconnect,
    /// The server sent `7:::x+y`. With [`Reason::ClientNotHandshaken`] the session id was stale or already used.
    ServerError {
        /// Why, if it says.
        reason: Option<Reason>,
        /// What it advises, if anything.
        advice: Option<Advice>,
    },
    /// Nothing came for as long as the heartbeat timeout: the link is dead.
    HeartbeatTimeout,
    /// The server did not say `1::` in time.
    ConnectTimeout,
    /// A websocket close frame. `socket.io` 0.9.19 never sends one; proxies do.
    PeerClosed {
        /// Its status code, if it has one.
        code: Option<u16>,
    },
    /// The connection ended without a word: how `socket.io` 0.9.19 leaves, and what a crash looks like.
    Eof,
    /// The server sent a text larger than `max_frame`.
    FrameTooLarge,
    /// What came is not valid websocket framing. `socket.io` 0.9.19 does that to every packet of exactly 65,536
    /// bytes.
    BrokenFraming,
    /// This side closed.
    Local,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerDisconnect => f.write_str("the server disconnected this client"),
            Self::ServerError { reason, .. } => match reason {
                Some(Reason::TransportNotSupported) => {
                    f.write_str("the server does not support this transport")
                }
                Some(Reason::ClientNotHandshaken) => {
                    f.write_str("the server does not know this session: it needs a new handshake")
                }
                Some(Reason::Unauthorized) => f.write_str("the server does not authorize this client"),
                Some(Reason::Other(code)) => write!(f, "the server reported error {code}"),
                None => f.write_str("the server reported an error"),
            },
            Self::HeartbeatTimeout => {
                f.write_str("the server was silent for longer than the heartbeat timeout")
            }
            Self::ConnectTimeout => f.write_str("the server did not confirm the connection in time"),
            Self::PeerClosed { code: Some(code) } => {
                write!(f, "the server closed the websocket with code {code}")
            }
            Self::PeerClosed { code: None } => f.write_str("the server closed the websocket"),
            Self::Eof => f.write_str("the connection ended"),
            Self::FrameTooLarge => f.write_str("the server sent a message larger than the limit"),
            Self::BrokenFraming => f.write_str("the server sent an invalid websocket frame"),
            Self::Local => f.write_str("closed by this side"),
        }
    }
}
