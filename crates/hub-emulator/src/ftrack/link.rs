//! The queue between the hub and the writer of one connection: bounded in packets and in bytes. And what the hub knows
//! about the connection otherwise.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use transport_ws::packet::Packet;

use super::faults::{Acks, After, Pending};
use super::frame::Frame;
use super::hub::Hub;
use super::router::ConnectionId;
use crate::net::Valve;

/// The hub's end. The queue ends when this is dropped.
#[derive(Debug)]
pub(super) struct Link {
    user: Arc<str>,
    queue: mpsc::Sender<Frame>,
    signals: Signals,
    pub(super) valve: Arc<Valve>,
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
    /// The bytes in the queue; the writer takes off what it has sent.
    pub(super) queued: Arc<AtomicUsize>,
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
    /// What to send, in order; taken by the writer.
    pub(super) queue: Option<mpsc::Receiver<Frame>>,
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
    /// A queue for `packets` packets, with `1::` in it.
    pub(super) fn new(
        user: Arc<str>,
        packets: usize,
        valve: Arc<Valve>,
        cut: CancellationToken,
    ) -> (Self, Ends) {
        let (queue, receiver) = mpsc::channel(packets);
        let leave = CancellationToken::new();
        let signals = Signals { queued: Arc::default(), gauged: Arc::default(), leave, cut };
        let (acks, gauge) = (Acks::default(), Gauge::default());
        let link = Self { user, queue, signals: signals.clone(), valve, acks, gauge };
        link.push(Packet::Connect { endpoint: "", query: "" }.into(), usize::MAX);
        (link, Ends { queue: Some(receiver), signals })
    }

    /// The user of the handshake.
    pub(super) fn user(&self) -> &str {
        &self.user
    }

    /// The bytes that wait to be sent.
    pub(super) fn queued_bytes(&self) -> usize {
        self.signals.queued.load(Ordering::Relaxed)
    }

    /// Whether to ask the hub about every packet.
    pub(super) fn set_gauged(&self, gauged: bool) {
        self.signals.gauged.store(gauged, Ordering::Relaxed);
    }

    /// Queues something unless there would be more than `limit` bytes; an empty queue takes anything. Says whether
    /// there was room.
    pub(super) fn push(&self, frame: Frame, limit: usize) -> bool {
        let (length, queued) = (frame.len(), &self.signals.queued);
        let before = queued.fetch_add(length, Ordering::Relaxed);
        let room = before == 0 || before.saturating_add(length) <= limit;
        let pushed = room && self.queue.try_send(frame).is_ok();
        if !pushed {
            queued.fetch_sub(length, Ordering::Relaxed);
        }
        pushed
    }

    /// A last word. Drop the link next.
    pub(super) fn put_out(&self, farewell: Frame) {
        self.signals.leave.cancel();
        if !self.push(farewell, usize::MAX) {
            self.cut();
        }
    }

    /// Ends the connection without a word.
    pub(super) fn cut(&self) {
        self.signals.cut.cancel();
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
