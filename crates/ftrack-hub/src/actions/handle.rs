//! An action that is offered.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use event_core::hub::SubscriptionStats;
use event_core::{ErrorKind, Result, Subscription};

use super::builder::Action;
use crate::events::ActionIdentifier;

/// An action that is offered. Dropping it changes nothing; a clone is the same action.
#[derive(Clone)]
pub struct ActionHandle {
    pub(super) identifier: ActionIdentifier,
    pub(super) discover: Subscription,
    pub(super) launch: Subscription,
    pub(super) action: Arc<Action>,
}

impl ActionHandle {
    /// The name by which it is launched.
    pub fn identifier(&self) -> &ActionIdentifier {
        &self.identifier
    }

    /// Counters of its launches.
    pub fn launches(&self) -> SubscriptionStats {
        self.launch.stats()
    }

    /// Counters of the selections for which it was looked for.
    pub fn discoveries(&self) -> SubscriptionStats {
        self.discover.stats()
    }

    /// How many launches and works that go on after their answer there are now.
    pub fn working(&self) -> usize {
        self.action.launches.len() + self.action.tasks.len()
    }

    /// Removes the action: it is not offered any more, then not launched any more, and what is being worked on may
    /// finish, for so long. Work of [`Outcome::later`](super::Outcome::later) that is not done by then is cut off, and
    /// its user told so; returns how many of them there were. A function of `on_launch` is not cut off.
    ///
    /// # Errors
    ///
    /// Those of [`Subscription::unsubscribe`]; an action that is removed already is none.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future after it was polled leaves the action removed or half removed: not offered, but launched.
    pub async fn remove(&self, limit: Duration) -> Result<usize> {
        for subscription in [&self.discover, &self.launch] {
            match subscription.unsubscribe().await {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        let Action { launches, tasks, cut, .. } = &*self.action;
        launches.close();
        tasks.close();
        let finished = async {
            launches.wait().await;
            tasks.wait().await;
        };
        if tokio::time::timeout(limit, finished).await.is_ok() {
            return Ok(0);
        }
        let unfinished = tasks.len();
        cut.cancel();
        tasks.wait().await;
        Ok(unfinished)
    }
}

impl fmt::Debug for ActionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActionHandle").field("identifier", &self.identifier).finish_non_exhaustive()
    }
}
