//! Who subscribes, and to what.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::expression::{Expression, Scalar, Subject};
use crate::transport::Guarantee;
use crate::{Error, ErrorKind, Event, Result, SubscriptionId};

/// A subscriber: its id, and what else it says about itself.
///
/// Targeted events are matched against this: an event with target `applicationId=maya` reaches only
/// subscribers whose metadata has that member. The id is a member like any other.
///
/// ```
/// use event_core::{Expression, Subscriber};
///
/// let subscriber = Subscriber::new("my-unique-subscriber-id").with("applicationId", "maya");
/// let target: Expression = "applicationId=maya and id=my-*".parse()?;
/// assert!(target.matches(&subscriber));
/// # Ok::<(), event_core::expression::ParseError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Subscriber {
    id: SubscriptionId,
    /// The members but for the id. Shared by the copies that a hub keeps of a subscriber, and by its subscribers where
    /// they say nothing else of themselves; none for those who say nothing at all.
    others: Option<Arc<Map<String, Value>>>,
}

impl Subscriber {
    /// A subscriber with this id.
    pub fn new(id: impl Into<SubscriptionId>) -> Self {
        Self { id: id.into(), others: None }
    }

    /// A subscriber with a random id.
    pub fn anonymous() -> Self {
        Self::new(SubscriptionId::random())
    }

    /// The same subscriber with one more member. `id` gives it another id.
    pub fn with(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.set(key, value);
        self
    }

    /// Sets one member. `id` changes the id, if the value is a string.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        let (key, value) = (key.into(), value.into());
        if key == "id" {
            let Some(id) = value.as_str() else { return };
            self.id = SubscriptionId::from(id);
            return;
        }
        Arc::make_mut(self.others.get_or_insert_default()).insert(key, value);
    }

    /// Sets members, the id excepted, unless they are there already. A subscriber without members of its own shares
    /// these.
    pub fn set_defaults(&mut self, defaults: &Arc<Map<String, Value>>) {
        match &mut self.others {
            None => self.others = Some(Arc::clone(defaults)),
            Some(others) => {
                let missing = |(key, _): &(&String, &Value)| !others.contains_key(*key);
                let missing: Vec<_> = defaults.iter().filter(missing).collect();
                if !missing.is_empty() {
                    let missing: Vec<_> =
                        missing.into_iter().map(|(key, value)| (key.clone(), value.clone())).collect();
                    Arc::make_mut(others).extend(missing);
                }
            }
        }
    }

    /// The id.
    pub fn id(&self) -> &SubscriptionId {
        &self.id
    }

    /// All members, the id among them.
    pub fn metadata(&self) -> Map<String, Value> {
        let mut metadata = self.others.as_deref().cloned().unwrap_or_default();
        metadata.insert("id".to_owned(), Value::from(self.id.as_str()));
        metadata
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Subject for Subscriber {
    fn lookup(&self, path: &[Box<str>]) -> Option<Scalar<'_>> {
        match path {
            [id, rest @ ..] if &**id == "id" => rest.is_empty().then(|| Scalar::Str(self.id.as_str())),
            _ => self.others.as_ref()?.lookup(path),
        }
    }
}

/// What a transport is asked to subscribe to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SubscriptionSpec {
    /// The subscription's id; the subscriber's id on a hub.
    pub id: SubscriptionId,
    /// Which events; `None` on services where the address says it all.
    pub expression: Option<Expression>,
    /// Who asks.
    pub subscriber: Subscriber,
    /// Where, on services that keep a queue per subscription.
    pub address: Option<String>,
    /// The delivery guarantee asked for.
    pub require: Guarantee,
    /// The name under which its place is to be kept, on transports that do.
    pub durable: Option<String>,
    /// How many deliveries the subscriber can hold that are not settled. `None` leaves it to the transport.
    pub in_flight: Option<usize>,
    /// Whether events are wanted whomever they are for.
    pub any_target: bool,
}

impl SubscriptionSpec {
    /// A subscription of `subscriber` to the events that match `expression`.
    pub fn new(subscriber: Subscriber, expression: Option<Expression>) -> Self {
        Self {
            id: subscriber.id().clone(),
            expression,
            subscriber,
            address: None,
            require: Guarantee::default(),
            durable: None,
            in_flight: None,
            any_target: false,
        }
    }

    /// For transports that keep no places: refuses a name for one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] when there is one.
    pub fn refuse_name(&self, transport: &str) -> Result<()> {
        if self.durable.is_none() {
            return Ok(());
        }
        let message = format!(
            "the {transport} transport keeps no places of subscriptions; put a journal over it, or leave the name out"
        );
        Err(Error::new(ErrorKind::Unsupported, "subscribe", message))
    }
}

/// Whom an event is for, parsed once per event.
#[derive(Debug)]
pub(crate) enum Target {
    Everyone,
    Matching(Expression),
    /// Not an expression: it reaches nobody.
    Unreadable,
}

impl Target {
    pub(crate) fn of(event: &Event) -> Self {
        match event.target() {
            "" => Self::Everyone,
            text => Expression::parse(text).map_or(Self::Unreadable, Self::Matching),
        }
    }

    /// Whether the event is for this subscription.
    pub(crate) fn allows(&self, spec: &SubscriptionSpec) -> bool {
        spec.any_target || self.includes(&spec.subscriber)
    }

    pub(crate) fn includes(&self, subscriber: &Subscriber) -> bool {
        match self {
            Self::Everyone => true,
            Self::Matching(expression) => expression.matches(subscriber),
            Self::Unreadable => false,
        }
    }
}
