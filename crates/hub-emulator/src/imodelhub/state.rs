//! What can be asked about the iModelHub side. No tokens, no bodies.

use serde::Serialize;

/// A snapshot of the iModelHub side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct State {
    /// Whether the emulator listens.
    pub running: bool,
    /// The subscriptions of both families, oldest first.
    #[serde(rename = "subs")]
    pub subscriptions: Vec<SubscriptionInfo>,
    /// SAS tokens given out and still good, as far as was checked.
    pub sas_tokens: usize,
    /// Faults that wait for their request.
    pub faults: usize,
    /// Counters since the emulator was started, restarts included.
    pub stats: Stats,
}

impl State {
    /// The long polls that wait, on all subscriptions.
    pub fn waiting(&self) -> usize {
        self.subscriptions.iter().map(|subscription| subscription.waiting).sum()
    }

    /// The messages that wait, on all subscriptions; locked ones are not among them.
    pub fn queued(&self) -> usize {
        self.subscriptions.iter().map(|subscription| subscription.queued).sum()
    }

    /// The messages that are locked, on all subscriptions.
    pub fn locked(&self) -> usize {
        self.subscriptions.iter().map(|subscription| subscription.locked).sum()
    }

    /// The subscription with this id.
    pub fn subscription(&self, id: &str) -> Option<&SubscriptionInfo> {
        self.subscriptions.iter().find(|subscription| subscription.id.eq_ignore_ascii_case(id))
    }
}

/// One subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SubscriptionInfo {
    /// The id under which it is used.
    pub id: String,
    /// Its iModel, in lower case; `None` for a global one.
    #[serde(rename = "iModelId")]
    pub imodel_id: Option<String>,
    /// The id that the caller gave to a global one.
    #[serde(rename = "subscriptionId")]
    pub given_id: Option<String>,
    /// The types it wants.
    pub event_types: Vec<String>,
    /// Messages that wait.
    pub queued: usize,
    /// Messages that a client has locked.
    pub locked: usize,
    /// Long polls that wait.
    pub waiting: usize,
    /// Deliveries so far, repeated ones included.
    pub delivered: u64,
}

/// Counters; none of them ever goes down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Stats {
    /// Requests to the service and its queues; admin requests are not counted.
    pub requests: u64,
    /// Requests refused because of their `Host` or `Origin`.
    pub foreign_requests: u64,
    /// Requests to the service refused because of their access token.
    pub tokens_refused: u64,
    /// Requests to a queue refused because of their SAS token.
    pub sas_refused: u64,
    /// SAS tokens given out.
    pub sas_issued: u64,
    /// Subscriptions created; a global one that was there already is not counted.
    pub subscriptions_created: u64,
    /// Subscriptions changed.
    pub subscriptions_updated: u64,
    /// Subscriptions deleted by a client.
    pub subscriptions_deleted: u64,
    /// Subscriptions that ended by themselves.
    pub subscriptions_expired: u64,
    /// Events published.
    pub events_published: u64,
    /// Events put into a queue: one for three subscriptions counts three times.
    pub events_queued: u64,
    /// Events that found a full queue and were dropped.
    pub events_over_limit: u64,
    /// Requests for a message, long polls included.
    pub receives: u64,
    /// Messages given to a client.
    pub deliveries: u64,
    /// Those of them that were delivered before.
    pub redeliveries: u64,
    /// Locked messages completed.
    pub completed: u64,
    /// Locked messages given back.
    pub unlocked: u64,
    /// Locks renewed.
    pub renewed: u64,
    /// Locks that ended by themselves.
    pub locks_lapsed: u64,
    /// Messages delivered too often, and taken out.
    pub dead_lettered: u64,
    /// Events told to webhooks: one for three of them counts three times.
    pub webhooks_told: u64,
    /// Those that found too many waiting, and were dropped.
    pub webhooks_over_limit: u64,
    /// Requests to callbacks.
    pub webhooks_sent: u64,
    /// Those of them that were sent before.
    pub webhooks_resent: u64,
    /// Those that were refused, not answered in time, or not at all.
    pub webhooks_refused: u64,
    /// Events that a callback acknowledged in the end.
    pub webhooks_acknowledged: u64,
    /// Events that no callback acknowledged, and that are not sent again.
    pub webhooks_given_up: u64,
    /// Faults that hit a request.
    pub faults_applied: u64,
}
