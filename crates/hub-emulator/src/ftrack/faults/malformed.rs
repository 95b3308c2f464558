//! Things that a client should never get. Pure.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::ftrack::frame::{Frame, put_header};

const EVENT: &str = r#"{"topic":"malformed","data":{},"id":"malformed"}"#;
const SIXTEEN_MIB: usize = 16 * 1024 * 1024;

/// What is malformed, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Malformed {
    /// A text frame without text.
    EmptyText,
    /// Text that is no packet.
    Garbage,
    /// A packet of a type that is none: `9:::x`.
    UnknownPacket,
    /// An event packet whose JSON ends too early.
    TruncatedJson,
    /// An event packet without an event.
    NoEvent,
    /// An event packet with two events.
    TwoEvents,
    /// An event packet whose event is a number.
    NotAnEvent,
    /// An event packet under another name.
    OtherName,
    /// An acknowledgement of a packet that was never sent.
    UnknownAck,
    /// The last acknowledgement again.
    DuplicateAck,
    /// An acknowledgement without a number: `6::`.
    BareAck,
    /// An acknowledgement whose data is no JSON.
    BadAck,
    /// A text frame that is not UTF-8.
    BadUtf8,
    /// A binary frame.
    Binary,
    /// The broken answer to a ping that the real server sends: a frame with a reserved bit.
    ReservedBit,
    /// A frame of a kind that does not exist.
    ReservedOpcode,
    /// A frame with a mask, which a server must not use.
    Masked,
    /// A continuation of nothing.
    Continuation,
    /// A text of 65,536 bytes as the real server sends it: its length says 0.
    Length65536,
    /// A frame that promises more than comes, and then the end with a FIN.
    TruncatedFrame,
    /// A text of 16 MiB that is no packet.
    Huge,
}

impl Malformed {
    /// Every kind.
    pub const ALL: [Self; 21] = [
        Self::EmptyText,
        Self::Garbage,
        Self::UnknownPacket,
        Self::TruncatedJson,
        Self::NoEvent,
        Self::TwoEvents,
        Self::NotAnEvent,
        Self::OtherName,
        Self::UnknownAck,
        Self::DuplicateAck,
        Self::BareAck,
        Self::BadAck,
        Self::BadUtf8,
        Self::Binary,
        Self::ReservedBit,
        Self::ReservedOpcode,
        Self::Masked,
        Self::Continuation,
        Self::Length65536,
        Self::TruncatedFrame,
        Self::Huge,
    ];

    /// What to send. `last_ack` is the last acknowledgement sent, if there was one.
    pub(in crate::ftrack) fn frame(self, last_ack: Option<&Bytes>) -> Frame {
        let event = |args: &str| text(format!(r#"5:::{{"name":"ftrack.event","args":[{args}]}}"#));
        match self {
            Self::EmptyText => text(""),
            Self::Garbage => text("\u{1}garbage"),
            Self::UnknownPacket => text("9:::x"),
            Self::TruncatedJson => text(r#"5:::{"name":"ftrack.event","args":[{"topic":"mal"#),
            Self::NoEvent => event(""),
            Self::TwoEvents => event(&format!("{EVENT},{EVENT}")),
            Self::NotAnEvent => event("42"),
            Self::OtherName => text(format!(r#"5:::{{"name":"other.event","args":[{EVENT}]}}"#)),
            Self::UnknownAck => text(r#"6:::999999999+[{"success":true}]"#),
            Self::DuplicateAck => {
                last_ack.map_or_else(|| text(r#"6:::999999999+[{"success":true}]"#), |ack| Frame::text(ack))
            }
            Self::BareAck => text("6::"),
            Self::BadAck => text("6:::1+[{"),
            Self::BadUtf8 => Frame::raw(&[0x81, 4, b'5', b':', 0xff, 0xfe][..]),
            Self::Binary => Frame::raw(&[0x82, 3, 1, 2, 3][..]),
            Self::ReservedBit => Frame::raw(&[0xc2, 0x8a, 0x00][..]),
            Self::ReservedOpcode => Frame::raw(&[0x83, 1, b'x'][..]),
            Self::Masked => Frame::raw(&[0x81, 0x83, 0, 0, 0, 0, b'2', b':', b':'][..]),
            Self::Continuation => Frame::raw(&[0x80, 1, b'x'][..]),
            Self::Length65536 => {
                let mut frame = vec![0x81, 126, 0, 0];
                frame.resize(4 + 65_536, b'x');
                Frame::raw(frame)
            }
            Self::TruncatedFrame => Frame::raw(&[0x81, 100, b'5', b':', b':'][..]),
            Self::Huge => {
                let mut frame = Vec::with_capacity(SIXTEEN_MIB + 10);
                put_header(&mut frame, SIXTEEN_MIB);
                frame.resize(frame.len() + SIXTEEN_MIB, b'x');
                Frame::raw(frame)
            }
        }
    }

    /// Whether the connection ends with it.
    pub(in crate::ftrack) fn ends(self) -> bool {
        self == Self::TruncatedFrame
    }
}

fn text(text: impl Into<String>) -> Frame {
    Frame::text(text.into().as_bytes())
}
