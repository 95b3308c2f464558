//! What can be asked about a running emulator. No keys, no payloads.

use serde::Serialize;

/// A snapshot in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct State {
    /// Whether the emulator listens.
    pub running: bool,
    /// Open event connections.
    pub connections: usize,
    /// Subscriptions of all connections.
    pub subscriptions: usize,
    /// Handshakes whose session id has not been used yet.
    pub pending_handshakes: usize,
    /// Counters since the emulator was started, restarts included.
    pub stats: Stats,
}

/// Counters; none of them ever goes down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Handshakes granted.
    pub handshakes: u64,
    /// Handshakes refused because of the credentials.
    pub handshakes_unauthorized: u64,
    /// Handshakes refused because too many connections are open, or too many handshakes pending.
    pub handshakes_over_limit: u64,
    /// Handshakes nobody used in time.
    pub handshakes_expired: u64,
    /// Requests refused because of their `Host` or `Origin`.
    pub foreign_requests: u64,
    /// Websockets opened with a session id that is unknown or used.
    pub unknown_sessions: u64,
    /// Event connections opened.
    pub connections_opened: u64,
    /// Event connections ended, for whatever reason.
    pub connections_closed: u64,
    /// Clients cut because nothing came from them for the heartbeat timeout.
    pub cut_silent: u64,
    /// Clients cut because their queue was full.
    pub cut_slow: u64,
    /// Clients cut because a frame was too large.
    pub cut_oversize: u64,
    /// Clients cut by [`Emulator::cut_all`](crate::Emulator::cut_all).
    pub cut_by_request: u64,
    /// Clients put out with `0::` by [`Emulator::disconnect_all`](crate::Emulator::disconnect_all).
    pub disconnected_by_request: u64,
    /// Events received, meta events and repeats included; injected ones too.
    pub events_received: u64,
    /// Events that are not one event object, or not in `ftrack.event`.
    pub events_malformed: u64,
    /// Events dropped because one with the same id came within the window.
    pub events_repeated: u64,
    /// Events that reached at least one connection.
    pub events_routed: u64,
    /// Events that reached nobody because their target does not parse.
    pub targets_unreadable: u64,
    /// Events put into the queue of a connection: an event for three of them counts three times.
    pub deliveries: u64,
    /// Subscriptions made, renewals included.
    pub subscribed: u64,
    /// Subscriptions taken back by their client.
    pub unsubscribed: u64,
    /// Subscriptions and meta events refused with `"success":false`.
    pub refused: u64,
    /// Acknowledgements sent.
    pub acks: u64,
    /// Heartbeats sent.
    pub heartbeats_sent: u64,
    /// Heartbeats received.
    pub heartbeats_received: u64,
    /// Frames that were ignored: garbage, binary, other packet types, other endpoints, pings.
    pub frames_ignored: u64,
}

/// One open event connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// Its number; later connections have larger ones.
    pub id: u64,
    /// The user of its handshake.
    pub user: String,
    /// Bytes waiting in its queue.
    pub queued_bytes: usize,
    /// Its subscriptions, by subscriber id.
    pub subscriptions: Vec<SubscriptionInfo>,
}

/// One subscription of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SubscriptionInfo {
    /// The subscriber's id.
    pub id: String,
    /// The expression, as text that parses again.
    pub expression: String,
}

/// What became of an event given to [`Emulator::publish`](crate::Emulator::publish).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Published {
    /// How many connections it was queued for.
    pub recipients: usize,
    /// Whether it was dropped because an event with this id came before.
    pub repeated: bool,
}
