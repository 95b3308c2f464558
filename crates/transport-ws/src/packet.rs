//! The Socket.IO 0.9 packet codec, pure and total: any text gives a [`Packet`] or a [`DecodeError`].
//!
//! One packet is the text of one websocket message:
//!
//! ```text
//! type ":" [ id [ "+" ] ] ":" [ endpoint ] [ ":" data ]
//! ```
//!
//! The type is one digit: 0 disconnect, 1 connect, 2 heartbeat, 3 message, 4 JSON, 5 event, 6 ack, 7 error,
//! 8 noop. The codec is written from the parser of `socket.io` 0.9.19 and from recordings of it; both the
//! client and the emulator use it. The framing of several packets in one body that `xhr-polling` needs is not
//! implemented, because this crate speaks websocket only.
//!
//! # What decoding accepts beyond the canonical form
//!
//! | text | result | why |
//! |---|---|---|
//! | `2:::`, `2::` and anything after | [`Packet::Heartbeat`] | the Python client answers `2:::` |
//! | `5::{..}` | event on the endpoint `""` | the JavaScript client accepts it; the old *server* drops it, because it reads `{"name"` as an endpoint |
//! | `5:+::{..}` | no id | the old parser ignores a `+` without a number |
//! | `5:007::{..}` | id 7 | |
//! | `args` absent or `null` in an event | no arguments | old parser |
//! | a repeated key in an event | the last one wins | `JSON.parse` |
//! | other keys in an event | ignored | old parser |
//! | `6:::1`, `6:::1+`, `6:::1+null` | an ack without arguments | old parser |
//! | `6:::1[..]` | like `6:::1+[..]` | old parser |
//! | `7:::`, `7:::text` | an error without reason | old parser |
//! | data after a disconnect or noop | ignored | old parser |
//!
//! # What it refuses although the old parser does not
//!
//! The old parser turns what it does not understand into an empty packet and says nothing. Here that is a
//! [`DecodeError`], so that it can be counted: an unknown type, a packet without its two colons (`0`), an id
//! that is no number below 2^64, JSON that does not parse, an event without a `name` that is a string, `args`
//! that are no array, an ack without a number.
//!
//! # Arguments keep their bytes
//!
//! The arguments of events and acks are slices of the text, not parsed values: white space inside, key order,
//! number spelling and escapes stay as they were. Decoding a 1 MiB event copies none of it.

mod decode;
mod encode;
mod error;
mod likely;

use std::borrow::Cow;
use std::fmt;

pub(crate) use encode::acked_event;
pub use error::{DecodeError, DecodeErrorKind};
pub(crate) use likely::LikelyAck;
pub use likely::LikelyEvent;

/// The most arguments an event or an ack may have: 256.
///
/// ftrack's hub always uses exactly one. The limit keeps a hostile 16 MiB `[0,0,0,..]` from growing thirtyfold
/// in memory; beyond it decoding fails with [`DecodeErrorKind::TooManyArgs`].
pub const MAX_ARGS: usize = 256;

/// The number that asks for an acknowledgement: the second field of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PacketId {
    /// The number, chosen by the sender; the ack repeats it.
    pub number: u64,
    /// Whether a `+` follows the number: the application is to answer, with data. Without it the receiving
    /// library answers by itself, before it hands the packet over.
    pub wants_data: bool,
}

impl PacketId {
    /// `N`: the receiving library acknowledges by itself.
    pub const fn plain(number: u64) -> Self {
        Self { number, wants_data: false }
    }

    /// `N+`: the receiving application acknowledges, with data. What the Python client sends.
    pub const fn with_data(number: u64) -> Self {
        Self { number, wants_data: true }
    }
}

/// Why a server refuses: the first code of an error packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Code 0.
    TransportNotSupported,
    /// Code 1: the session id is unknown or already used. A handshake is good for one socket only.
    ClientNotHandshaken,
    /// Code 2.
    Unauthorized,
    /// A code that `socket.io` 0.9.19 does not define (so never 0, 1 or 2 when it comes from decoding).
    Other(u32),
}

impl Reason {
    /// The reason with this code on the wire.
    pub const fn from_code(code: u32) -> Self {
        match code {
            0 => Self::TransportNotSupported,
            1 => Self::ClientNotHandshaken,
            2 => Self::Unauthorized,
            other => Self::Other(other),
        }
    }

    /// The code on the wire.
    pub const fn code(self) -> u32 {
        match self {
            Self::TransportNotSupported => 0,
            Self::ClientNotHandshaken => 1,
            Self::Unauthorized => 2,
            Self::Other(code) => code,
        }
    }
}

/// What a refusing server advises: the second code of an error packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Advice {
    /// Code 0: make a new handshake.
    Reconnect,
    /// A code that `socket.io` 0.9.19 does not define (so never 0 when it comes from decoding).
    Other(u32),
}

impl Advice {
    /// The advice with this code on the wire.
    pub const fn from_code(code: u32) -> Self {
        match code {
            0 => Self::Reconnect,
            other => Self::Other(other),
        }
    }

    /// The code on the wire.
    pub const fn code(self) -> u32 {
        match self {
            Self::Reconnect => 0,
            Self::Other(code) => code,
        }
    }
}

/// One Socket.IO 0.9 packet, borrowing from its text.
///
/// An `endpoint` is the name of a multiplexed namespace, `""` for the default one, which is all that ftrack's
/// hub uses. `Debug` shows lengths instead of payloads.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Packet<'a> {
    /// Type 0. From a server: the client is being put out, and the socket ends.
    Disconnect {
        /// The namespace left; `""` ends the whole session.
        endpoint: &'a str,
    },
    /// Type 1. A server sends `1::` as soon as the websocket is open.
    Connect {
        /// The namespace joined.
        endpoint: &'a str,
        /// The query string after the endpoint (`1::/x:?a=b`), `""` when there is none.
        query: &'a str,
    },
    /// Type 2. The client answers each one with `2::`; a 0.9 server never answers one.
    Heartbeat,
    /// Type 3: plain text. ftrack's hub does not use it.
    Message {
        /// Set when an ack is wanted.
        id: Option<PacketId>,
        /// The namespace.
        endpoint: &'a str,
        /// The text.
        data: &'a str,
    },
    /// Type 4: one JSON value. ftrack's hub does not use it.
    Json {
        /// Set when an ack is wanted.
        id: Option<PacketId>,
        /// The namespace.
        endpoint: &'a str,
        /// The raw JSON text, valid when it comes from decoding.
        data: &'a str,
    },
    /// Type 5: a named event, what everything of ftrack's hub travels in.
    Event {
        /// Set when an ack is wanted.
        id: Option<PacketId>,
        /// The namespace.
        endpoint: &'a str,
        /// The name, unescaped.
        name: Cow<'a, str>,
        /// Each argument as raw JSON text, byte for byte.
        args: Vec<&'a str>,
    },
    /// Type 6: the answer to a packet with an id.
    Ack {
        /// The namespace.
        endpoint: &'a str,
        /// The number of the packet acknowledged.
        id: u64,
        /// Each argument as raw JSON text, byte for byte; empty for the bare `6:::1`.
        args: Vec<&'a str>,
    },
    /// Type 7: the server refuses, and the socket ends.
    Error {
        /// The namespace.
        endpoint: &'a str,
        /// Why; `None` when absent or not a number.
        reason: Option<Reason>,
        /// What to do; `None` when absent or not a number.
        advice: Option<Advice>,
    },
    /// Type 8: nothing. Never send it to the Python client: its receive thread dies of it.
    Noop,
}

impl<'a> Packet<'a> {
    /// An event on the default endpoint without an id, so without an ack: what a hub sends.
    pub fn event(name: &'a str, args: Vec<&'a str>) -> Self {
        Self::Event { id: None, endpoint: "", name: Cow::Borrowed(name), args }
    }

    /// An ack on the default endpoint.
    pub const fn ack(id: u64, args: Vec<&'a str>) -> Self {
        Self::Ack { endpoint: "", id, args }
    }

    /// Reads one packet from the text of one websocket message.
    ///
    /// Total: it never panics, and takes time linear in the text. See the [module](self) for what is accepted.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] says what was expected at which byte. It never holds any of the text.
    pub fn decode(text: &'a str) -> Result<Self, DecodeError> {
        decode::packet(text)
    }

    /// Appends the packet's canonical text to `out`.
    ///
    /// What [`decode`](Self::decode) gave reads back as the same packet. The same holds for a packet built by
    /// hand if its endpoint has no `:` (nor, in an event, a leading `{`), its JSON and its arguments are valid
    /// JSON without white space around, and no code that has a name is spelled `Other`. None of that is checked.
    ///
    /// One difference from the old server's own encoder: an event without arguments is written with `"args":[]`
    /// instead of without `args`, because not every client looks whether it is there.
    pub fn encode_into(&self, out: &mut String) {
        encode::packet(self, out);
    }

    /// The packet's canonical text. See [`encode_into`](Self::encode_into).
    pub fn encode(&self) -> String {
        let mut out = String::with_capacity(encode::size_hint(self));
        self.encode_into(&mut out);
        out
    }

    /// The endpoint, `""` for the default one and for packets that have none.
    pub fn endpoint(&self) -> &'a str {
        match *self {
            Self::Disconnect { endpoint }
            | Self::Connect { endpoint, .. }
            | Self::Message { endpoint, .. }
            | Self::Json { endpoint, .. }
            | Self::Event { endpoint, .. }
            | Self::Ack { endpoint, .. }
            | Self::Error { endpoint, .. } => endpoint,
            Self::Heartbeat | Self::Noop => "",
        }
    }
}

/// Shows a length where the payload would be.
struct Bytes(usize);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.0)
    }
}

fn lengths(args: &[&str]) -> Vec<Bytes> {
    args.iter().map(|arg| Bytes(arg.len())).collect()
}

impl fmt::Debug for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnect { endpoint } => {
                f.debug_struct("Disconnect").field("endpoint", endpoint).finish()
            }
            Self::Connect { endpoint, query } => f
                .debug_struct("Connect")
                .field("endpoint", endpoint)
                .field("query", &Bytes(query.len()))
                .finish(),
            Self::Heartbeat => f.write_str("Heartbeat"),
            Self::Message { id, endpoint, data } => f
                .debug_struct("Message")
                .field("id", id)
                .field("endpoint", endpoint)
                .field("data", &Bytes(data.len()))
                .finish(),
            Self::Json { id, endpoint, data } => f
                .debug_struct("Json")
                .field("id", id)
                .field("endpoint", endpoint)
                .field("data", &Bytes(data.len()))
                .finish(),
            Self::Event { id, endpoint, name, args } => f
                .debug_struct("Event")
                .field("id", id)
                .field("endpoint", endpoint)
                .field("name", name)
                .field("args", &lengths(args))
                .finish(),
            Self::Ack { endpoint, id, args } => f
                .debug_struct("Ack")
                .field("endpoint", endpoint)
                .field("id", id)
                .field("args", &lengths(args))
                .finish(),
            Self::Error { endpoint, reason, advice } => f
                .debug_struct("Error")
                .field("endpoint", endpoint)
                .field("reason", reason)
                .field("advice", advice)
                .finish(),
            Self::Noop => f.write_str("Noop"),
        }
    }
}
