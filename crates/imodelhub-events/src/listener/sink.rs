//! What a listener does with an event, wherever that came from.

use std::future::Future;
#[cfg(feature = "webhooks")]
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use event_core::hub::Deferred;
use event_core::{Error, ErrorKind, IntoReply, Result};
#[cfg(feature = "webhooks")]
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use super::Listened;
use crate::event::HubEvent;

type Give = dyn Fn(HubEvent, Deferred) -> BoxFuture<'static, Result<()>> + Send + Sync;

/// What a listener does with an event.
#[derive(Clone)]
pub(crate) struct Sink {
    give: Arc<Give>,
    /// The event waits for a reader first, who says when it begins.
    waits: bool,
}

impl Sink {
    /// Gives events to a handler at once.
    pub(crate) fn handling<F, Fut>(handler: F) -> Self
    where
        F: Fn(HubEvent) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoReply> + Send + 'static,
    {
        let give = move |event, _| -> BoxFuture<'static, Result<()>> {
            let handling = handler(event);
            Box::pin(async move { handling.await.into_reply().map(drop) })
        };
        Self { give: Arc::new(give), waits: false }
    }

    /// Keeps events for a reader, who must acknowledge each if `acknowledged` says so.
    pub(crate) fn streaming(acknowledged: bool) -> (Self, mpsc::Receiver<Listened>) {
        let (events, arriving) = mpsc::channel::<Listened>(1);
        let give = move |event, deferred| -> BoxFuture<'static, Result<()>> {
            let events = events.clone();
            Box::pin(async move {
                let (done, handled) = oneshot::channel();
                let gone = |_| Error::new(ErrorKind::Handler, "listen", "the stream was dropped");
                events.send(Listened::new(event, done, deferred)).await.map_err(gone)?;
                if acknowledged {
                    handled.await.map_err(|_| {
                        let message = "the event was dropped without an acknowledgement";
                        Error::new(ErrorKind::Handler, "listen", message)
                    })?;
                }
                Ok(())
            })
        };
        (Self { give: Arc::new(give), waits: true }, arriving)
    }

    /// Whether events wait for a reader.
    pub(super) fn waits(&self) -> bool {
        self.waits
    }

    /// Gives an event to the handler or the reader.
    pub(super) fn give(&self, event: HubEvent, deferred: Deferred) -> BoxFuture<'static, Result<()>> {
        (self.give)(event, deferred)
    }

    /// The same for the only sink of a subscription; what fails is logged.
    #[cfg(feature = "webhooks")]
    pub(crate) fn work(
        &self,
        event: HubEvent,
        context: &event_core::Context,
    ) -> BoxFuture<'static, Result<()>> {
        let deferred = context.defer();
        if !self.waits {
            deferred.begin();
        }
        let sink = self.clone();
        let working = AssertUnwindSafe(async move { sink.give(event, deferred).await }).catch_unwind();
        Box::pin(async move {
            let panicked = |_| Err(Error::new(ErrorKind::Handler, "listen", "a listener panicked"));
            let outcome = working.await.unwrap_or_else(panicked);
            if let Err(error) = &outcome {
                tracing::error!(%error, "an event was not handled");
            }
            outcome
        })
    }
}
