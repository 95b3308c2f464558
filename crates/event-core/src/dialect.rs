//! How a service speaks: its meta events, its replies, the source it wants. Given by a facade, used unchanged
//! over every transport; the engine itself knows no topic.

pub use crate::speaking::Speaking;

use crate::event::EventBuilder;
use crate::hub::Lifecycle;
use crate::subscription::{Subscriber, SubscriptionSpec};
use crate::transport::Acknowledgement;
use crate::{Error, ErrorKind, Event, EventId, RawJson, Result};

/// How a service speaks.
///
/// Every method has a default, which together make the plain dialect: subscriptions by the transport's own verb,
/// replies on the topic `reply`.
pub trait Dialect: Send + Sync + 'static {
    /// The event that subscribes, or `None` if the transport has its own verb for it.
    fn subscribe(&self, _spec: &SubscriptionSpec) -> Option<Event> {
        None
    }

    /// The event that unsubscribes, or `None` if the transport has its own verb for it.
    fn unsubscribe(&self, _spec: &SubscriptionSpec) -> Option<Event> {
        None
    }

    /// The subscription through which the hub itself gets replies; its subscriber's id is the hub's id.
    fn inbox(&self) -> Option<SubscriptionSpec> {
        None
    }

    /// Adds to a new subscriber what the service expects of every one.
    fn complete_subscriber(&self, _subscriber: &mut Subscriber) {}

    /// The event that answers `asked`, in the name of `by`.
    ///
    /// # Errors
    ///
    /// When `asked` cannot be answered: it has no id or no source.
    fn reply(&self, asked: &Event, by: &Subscriber, data: RawJson) -> Result<Event> {
        plain_reply("reply", asked, by, data)
    }

    /// The id of the event that `event` answers, if it is an answer.
    fn in_reply_to<'e>(&self, event: &'e Event) -> Option<&'e EventId> {
        event.in_reply_to()
    }

    /// The event that tells local subscribers of a change of the connection. It is never sent.
    fn local(&self, _change: &Lifecycle) -> Option<Event> {
        None
    }

    /// Fills in, before an event is sent, what the caller left out: its source, above all. A `source.id` that the
    /// caller set is replaced, since replies would go nowhere.
    fn complete(&self, _event: &mut EventBuilder) {}

    /// Reads an acknowledgement.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Refused`] when the service said no.
    fn acknowledged(&self, _acknowledgement: &Acknowledgement) -> Result<()> {
        Ok(())
    }
}

/// The longest id that is taken for one of the usual form, in bytes.
const USUAL: usize = 64;

/// A reply in the usual form: `target "id=<source.id>"`, in reply to the asked event's id, with the answering
/// subscriber as source.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] when the asked event has no id or no source id.
pub fn plain_reply(topic: &str, asked: &Event, by: &Subscriber, data: RawJson) -> Result<Event> {
    addressed_reply(topic, asked, data)?.source_field("id", by.id().as_str()).build()
}

/// The same without a source, which is the dialect's to give.
///
/// # Errors
///
/// As [`plain_reply`].
pub fn addressed_reply(topic: &str, asked: &Event, data: RawJson) -> Result<EventBuilder> {
    let (Some(id), Some(source)) = (asked.id(), asked.source_id()) else {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            "reply",
            format!(
                "the event on \"{}\" has no id or no source.id, so an answer has no address",
                asked.topic()
            ),
        ));
    };
    Ok(Event::builder(topic).raw_data(data).target(address(source)?).in_reply_to(id))
}

/// The expression, written, that the subscriber with this id fits. Ids of the usual form need no parser.
fn address(id: &str) -> Result<String> {
    let usual = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if (1..=USUAL).contains(&id.len()) && id.bytes().all(usual) {
        return Ok(["id=", id].concat());
    }
    Ok(crate::Expression::eq("id", id)?.to_string())
}

/// The dialect of the defaults, for a bus without conventions of its own and for tests.
#[derive(Clone, Debug)]
pub struct PlainDialect {
    id: crate::SubscriptionId,
}

impl PlainDialect {
    /// A plain dialect for a hub with this id.
    pub fn new(id: impl Into<crate::SubscriptionId>) -> Self {
        Self { id: id.into() }
    }
}

impl Default for PlainDialect {
    /// With a random hub id.
    fn default() -> Self {
        Self::new(crate::SubscriptionId::random())
    }
}

impl Dialect for PlainDialect {
    fn inbox(&self) -> Option<SubscriptionSpec> {
        let expression = crate::Expression::topic("reply").ok()?;
        Some(SubscriptionSpec::new(Subscriber::new(self.id.clone()), Some(expression)))
    }

    fn complete(&self, event: &mut EventBuilder) {
        let mut source = event.source_object();
        source.insert("id".to_owned(), self.id.as_str().into());
        event.set_source(&source);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_address_is_what_an_expression_is_written_as(
            id in "([A-Za-z0-9_-]{0,70}|and|or|not|true|[0-9]e[0-9]|\\PC{0,9})",
        ) {
            let written = crate::Expression::eq("id", &id).map(|expression| expression.to_string());
            prop_assert_eq!(address(&id).ok(), written.ok());
        }
    }
}
