//! What studios do with `ftrack.update`: only some entities, not one's own changes, several changes as one.
//!
//! The server and the dispatch of the hub filter by expressions: whose change it was, from which program
//! ([`On::where_`], [`On::ignore_user`](On::ignore_user), [`On::ignore_own`](On::ignore_own)). Expressions do not look
//! into lists, so what happened to which entity is decided here, by a [`Filter`].
//!
//! ```
//! # use ftrack_hub::{Error, Event, EventHub};
//! use ftrack_hub::events::{Entity, Update};
//! use ftrack_hub::updates::{Debounce, Filter};
//! use std::time::Duration;
//!
//! # async fn example(hub: EventHub) -> Result<(), Error> {
//! hub.on::<Update>()
//!     .ignore_own()
//!     .entities(Filter::kind(["Task"]) & Filter::status_changed_to("approved-id"))
//!     .debounced(Debounce::quiet(Duration::from_secs(2)))
//!     .handle(async |task: Entity, _last: Event| println!("{:?} is approved, and stays so", task.id))
//!     .await?;
//! # Ok(())
//! # }
//! ```

mod coalesce;
mod debounced;
mod filter;
mod on_entities;

pub use coalesce::Debounce;
pub use debounced::{DebounceStats, Debounced, DebouncedSubscription};
pub use filter::{Filter, assigned_task};
pub use on_entities::OnEntities;

use event_core::hub::IntoExpression;
use event_core::{Expression, Result};

use crate::events::{On, Update};

impl On<Update> {
    /// Leaves out changes made by this user, of whatever program. The server does it.
    pub fn ignore_user(self, username: impl AsRef<str>) -> Self {
        let user = Expression::eq("source.user.username", username.as_ref());
        self.where_(Built(user.and_then(Expression::negate)))
    }

    /// Leaves out changes made by this program (`source.applicationId`), of whatever user. The server does it.
    pub fn ignore_application(self, application_id: impl AsRef<str>) -> Self {
        let application = Expression::eq("source.applicationId", application_id.as_ref());
        self.where_(Built(application.and_then(Expression::negate)))
    }

    /// Leaves out one's own changes: what this hub published, and what was done in the session's API user's name by a
    /// program that calls itself as the session does
    /// ([`SessionBuilder::application_id`](crate::SessionBuilder::application_id)). The server does it.
    ///
    /// A program that changes entities through another client shows up as that client; leave those changes out by
    /// [`On::ignore_user`], with a user of its own for the program.
    pub fn ignore_own(self) -> Self {
        let hub = self.hub();
        let own = || {
            let user = Expression::eq("source.user.username", hub.user())?;
            let program = Expression::eq("source.applicationId", hub.application_id())?;
            let published = Expression::eq("source.id", hub.id().as_str())?;
            published.or(user.and(program)?)?.negate()
        };
        let others = own();
        self.where_(Built(others))
    }

    /// Only the entities that match: the handler gets them one by one.
    pub fn entities(self, filter: Filter) -> OnEntities {
        OnEntities::new(self, filter)
    }
}

/// An expression that may have failed to be built; reported when the subscription is made.
struct Built(Result<Expression, event_core::expression::ParseError>);

impl IntoExpression for Built {
    fn into_expression(self) -> Result<Expression> {
        Ok(self.0?)
    }
}
