//! Where messages come from: one subscription at the server, until it is stopped.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use async_nats::{Message, Subscriber};
use event_core::SubscriptionId;
use futures_core::Stream;
use futures_core::future::BoxFuture;
use futures_util::StreamExt;
use futures_util::task::AtomicWaker;

use super::Shared;
use super::consumer::Consumer;

/// What a message is.
#[derive(Clone)]
pub(super) enum Key {
    /// An answer.
    Inbox,
    /// An event, for whoever wants it.
    Cover,
    /// An event for one subscription of a queue group.
    Group(SubscriptionId),
    /// From the stream.
    Consumer(Arc<Consumer>),
}

/// A subscription that is to be made at the server.
pub(super) struct NewSource {
    pub(super) subject: String,
    pub(super) group: Option<String>,
    pub(super) key: Key,
    pub(super) stop: Arc<Stop>,
}

/// How a source is stopped.
#[derive(Default)]
pub(super) struct Stop {
    asked: AtomicBool,
    done: AtomicBool,
    waker: AtomicWaker,
}

impl Stop {
    /// Asks for it.
    pub(super) fn ask(&self) {
        self.asked.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Whether the server is told, or on the way of being told before whatever is queued from now on.
    pub(super) fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }
}

/// A subscription at the server.
pub(super) struct Source {
    key: Key,
    stop: Arc<Stop>,
    shared: Arc<Shared>,
    phase: Phase,
}

enum Phase {
    Open(Subscriber),
    Closing(BoxFuture<'static, Subscriber>),
    Draining(Subscriber),
    Done,
}

impl Source {
    pub(super) fn new(key: Key, stop: Arc<Stop>, shared: Arc<Shared>, subscriber: Subscriber) -> Self {
        Self { key, stop, shared, phase: Phase::Open(subscriber) }
    }
}

impl Stream for Source {
    /// A message, or the end.
    type Item = (Key, Option<Message>);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.stop.waker.register(cx.waker());
        loop {
            let asked = self.stop.asked.load(Ordering::Acquire);
            let message = match &mut self.phase {
                Phase::Done => return Poll::Ready(None),
                Phase::Open(_) if asked => {
                    let Phase::Open(mut open) = std::mem::replace(&mut self.phase, Phase::Done) else {
                        continue;
                    };
                    self.phase = Phase::Closing(Box::pin(async move {
                        // It fails when the connection is over, and the subscription with it.
                        let _ = open.unsubscribe().await;
                        open
                    }));
                    continue;
                }
                Phase::Closing(closing) => {
                    let Poll::Ready(rest) = closing.as_mut().poll(cx) else { return Poll::Pending };
                    self.phase = Phase::Draining(rest);
                    self.stop.done.store(true, Ordering::Release);
                    self.shared.changed.notify_waiters();
                    continue;
                }
                Phase::Open(subscriber) | Phase::Draining(subscriber) => subscriber.poll_next_unpin(cx),
            };
            let Poll::Ready(message) = message else { return Poll::Pending };
            if message.is_none() {
                self.phase = Phase::Done;
                self.stop.done.store(true, Ordering::Release);
                self.shared.changed.notify_waiters();
            }
            return Poll::Ready(Some((self.key.clone(), message)));
        }
    }
}
