//! A queue as the inspector shows it. No bodies, and no lock tokens: with one a message can be settled.

use std::time::Duration;

use super::SubscriptionInfo;

/// One subscription and the oldest messages of its queue.
#[derive(Clone, Debug)]
pub(crate) struct QueueView {
    pub(crate) subscription: SubscriptionInfo,
    pub(crate) messages: Vec<MessageView>,
    /// How many messages are there besides.
    pub(crate) more: usize,
}

/// One message, waiting or locked.
#[derive(Clone, Debug)]
pub(crate) struct MessageView {
    pub(crate) sequence: u64,
    pub(crate) event_type: String,
    pub(crate) message_id: String,
    /// How often it was delivered.
    pub(crate) deliveries: u32,
    /// Of its body, in bytes.
    pub(crate) size: usize,
    /// Since 1970, as is the next.
    pub(crate) enqueued: Duration,
    pub(crate) locked_until: Option<Duration>,
}
