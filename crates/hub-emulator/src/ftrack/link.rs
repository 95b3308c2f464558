//! What the hub knows about a connection: its outlet, its signals, and what is to go wrong with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

use super::faults::{Acks, After, Pending};
use super::frame::Frame;
use super::hub::Hub;
use super::outlet::Outlet;
use super::router::ConnectionId;
use crate::net::{Fate, Rate, Valve, WriteHalf};

/// The hub's end. The connection ends when this is dropped and what is queued is sent.
///
/// A large round reads this much of a thousand of them: it is small, and what it does not need is elsewhere.
#[derive(Debug)]
pub(super) struct Link {
    outlet: Arc<Outlet>,
    pub(super) rest: Box<Rest>,
}

/// What is not needed for queueing.
#[derive(Debug)]
pub(super) struct Rest {
    user: Arc<str>,
    signals: Signals,
    valve: Arc<Valve>,
    pub(super) acks: Acks,
    pub(super) gauge: Gauge,
}

/// How much a client has said, and what is to go wrong when.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    packets: u64,
    bytes: u64,
    pub(super) pending: Vec<Pending>,
}

/// What both ends see.
#[derive(Clone, Debug)]
pub(super) struct Signals {
    /// Every packet of the client is to be gauged: something may go wrong.
    pub(super) gauged: Arc<AtomicBool>,
    /// The client is being put out: what is queued may still go out, for a short time.
    pub(super) leave: CancellationToken,
    /// The connection ends now.
    pub(super) cut: CancellationToken,
}

/// The connection's end.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) outlet: Arc<Outlet>,
    pub(super) signals: Signals,
}

/// A connection that the hub knows; the hub forgets it when this is dropped.
#[derive(Debug)]
pub(super) struct Attached {
    pub(super) hub: Arc<Hub>,
    pub(super) id: ConnectionId,
    pub(super) ends: Ends,
}

impl Link {
    /// A queue for `packets` packets.
    pub(super) fn new(
        user: Arc<str>,
        (socket, packets): (WriteHalf, usize),
        valve: Arc<Valve>,
        cut: CancellationToken,
    ) -> (Self, Ends) {
        let outlet = Arc::new(Outlet::new(socket, packets));
        let leave = CancellationToken::new();
        let signals = Signals { gauged: Arc::default(), leave, cut };
        let ends = Ends { outlet: Arc::clone(&outlet), signals: signals.clone() };
        let rest = Rest { user, signals, valve, acks: Acks::default(), gauge: Gauge::default() };
        (Self { outlet, rest: Box::new(rest) }, ends)
    }

    /// The user of the handshake.
    pub(super) fn user(&self) -> &str {
        &self.rest.user
    }

    /// The bytes that wait to be sent.
    pub(super) fn queued_bytes(&self) -> usize {
        self.outlet.queued_bytes()
    }

    /// Whether to ask the hub about every packet.
    pub(super) fn set_gauged(&self, gauged: bool) {
        self.rest.signals.gauged.store(gauged, Ordering::Relaxed);
    }

    /// Queues something unless there would be more than `limit` bytes; an empty queue takes anything. Says whether
    /// there was room. What has to be sent is on the list then.
    pub(super) fn push(&self, frame: Frame, limit: usize, list: &mut Vec<Arc<Outlet>>) -> bool {
        self.outlet.push(frame, limit, list)
    }

    /// What the client says is read so slowly.
    pub(super) fn limit_reads(&self, rate: Rate) {
        self.rest.valve.limit_reads(rate);
    }

    /// What it is told is written so slowly.
    pub(super) fn limit_writes(&self, rate: Rate) {
        self.rest.valve.limit_writes(rate);
        self.outlet.leave_to_writer();
    }

    /// Decides how the stream ends.
    pub(super) fn turn(&self, fate: Fate) {
        self.rest.valve.turn(fate);
        self.outlet.leave_to_writer();
    }

    /// A last word. Drop the link next.
    pub(super) fn put_out(&self, farewell: Frame) {
        self.rest.signals.leave.cancel();
        if !self.outlet.end_with(farewell) {
            self.cut();
        }
    }

    /// Ends the connection without a word.
    pub(super) fn cut(&self) {
        self.outlet.forget();
        self.rest.signals.cut.cancel();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.outlet.end();
    }
}

impl Gauge {
    /// A packet of so many bytes is there. Gives what strikes before anybody looks at it.
    pub(super) fn arrives(&mut self, bytes: usize) -> Option<Pending> {
        self.packets += 1;
        self.bytes += bytes as u64;
        let total = self.bytes;
        self.take(|pending| pending.strikes_first() && matches!(pending.after, After::Bytes(n) if total > n))
    }

    /// A packet was dealt with. Gives one after the other of what strikes then.
    pub(super) fn dealt_with(&mut self) -> Option<Pending> {
        let (packets, bytes) = (self.packets, self.bytes);
        self.take(|pending| match pending.after {
            After::Packets(n) => packets >= n,
            After::Bytes(n) => !pending.strikes_first() && bytes >= n,
            _ => false,
        })
    }

    fn take(&mut self, strikes: impl FnMut(&Pending) -> bool) -> Option<Pending> {
        let index = self.pending.iter().position(strikes)?;
        Some(self.pending.remove(index))
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.ends.signals.cut.cancel();
        self.hub.detach(self.id);
    }
}
