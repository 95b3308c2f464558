//! The queue between the hub and the writer of one connection: bounded in packets and in bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use transport_ws::packet::Packet;

use super::hub::Hub;
use super::router::ConnectionId;

/// The hub's end. The queue ends when this is dropped.
#[derive(Debug)]
pub(super) struct Link {
    user: Arc<str>,
    queue: mpsc::Sender<Bytes>,
    signals: Signals,
}

/// What both ends see.
#[derive(Clone, Debug)]
pub(super) struct Signals {
    /// The bytes in the queue; the writer takes off what it has sent.
    pub(super) queued: Arc<AtomicUsize>,
    /// The client is being put out: what is queued may still go out, for a short time.
    pub(super) leave: CancellationToken,
    /// The connection ends now.
    pub(super) cut: CancellationToken,
}

/// The connection's end.
#[derive(Debug)]
pub(super) struct Ends {
    /// What to send, in order; taken by the writer.
    pub(super) queue: Option<mpsc::Receiver<Bytes>>,
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
    pub(super) fn new(user: Arc<str>, packets: usize, cut: CancellationToken) -> (Self, Ends) {
        let (queue, receiver) = mpsc::channel(packets);
        let signals = Signals { queued: Arc::default(), leave: CancellationToken::new(), cut };
        let link = Self { user, queue, signals: signals.clone() };
        link.push(Packet::Connect { endpoint: "", query: "" }.encode().into(), usize::MAX);
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

    /// Queues a packet unless there would be more than `limit` bytes; an empty queue takes any packet. Says
    /// whether there was room.
    pub(super) fn push(&self, packet: Bytes, limit: usize) -> bool {
        let (length, queued) = (packet.len(), &self.signals.queued);
        let before = queued.fetch_add(length, Ordering::Relaxed);
        let room = before == 0 || before.saturating_add(length) <= limit;
        let pushed = room && self.queue.try_send(packet).is_ok();
        if !pushed {
            queued.fetch_sub(length, Ordering::Relaxed);
        }
        pushed
    }

    /// A last packet. Drop the link next.
    pub(super) fn put_out(&self, farewell: &Bytes) {
        self.signals.leave.cancel();
        if !self.push(farewell.clone(), usize::MAX) {
            self.cut();
        }
    }

    /// Ends the connection without a word.
    pub(super) fn cut(&self) {
        self.signals.cut.cancel();
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.ends.signals.cut.cancel();
        self.hub.detach(self.id);
    }
}
