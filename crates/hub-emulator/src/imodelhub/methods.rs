//! What users of the library can set about this side, ask of it and do to it.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use event_core::Secret;
use serde_json::Value;

use super::ids::base64;
use super::{Fault, Faults, State, Stats, Topic};
use crate::error::Error;
use crate::{Builder, Emulator};

/// A fault ended the connection instead of a whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection was reset")]
pub struct ConnectionReset;

/// The iModelHub side.
impl Builder {
    /// Where the iModelHub side listens. Default: `127.0.0.1`, a free port.
    pub fn imodelhub_addr(mut self, address: SocketAddr) -> Self {
        self.imodelhub.address = address;
        self
    }

    /// Does not listen for iModelHub clients; [`Emulator::imodelhub_url`] leads nowhere then, but
    /// [`Emulator::imodelhub_exchange`] works.
    pub fn without_imodelhub(mut self) -> Self {
        self.with_imodelhub = false;
        self
    }

    /// An access token that is good; repeat it for several. Default: every token and login that are not empty.
    pub fn access_token(mut self, token: impl Into<Secret>) -> Self {
        let token = token.into();
        if token.is_empty() {
            self.refuse("an access token is empty");
        }
        self.imodelhub.settings.access_tokens.push(token);
        self
    }

    /// A login that is good, as the basic authentication of an iModelBank has it; repeat it for several. Default:
    /// every token and login that are not empty.
    pub fn basic_login(self, user: &str, password: &Secret) -> Self {
        let credentials = base64(format!("{user}:{}", password.expose()).as_bytes());
        self.access_token(credentials)
    }

    /// How long a SAS token is good. Default 1 h.
    pub fn sas_lifetime(mut self, lifetime: Duration) -> Self {
        self.imodelhub.settings.sas_lifetime = lifetime;
        self.positive(lifetime, "sas_lifetime");
        self
    }

    /// For how many requests a SAS token is good. Default: any number.
    pub fn sas_max_uses(mut self, uses: u32) -> Self {
        self.imodelhub.settings.sas_max_uses = Some(uses);
        self.at_least_one(uses as usize, "sas_max_uses");
        self
    }

    /// How long a message is locked, and by how much a lock is renewed. Default 60 s.
    pub fn lock_duration(mut self, duration: Duration) -> Self {
        self.imodelhub.rules.lock = duration;
        self.positive(duration, "lock_duration");
        self
    }

    /// How often a message is locked before it is taken out as a dead letter. Default 10.
    pub fn max_delivery_count(mut self, deliveries: u32) -> Self {
        self.imodelhub.rules.max_deliveries = deliveries;
        self.at_least_one(deliveries as usize, "max_delivery_count");
        self
    }

    /// Whether bodies are bare JSON instead of JSON in .NET binary XML. Default no.
    pub fn plain_bodies(mut self, plain: bool) -> Self {
        self.imodelhub.settings.plain_bodies = plain;
        self
    }

    /// How long a poll is held at most, whatever it asks for. Default 230 s.
    pub fn max_poll(mut self, wait: Duration) -> Self {
        self.imodelhub.settings.max_poll = wait;
        self
    }

    /// How long an iModel's subscription lives without being used. Default 1 h.
    pub fn subscription_idle(mut self, idle: Duration) -> Self {
        self.imodelhub.rules.idle = idle;
        self.positive(idle, "subscription_idle");
        self
    }

    /// The same for global subscriptions. Default: they do not expire (Bentley says both that and "a month").
    pub fn global_subscription_idle(mut self, idle: Duration) -> Self {
        self.imodelhub.rules.global_idle = Some(idle);
        self.positive(idle, "global_subscription_idle");
        self
    }

    /// The most iModelHub subscriptions, and the most messages that wait in the queue of each; more are refused, or
    /// dropped and counted. Default 10,000 and 100,000.
    pub fn imodelhub_limits(mut self, subscriptions: usize, messages: usize) -> Self {
        self.imodelhub.rules.max_subscriptions = subscriptions;
        self.imodelhub.rules.max_queued = messages;
        self.at_least_one(subscriptions.min(messages), "imodelhub_limits");
        self
    }

    /// An event type to know besides the real ones, in both families, for clients that should stand new ones.
    pub fn event_type(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            self.refuse("an event type is not a word in ASCII");
        }
        self.imodelhub.settings.event_types.push(name);
        self
    }

    /// How many exchanges [`Emulator::imodelhub_captures`] keeps. Default 1,000; 0 keeps none.
    pub fn captures(mut self, exchanges: usize) -> Self {
        self.imodelhub.captures = exchanges;
        self
    }

    /// What subscription ids, message ids, lock tokens and signatures are made from, to have the same ones in every
    /// run. Default: something new at each start.
    pub fn seed(mut self, seed: u64) -> Self {
        self.imodelhub.seed = Some(seed);
        self
    }
}

/// The iModelHub side.
impl Emulator {
    /// The URL to give to a client as that of an iModelBank, such as `http://127.0.0.1:41235`. It stays the same over
    /// restarts.
    pub fn imodelhub_url(&self) -> String {
        format!("{}://{}", self.scheme(), self.imodelhub_address)
    }

    /// The address listened on.
    pub fn imodelhub_addr(&self) -> SocketAddr {
        self.imodelhub_address
    }

    /// Subscriptions, queues and counters.
    pub fn imodelhub_state(&self) -> State {
        self.imodelhub.state()
    }

    /// The counters of [`Emulator::imodelhub_state`].
    pub fn imodelhub_stats(&self) -> Stats {
        self.imodelhub.state().stats
    }

    /// As [`Emulator::wait_for`], for the iModelHub side.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn wait_for_imodelhub(&self, condition: impl FnMut(&State) -> bool) -> State {
        self.imodelhub.wait_for(condition).await
    }

    /// Publishes an event of an iModel, and says for how many subscriptions it was queued: those that want this type.
    /// The next poll sees it. Without a body it has one as recorded from the real service.
    ///
    /// A type that no client can subscribe to reaches nobody (see [`Builder::event_type`]), and so does an iModel id
    /// that is no GUID. `iModelDeletedEvent` ends the iModel's subscriptions 5 minutes later.
    pub fn publish_imodel_event(&self, imodel_id: &str, event_type: &str, body: Option<Value>) -> usize {
        Topic::imodel(imodel_id).map_or(0, |topic| self.publish_on(&topic, event_type, body))
    }

    /// As [`Emulator::publish_imodel_event`], for global events.
    pub fn publish_global_event(&self, event_type: &str, body: Option<Value>) -> usize {
        self.publish_on(&Topic::Global, event_type, body)
    }

    fn publish_on(&self, topic: &Topic, event_type: &str, body: Option<Value>) -> usize {
        let body = body.map(|body| body.to_string());
        let published = self.imodelhub.publish(topic, event_type, body.as_deref(), 1);
        if published.is_none() {
            tracing::warn!(event_type, "there is no such event type in this family");
        }
        published.unwrap_or(0)
    }

    /// Makes every SAS token given out so far useless; says how many were still good.
    pub fn expire_sas(&self) -> usize {
        self.imodelhub.expire_sas()
    }

    /// Makes every access token useless that was used so far or is listed; says how many those were. SAS tokens stay
    /// good. With a list, nobody gets in until [`Emulator::accept_token`].
    pub fn revoke_tokens(&self) -> usize {
        self.imodelhub.revoke_tokens()
    }

    /// Lists an access token as good, even one that was revoked. From then on only listed ones are.
    pub fn accept_token(&self, token: impl Into<Secret>) {
        self.imodelhub.accept_token(&token.into());
    }

    /// Puts the emulator's clock forward. On the ftrack side, handshakes and remembered event ids age. On the
    /// iModelHub side, locks, SAS tokens, polls and subscriptions whose time is over then
    /// have ended when this returns, except that polls need a moment to answer. Clients keep their own clock: they see
    /// the difference in the `se=` of new SAS tokens and in `Date`.
    pub fn advance(&self, by: Duration) {
        self.imodelhub.advance(by);
        self.hub.advanced();
    }

    /// The fault dial of this side, of which the next two methods are short forms.
    pub fn imodelhub_faults(&self) -> Faults {
        Faults::new(std::sync::Arc::clone(&self.imodelhub))
    }

    /// Makes something go wrong with requests to come; the oldest fault that matches a request hits it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidFault`](crate::ErrorKind::InvalidFault).
    pub fn add_fault(&self, fault: Fault) -> Result<(), Error> {
        self.imodelhub_faults().add(fault)
    }

    /// Forgets all faults; says how many were waiting.
    pub fn clear_faults(&self) -> usize {
        self.imodelhub_faults().clear()
    }

    /// The last exchanges, oldest first, in the form in which `GET /admin/captures` has them. Bodies are cut after
    /// 64 KiB, and credentials taken out, except SAS tokens.
    pub fn imodelhub_captures(&self) -> Vec<Value> {
        self.imodelhub.captures()
    }

    /// Forgets the exchanges; says how many there were.
    pub fn clear_imodelhub_captures(&self) -> usize {
        self.imodelhub.clear_captures()
    }

    /// Answers a request as if it came over the network, without one: for tests with a paused clock. Polls are held
    /// for as long as they ask, in tokio's time. `Host` and `Origin` are not judged, and admin routes are not served.
    ///
    /// # Errors
    ///
    /// [`ConnectionReset`] when a fault ends the connection.
    ///
    /// # Cancel safety
    ///
    /// A dropped future is a client that went away: a poll that waits takes no message.
    pub async fn imodelhub_exchange(
        &self,
        request: ::http::Request<Bytes>,
    ) -> Result<::http::Response<Bytes>, ConnectionReset> {
        self.imodelhub.exchange(request).await.direct().await.map_err(|_| ConnectionReset)
    }
}
