//! What a session can be told.

use std::time::Duration;

use crate::handshake::Handshake;

/// The settings of a [`Session`](super::Session). Start from `default()` or [`for_handshake`](Self::for_handshake).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionConfig {
    /// How many publishes may wait for their ack at the same time; at least 1. Default 64.
    ///
    /// With `socket.io` 0.9.19 and its default limits a small window lives longer: the server cuts a client off
    /// after 25 MB sent with window 1, 8.5 MB with 8, 2.2 MB with 32, 1.2 MB with 256 (1.5 KB events, measured).
    pub window: usize,
    /// The largest text accepted from the server, in bytes; a larger one ends the session. Default 16 MiB.
    pub max_frame: usize,
    /// The session ends when nothing came from the server for this long. Default 60 s, which is also what
    /// `socket.io` 0.9.19 grants.
    pub heartbeat_timeout: Duration,
    /// The session ends when the server has not said `1::` after this long. Default 10 s; `socket.io` 0.9.19
    /// says it at once.
    pub connect_timeout: Duration,
    /// A publish whose ack has not come this long after it was sent is given up as unconfirmed, and frees its
    /// place in the window; the session lives on. `None` waits until the session ends. Default 30 s.
    pub ack_timeout: Option<Duration>,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            window: 64,
            max_frame: 16 * 1024 * 1024,
            heartbeat_timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
            ack_timeout: Some(Duration::from_secs(30)),
        }
    }
}

impl SessionConfig {
    /// The defaults with the heartbeat timeout that the server granted.
    ///
    /// When it granted none, the default of 60 s stays. By the letter of the protocol no heartbeats are to be
    /// expected then; but the official ftrack clients drop a silent link after 15 and 60 s whatever the
    /// handshake says, so a server of theirs is never silent for longer, and a dead link must be noticed.
    pub fn for_handshake(handshake: &Handshake) -> Self {
        let default = Self::default();
        Self {
            heartbeat_timeout: handshake.heartbeat_timeout.unwrap_or(default.heartbeat_timeout),
            ..default
        }
    }

    /// Sets [`window`](Self::window); 0 becomes 1.
    pub fn window(mut self, publishes: usize) -> Self {
        self.window = publishes.max(1);
        self
    }

    /// Sets [`max_frame`](Self::max_frame), in bytes.
    pub fn max_frame(mut self, bytes: usize) -> Self {
        self.max_frame = bytes;
        self
    }

    /// Sets [`heartbeat_timeout`](Self::heartbeat_timeout).
    pub fn heartbeat_timeout(mut self, timeout: Duration) -> Self {
        self.heartbeat_timeout = timeout;
        self
    }

    /// Sets [`connect_timeout`](Self::connect_timeout).
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets [`ack_timeout`](Self::ack_timeout).
    pub fn ack_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.ack_timeout = timeout;
        self
    }
}
