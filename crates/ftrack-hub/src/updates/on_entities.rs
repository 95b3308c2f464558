//! A subscription to some of the entities of updates.

use std::future::Future;

use event_core::{Context, Event, IntoReply, Result, Subscription};

use super::coalesce::Debounce;
use super::debounced::Debounced;
use super::filter::Filter;
use crate::events::{Entity, On, Update};

/// A subscription to the entities of updates that match a [`Filter`], being described. See [`On::entities`].
#[must_use = "nothing is subscribed until a handler is given"]
#[derive(Debug)]
pub struct OnEntities {
    pub(super) on: On<Update>,
    pub(super) filter: Filter,
}

impl OnEntities {
    pub(super) fn new(on: On<Update>, filter: Filter) -> Self {
        Self { on, filter }
    }

    /// Handles each entity that matches with a function of entity and event. The entities of one update come one
    /// after the other, in their order; a failure does not keep the others from being handled, and each is counted
    /// and reported. Updates are not answered: of what the function returns, only a failure matters.
    ///
    /// # Errors
    ///
    /// As [`Subscribe::handle`](event_core::hub::Subscribe::handle).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it is done leaves no subscription behind.
    pub async fn handle<F, Fut>(self, handler: F) -> Result<Subscription>
    where
        F: Fn(Entity, Event) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: IntoReply> + Send + 'static,
    {
        let Self { on, filter } = self;
        on.handle_ctx(move |update, event, context| {
            each(filter.clone(), handler.clone(), update, event, context)
        })
        .await
    }

    /// Like [`OnEntities::handle`], with a clone of `state` for each call.
    ///
    /// # Errors
    ///
    /// As [`OnEntities::handle`].
    pub async fn handle_with<S, F, Fut>(self, state: S, handler: F) -> Result<Subscription>
    where
        S: Clone + Send + Sync + 'static,
        F: Fn(Entity, Event, S) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: IntoReply> + Send + 'static,
    {
        self.handle(move |entity, event| handler(entity, event, state.clone())).await
    }

    /// Several changes of one entity as one, when it has been quiet. The filter then looks at what became of it: a
    /// status that went from A to B and back is no change of the status.
    pub fn debounced(self, debounce: Debounce) -> Debounced {
        Debounced { on: self.on, filter: self.filter, debounce }
    }
}

async fn each<F, Fut>(
    filter: Filter,
    handler: F,
    update: Update,
    event: Event,
    context: Context,
) -> Result<()>
where
    F: Fn(Entity, Event) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoReply> + Send + 'static,
{
    let mut last = None;
    for entity in update.entities.value().into_iter().flatten().filter(|entity| filter.matches(entity)) {
        if let Err(error) = handler(entity.clone(), event.clone()).await.into_reply()
            && let Some(before) = last.replace(error)
        {
            context.report_failure(before);
        }
    }
    last.map_or(Ok(()), Err)
}
