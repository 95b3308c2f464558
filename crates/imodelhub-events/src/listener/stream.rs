//! A listener as a stream.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use event_core::hub::Deferred;
use event_core::{Error, Result};
use futures_util::Stream;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use super::{Listener, ListenerState};
use crate::event::HubEvent;

/// An event from a stream.
#[derive(Debug)]
pub struct Listened {
    event: HubEvent,
    done: Option<oneshot::Sender<()>>,
    deferred: Deferred,
}

impl Listened {
    pub(super) fn new(event: HubEvent, done: oneshot::Sender<()>, deferred: Deferred) -> Self {
        Self { event, done: Some(done), deferred }
    }

    /// The event.
    pub fn event(&self) -> &HubEvent {
        &self.event
    }

    /// Says that the event is handled. Under a lock it is completed when every listener has said so; dropped
    /// without that, it comes again.
    pub fn ack(mut self) -> HubEvent {
        if let Some(done) = self.done.take() {
            let _ = done.send(());
        }
        self.event
    }
}

/// The events of a subscription as a stream. Dropping it stops the listener.
///
/// When the listener ends for a reason, the stream yields it as an `Err` and ends.
pub struct ListenerStream {
    arriving: mpsc::Receiver<Listened>,
    /// Waits for the end of the listener, from the first poll on.
    ended: BoxFuture<'static, Option<Arc<Error>>>,
    listener: Listener,
    told: bool,
}

impl ListenerStream {
    pub(crate) fn new(arriving: mpsc::Receiver<Listened>, listener: Listener) -> Self {
        let mut state = listener.held.states();
        let ended = Box::pin(async move {
            match state.wait_for(|state| matches!(state, ListenerState::Ended(_))).await.as_deref() {
                Ok(ListenerState::Ended(reason)) => reason.clone(),
                _ => None,
            }
        });
        Self { arriving, ended, listener, told: false }
    }

    /// The next event; `None` after the end. Cancel-safe.
    ///
    /// # Errors
    ///
    /// The reason for which the listener has ended.
    pub async fn next(&mut self) -> Option<Result<Listened>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Where the listener stands.
    pub fn state(&self) -> ListenerState {
        self.listener.state()
    }
}

impl Stream for ListenerStream {
    type Item = Result<Listened>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.told {
            return Poll::Ready(None);
        }
        if let Poll::Ready(Some(event)) = self.arriving.poll_recv(cx) {
            event.deferred.begin();
            return Poll::Ready(Some(Ok(event)));
        }
        let reason = ready!(self.ended.as_mut().poll(cx));
        self.told = true;
        Poll::Ready(reason.map(|reason| Err(reason.duplicate())))
    }
}

impl fmt::Debug for ListenerStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListenerStream").field("listener", &self.listener).finish_non_exhaustive()
    }
}
