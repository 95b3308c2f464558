//! The two halves of a link.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use event_core::transport::{
    Confirmation, Guarantee, Inbound, LinkSender, NotSent, SettleFailed, SettleToken, Settlement,
};
use event_core::{Error, ErrorKind, Event, Result, SubscriptionId, SubscriptionSpec};
use futures_core::Stream;
use futures_util::StreamExt;
use futures_util::stream::SelectAll;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Config;
use crate::address::QueueAddress;
use crate::client::Lock;
use crate::poll::{PollConfig, Poller};
use crate::queue::{Control, Locked, Queue, no_lock};
use crate::request::{LockAction, ReceiveMode};

struct Shared {
    config: Arc<Config>,
    state: Mutex<State>,
    /// Wakes the receiving half when there is a new queue, or none any more.
    waker: AtomicWaker,
    ended: Notify,
}

#[derive(Default)]
struct State {
    queues: HashMap<SubscriptionId, Arc<Control>>,
    /// Stopped by their subscribers, with a last poll in flight.
    stopping: Vec<Arc<Control>>,
    /// On their way to the receiving half.
    new: Vec<Queue>,
    closing: bool,
    ended: bool,
}

impl State {
    fn forget_ended(&mut self) {
        self.queues.retain(|_, control| !control.has_ended());
        self.stopping.retain(|control| !control.has_ended());
    }
}

pub(super) fn pair(config: Arc<Config>) -> (Sender, Inbox) {
    let shared =
        Arc::new(Shared { config, state: Mutex::default(), waker: AtomicWaker::new(), ended: Notify::new() });
    (Sender(Arc::clone(&shared)), Inbox { shared, queues: SelectAll::new() })
}

/// The receiving half: all queues, each driven when it is woken.
pub(super) struct Inbox {
    shared: Arc<Shared>,
    queues: SelectAll<Queue>,
}

impl Stream for Inbox {
    type Item = Result<Inbound>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        this.shared.waker.register(cx.waker());
        let closing = {
            let mut state = this.shared.state.lock();
            this.queues.extend(state.new.drain(..));
            state.closing
        };
        let next = this.queues.poll_next_unpin(cx);
        match next {
            Poll::Ready(Some(inbound)) => Poll::Ready(Some(inbound)),
            Poll::Ready(None) if closing => {
                this.end();
                Poll::Ready(None)
            }
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

impl Inbox {
    fn end(&self) {
        let mut state = self.shared.state.lock();
        state.ended = true;
        state.new.clear();
        state.queues.clear();
        drop(state);
        self.shared.ended.notify_waiters();
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.end();
    }
}

/// The sending half.
pub(super) struct Sender(Arc<Shared>);

impl Sender {
    /// Another subscription to the same queue, if there is one: it may be taken over, or is in the way.
    fn take_over(
        state: &mut State,
        id: &SubscriptionId,
        address: &QueueAddress,
        mode: ReceiveMode,
    ) -> Result<bool> {
        if let Some(other) = state.queues.values().find(|other| other.client.address() == address) {
            let message = format!(
                "the queue {address} is read by the subscription \"{}\" already; two readers would take each other's messages",
                *other.id.lock()
            );
            return Err(Error::new(ErrorKind::Duplicate, "subscribe", message));
        }
        let same = |control: &Arc<Control>| control.client.address() == address && control.mode() == mode;
        let Some(position) = state.stopping.iter().position(same) else { return Ok(false) };
        let control = state.stopping.swap_remove(position);
        if !control.tell(Poller::resume) {
            return Ok(false);
        }
        // Whoever waits for the end of the old subscription has waited long enough.
        *control.id.lock() = id.clone();
        control.changed.notify_waiters();
        state.queues.insert(id.clone(), control);
        Ok(true)
    }

    async fn on_lock(token: &SettleToken, action: LockAction) -> Result<()> {
        let (client, lock) = locked(token)?;
        client.settle(lock, action).await
    }
}

fn locked(token: &SettleToken) -> Result<(&crate::QueueClient, &Lock)> {
    let Some(locked) = token.get::<Locked>() else {
        let message = "this token is of another transport";
        return Err(Error::new(ErrorKind::InvalidInput, "settle", message));
    };
    match &locked.lock {
        Ok(lock) => Ok((&locked.client, lock)),
        Err(error) => Err(no_lock(*error)),
    }
}

#[async_trait]
impl LinkSender for Sender {
    /// Always refused: queues are read here, and never written.
    fn send(&self, event: Event) -> Result<Confirmation, NotSent> {
        let message = "clients do not publish to these queues";
        Err(NotSent::new(event, Error::new(ErrorKind::Unsupported, "send", message)))
    }

    async fn ready(&self) {}

    /// Begins to read a queue, as soon as there is credit. Nothing is sent here: a queue that does not exist shows
    /// as lost at its first poll.
    async fn subscribe(&self, spec: &SubscriptionSpec) -> Result<()> {
        const OP: &str = "subscribe";
        let Some(address) = &spec.address else {
            let message =
                format!("the subscription \"{}\" has no address; give it the URL of its queue", spec.id);
            return Err(Error::new(ErrorKind::InvalidInput, OP, message));
        };
        spec.refuse_name("longpoll")?;
        let address = QueueAddress::parse(address)?;
        let mode = match spec.require {
            Guarantee::AtMostOnce => ReceiveMode::ReceiveAndDelete,
            Guarantee::AtLeastOnce => ReceiveMode::PeekLock,
            _ => {
                let message = "this delivery guarantee is not known here";
                return Err(Error::new(ErrorKind::Unsupported, OP, message));
            }
        };
        let config = &self.0.config;
        let mut state = self.0.state.lock();
        state.forget_ended();
        if state.closing || state.ended {
            return Err(Error::new(ErrorKind::NotConnected, OP, "the link is closed"));
        }
        if state.queues.contains_key(&spec.id) {
            let message = format!("there is a subscription \"{}\" on this link already", spec.id);
            return Err(Error::new(ErrorKind::Duplicate, OP, message));
        }
        if Self::take_over(&mut state, &spec.id, &address, mode)? {
            return Ok(());
        }
        let poll = PollConfig { mode, ..config.poll.clone() };
        let control = Arc::new(Control::new(spec.id.clone(), config.client(address), poll));
        let (mapper, watch) = (Arc::clone(&config.mapper), config.watch.clone());
        state.new.push(Queue::new(Arc::clone(&control), mapper, watch, Arc::clone(&config.totals)));
        state.queues.insert(spec.id.clone(), control);
        drop(state);
        self.0.waker.wake();
        Ok(())
    }

    /// Stops reading a queue; `Ok` when no poll is in flight any more. Needs the receiving half to be polled
    /// meanwhile.
    ///
    /// # Cancel safety
    ///
    /// Once polled, the queue is stopped, whether its end is waited for or not.
    async fn unsubscribe(&self, spec: &SubscriptionSpec) -> Result<()> {
        let control = {
            let mut state = self.0.state.lock();
            state.forget_ended();
            let Some(control) = state.queues.remove(&spec.id) else { return Ok(()) };
            state.stopping.push(Arc::clone(&control));
            control
        };
        control.tell(Poller::stop);
        loop {
            let changed = control.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if control.has_ended() || *control.id.lock() != spec.id {
                return Ok(());
            }
            changed.await;
        }
    }

    fn grant(&self, id: &SubscriptionId, credit: u32) {
        let control = self.0.state.lock().queues.get(id).cloned();
        if let Some(control) = control {
            control.tell(|poller, now| poller.grant(now, credit));
        }
    }

    /// Completes or abandons a delivery; see [`QueueClient::settle`](crate::QueueClient::settle). A pause asked for is
    /// left out. [`Settlement::Reject`] is unsupported: the service's HTTP interface has no word for it.
    async fn settle(&self, token: SettleToken, outcome: Settlement) -> Result<(), SettleFailed> {
        let action = match outcome {
            Settlement::Complete => LockAction::Complete,
            Settlement::Abandon { .. } => LockAction::Abandon,
            _ => {
                let message = "a message cannot be rejected over HTTP; complete it, or abandon it until the service gives it up";
                return Err(SettleFailed::new(token, Error::new(ErrorKind::Unsupported, "settle", message)));
            }
        };
        match Self::on_lock(&token, action).await {
            Ok(()) => Ok(()),
            Err(error) => Err(SettleFailed::new(token, error)),
        }
    }

    /// Renews the lock of a delivery for as long as it lasted at first.
    async fn extend(&self, token: &mut SettleToken) -> Result<()> {
        Self::on_lock(token, LockAction::Renew).await?;
        if let Some(Locked { lock: Ok(lock), .. }) = token.get_mut::<Locked>() {
            // The service does not say until when.
            lock.locked_until = None;
        }
        Ok(())
    }

    /// Nothing is ever queued.
    async fn flush(&self) -> Result<()> {
        Ok(())
    }

    /// Stops all queues as [`unsubscribe`](Self::unsubscribe) does, and waits for the last poll.
    async fn close(&self) {
        let controls: Vec<_> = {
            let mut state = self.0.state.lock();
            state.closing = true;
            state.queues.values().cloned().collect()
        };
        for control in controls {
            control.tell(Poller::stop);
        }
        self.0.waker.wake();
        loop {
            let ended = self.0.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if self.0.state.lock().ended {
                return;
            }
            ended.await;
        }
    }
}
