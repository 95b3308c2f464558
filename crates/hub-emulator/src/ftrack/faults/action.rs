//! What can go wrong with a connection.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::malformed::Malformed;
use crate::net::{Fate, Rate};

/// When in the life of a connection a fault strikes. A client connects twice: once for the handshake, once for the
/// websocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stage {
    /// A TCP or in-memory connection is opened, for whatever purpose.
    Connect,
    /// The handshake request is there.
    Handshake,
    /// The websocket request is there.
    Upgrade,
    /// The event connection is up: `1::` is on its way.
    Link,
}

/// What happens. Where the same thing exists on the iModelHub side, it has the same name.
///
/// In JSON: `{"do":"reset"}`, `{"do":"status","status":503}`, and so on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", rename_all_fields = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub enum Action {
    /// The connection is refused. Over TCP, where the port is open, it is reset at once. At [`Stage::Connect`].
    Refuse,
    /// The request is answered so, and nothing else happens. At [`Stage::Handshake`], or [`Stage::Upgrade`].
    Status {
        /// The status code, 200 to 599.
        status: u16,
        /// The body.
        #[serde(default)]
        body: String,
    },
    /// What was asked for happens that much later. At [`Stage::Handshake`], or [`Stage::Connect`] and
    /// [`Stage::Upgrade`].
    Delay {
        /// The delay, in milliseconds.
        ms: u64,
    },
    /// The connection ends with a FIN, without a word. This and what follows happen at [`Stage::Link`]; the ends and
    /// the paces at any other stage too, if asked so.
    Fin,
    /// The connection is reset.
    Reset,
    /// Nothing more comes from the emulator, and what the client says is read and thrown away. No end is told. The
    /// emulator forgets the connection after its heartbeat timeout.
    Silent,
    /// The same, and what the client says is not even read: as if the machine had lost its power.
    HalfOpen,
    /// `0::`, and the end with a FIN: what the real server does when it puts a client out.
    Disconnect,
    /// An error packet, and the end with a FIN, as the real server does with a session id that it does not know.
    ErrorPacket {
        /// The packet. Default `7:::1+0`.
        #[serde(default = "not_handshaken")]
        packet: String,
        /// Whether the connection goes on instead.
        #[serde(default)]
        stays: bool,
    },
    /// A websocket Close frame, which the real server never sends, and the end with a FIN.
    Close {
        /// The code, such as 1001.
        code: u16,
    },
    /// Something that is not what the protocol says; the connection goes on, unless its form ends it.
    Malformed {
        /// What it is.
        kind: Malformed,
    },
    /// So many acknowledgements are not sent. What they are for is done.
    WithholdAcks {
        /// How many; 0: all.
        #[serde(default)]
        count: u64,
    },
    /// So many acknowledgements come late.
    DelayAcks {
        /// How many; 0: all.
        #[serde(default)]
        count: u64,
        /// How late, in milliseconds.
        ms: u64,
    },
    /// Acknowledgements are held until there are so many, and then sent last first. At the end of the connection,
    /// held ones are lost.
    ReorderAcks {
        /// How many at a time, at least 2.
        window: usize,
    },
    /// So many events are acknowledged with `"success":false`, and not done.
    RefuseAcks {
        /// How many; 0: all.
        #[serde(default)]
        count: u64,
        /// Every how many packets with an id; 0 and 1: each one.
        #[serde(default)]
        every: u64,
    },
    /// What the client says is read slowly.
    SlowReads {
        /// So many bytes at once.
        bytes: usize,
        /// The pause after them, in milliseconds. 0: others get a turn.
        #[serde(default)]
        pause_ms: u64,
    },
    /// What is said to the client is written slowly: with 1 byte at a time, byte by byte.
    Trickle {
        /// So many bytes at once.
        bytes: usize,
        /// The pause after them, in milliseconds. 0: others get a turn.
        #[serde(default)]
        pause_ms: u64,
    },
    /// A client that sent so many bytes of packets is put out with `0::`; the packet that goes beyond is not looked
    /// at. The real server does so: measured with events of 1.5 KB, after 1.2 MB in a burst, and after 25 MB when
    /// each event waits for the acknowledgement of the one before.
    DestroyBuffer {
        /// How many bytes.
        bytes: u64,
    },
}

fn not_handshaken() -> String {
    "7:::1+0".to_owned()
}

impl Action {
    /// Under which name it is counted; the `"do"` of its JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Status { .. } => "status",
            Self::Delay { .. } => "delay",
            Self::Fin => "fin",
            Self::Reset => "reset",
            Self::Silent => "silent",
            Self::HalfOpen => "half_open",
            Self::Disconnect => "disconnect",
            Self::ErrorPacket { .. } => "error_packet",
            Self::Close { .. } => "close",
            Self::Malformed { .. } => "malformed",
            Self::WithholdAcks { .. } => "withhold_acks",
            Self::DelayAcks { .. } => "delay_acks",
            Self::ReorderAcks { .. } => "reorder_acks",
            Self::RefuseAcks { .. } => "refuse_acks",
            Self::SlowReads { .. } => "slow_reads",
            Self::Trickle { .. } => "trickle",
            Self::DestroyBuffer { .. } => "destroy_buffer",
        }
    }

    /// When it strikes unless told otherwise.
    pub fn stage(&self) -> Stage {
        match self {
            Self::Refuse => Stage::Connect,
            Self::Status { .. } | Self::Delay { .. } => Stage::Handshake,
            _ => Stage::Link,
        }
    }

    /// Whether it can strike then.
    pub(in crate::ftrack) fn fits(&self, stage: Stage) -> bool {
        match self {
            Self::Refuse => stage == Stage::Connect,
            Self::Status { .. } => matches!(stage, Stage::Handshake | Stage::Upgrade),
            Self::Delay { .. } => stage != Stage::Link,
            Self::SlowReads { .. } | Self::Trickle { .. } => true,
            _ => stage == Stage::Link || self.fate().is_some(),
        }
    }

    /// How the stream ends by it.
    pub(crate) fn fate(&self) -> Option<Fate> {
        match self {
            Self::Fin => Some(Fate::Fin),
            Self::Reset => Some(Fate::Reset),
            Self::Silent => Some(Fate::Silent),
            Self::HalfOpen => Some(Fate::HalfOpen),
            _ => None,
        }
    }

    /// How slow the stream is by it: reads, writes.
    pub(crate) fn rates(&self) -> (Option<Rate>, Option<Rate>) {
        let rate = |bytes: &usize, ms: &u64| Some(Rate { bytes: *bytes, pause: Duration::from_millis(*ms) });
        match self {
            Self::SlowReads { bytes, pause_ms } => (rate(bytes, pause_ms), None),
            Self::Trickle { bytes, pause_ms } => (None, rate(bytes, pause_ms)),
            _ => (None, None),
        }
    }

    /// What is wrong with it, if anything is.
    pub(in crate::ftrack) fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Status { status, .. } if !(200..=599).contains(status) => Err("the status is 200 to 599"),
            Self::SlowReads { bytes: 0, .. } | Self::Trickle { bytes: 0, .. } => {
                Err("at least 1 byte at once; silence is another action")
            }
            Self::ReorderAcks { window: 0 | 1 } => Err("the window is at least 2"),
            Self::Close { code } if !(1000..=4999).contains(code) => Err("a close code is 1000 to 4999"),
            _ => Ok(()),
        }
    }
}
