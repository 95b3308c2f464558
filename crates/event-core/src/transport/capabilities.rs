//! What a transport can do: its capabilities, and the words they are said in.

/// What a transport can do. `Default` is "nothing", to be switched on field by field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "a list of independent abilities")]
pub struct Capabilities {
    /// Clients can publish.
    pub publish: bool,
    /// Publishing is acknowledged by the service.
    pub publish_receipt: bool,
    /// Replies can be sent and correlated.
    pub reply: bool,
    /// The service filters by expression, so that not everything is sent to everybody.
    pub server_filter: bool,
    /// Who decides when an event comes.
    pub flow: Flow,
    /// The delivery guarantees on offer.
    pub guarantees: Guarantees,
    /// What happens to a link whose connection breaks.
    pub continuity: Continuity,
    /// Deliveries can be given back.
    pub nack: bool,
    /// Locks on deliveries can be prolonged.
    pub extend_lock: bool,
    /// The largest event it carries, in bytes of JSON.
    pub max_payload: Option<usize>,
    /// How many events may be sent and not yet acknowledged; `None` leaves it to the hub's outbox.
    pub window: Option<usize>,
    /// A subscription may have a [name](crate::SubscriptionSpec::durable), under which its place is kept past the end of
    /// the link and of the process.
    pub durable: bool,
    /// The link can be used before there is a connection, and while there is none: what is published is kept until
    /// then, what was kept is delivered.
    pub offline: bool,
    /// Subscribing is the transport's own verb, whatever the service: events by which a
    /// [`Dialect`](crate::Dialect) would subscribe are not sent.
    pub own_verbs: bool,
}

/// Who decides when an event comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flow {
    /// The service pushes.
    #[default]
    Push,
    /// The client asks, one credit at a time.
    Credit,
}

/// What happens to a link whose connection breaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Continuity {
    /// It ends.
    #[default]
    None,
    /// It ends, and a later link takes up where it stopped.
    Resumes,
    /// It repairs itself and reports [`Interrupted`](super::Inbound::Interrupted) and [`Restored`](super::Inbound::Restored).
    SelfHealing,
}

/// How often an event is delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Guarantee {
    /// Once or not at all.
    #[default]
    AtMostOnce,
    /// Once or more.
    AtLeastOnce,
}

/// A set of [`Guarantee`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guarantees {
    at_most_once: bool,
    at_least_once: bool,
}

impl Guarantees {
    /// The set of one.
    pub const fn only(guarantee: Guarantee) -> Self {
        match guarantee {
            Guarantee::AtMostOnce => Self { at_most_once: true, at_least_once: false },
            Guarantee::AtLeastOnce => Self { at_most_once: false, at_least_once: true },
        }
    }

    /// Both.
    pub const fn both() -> Self {
        Self { at_most_once: true, at_least_once: true }
    }

    /// Whether the set has this one.
    pub const fn contains(self, guarantee: Guarantee) -> bool {
        match guarantee {
            Guarantee::AtMostOnce => self.at_most_once,
            Guarantee::AtLeastOnce => self.at_least_once,
        }
    }
}
