//! A listener as a stream.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use event_core::Result;
use futures_util::Stream;
use tokio::sync::{mpsc, oneshot, watch};

use super::{Listener, ListenerState};
use crate::event::HubEvent;

/// An event from a stream.
#[derive(Debug)]
pub struct Listened {
    event: HubEvent,
    done: Option<oneshot::Sender<()>>,
}

impl Listened {
    pub(super) fn new(event: HubEvent, done: oneshot::Sender<()>) -> Self {
        Self { event, done: Some(done) }
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
    state: watch::Receiver<ListenerState>,
    listener: Listener,
    told: bool,
}

impl ListenerStream {
    pub(super) fn new(
        arriving: mpsc::Receiver<Listened>,
        state: watch::Receiver<ListenerState>,
        listener: Listener,
    ) -> Self {
        Self { arriving, state, listener, told: false }
    }

    /// The next event. Cancel-safe.
    ///
    /// # Errors
    ///
    /// The reason for which the listener has ended.
    pub async fn next(&mut self) -> Option<Result<Listened>> {
        if self.told {
            return None;
        }
        tokio::select! {
            biased;
            Some(event) = self.arriving.recv() => Some(Ok(event)),
            ended = self.state.wait_for(|state| matches!(state, ListenerState::Ended(_))) => {
                let reason = match ended.as_deref() {
                    Ok(ListenerState::Ended(reason)) => reason.clone(),
                    _ => None,
                };
                self.told = true;
                reason.map(|reason| Err(reason.duplicate()))
            }
        }
    }

    /// Where the listener stands.
    pub fn state(&self) -> ListenerState {
        self.listener.state()
    }
}

impl Stream for ListenerStream {
    type Item = Result<Listened>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // Waiting is cancel-safe, so a wait that is begun anew at every poll loses nothing but its waker, which
        // the poll renews.
        let next = self.next();
        let mut next = std::pin::pin!(next);
        next.as_mut().poll(cx)
    }
}

impl fmt::Debug for ListenerStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListenerStream").field("listener", &self.listener).finish_non_exhaustive()
    }
}
