//! A transport that speaks a service's dialect: where subscribing is an event, it sends that event.

use std::sync::Arc;

use async_trait::async_trait;

use crate::dialect::Dialect;
use crate::subscription::SubscriptionSpec;
use crate::transport::{
    Attempt, Capabilities, Confirmation, Link, LinkSender, NotSent, PublishError, SendTerms, SettleFailed,
    SettleToken, Settlement, Transport,
};
use crate::{Error, ErrorKind, Event, Result, SubscriptionId};

/// Lets a transport subscribe the way a [`Dialect`] says, unless it has [verbs of its
/// own](crate::Capabilities::own_verbs). The hub wraps it around its transport; whoever stacks layers
/// by hand puts it below [`Supervised`](crate::supervisor::Supervised), which can then subscribe again.
pub struct Speaking<T: ?Sized> {
    dialect: Arc<dyn Dialect>,
    inner: Arc<T>,
}

impl<T: Transport + ?Sized> Speaking<T> {
    /// `inner`, speaking `dialect`.
    pub fn new(inner: Arc<T>, dialect: Arc<dyn Dialect>) -> Self {
        Self { dialect, inner }
    }
}

#[async_trait]
impl<T: Transport + ?Sized> Transport for Speaking<T> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn connect(&self, attempt: Attempt) -> Result<Link> {
        let link = self.inner.connect(attempt).await?;
        let own_verbs = self.inner.capabilities().own_verbs;
        let tx = SpeakingSender { dialect: Arc::clone(&self.dialect), own_verbs, inner: link.tx };
        Ok(Link { tx: Box::new(tx), ..link })
    }
}

struct SpeakingSender {
    dialect: Arc<dyn Dialect>,
    own_verbs: bool,
    inner: Box<dyn LinkSender>,
}

impl SpeakingSender {
    /// Sends an event as soon as there is room, and waits for the service's word.
    async fn ask(&self, mut event: Event, op: &'static str) -> Result<()> {
        let confirmation = loop {
            match self.inner.send(event) {
                Ok(confirmation) => break confirmation,
                Err(refused) if refused.error.kind() == ErrorKind::Full => {
                    event = refused.event;
                    self.inner.ready().await;
                }
                Err(refused) => return Err(refused.error),
            }
        };
        match confirmation.await {
            Ok(acknowledgement) => self.dialect.acknowledged(&acknowledgement),
            Err(PublishError::Refused(error)) => Err(error),
            Err(PublishError::Unconfirmed) => Err(Error::new(
                ErrorKind::Unconfirmed,
                op,
                "the connection ended before the server confirmed",
            )),
        }
    }
}

#[async_trait]
impl LinkSender for SpeakingSender {
    fn send(&self, event: Event) -> Result<Confirmation, NotSent> {
        self.inner.send(event)
    }

    fn send_with(&self, event: Event, terms: SendTerms) -> Result<Confirmation, NotSent> {
        self.inner.send_with(event, terms)
    }

    async fn ready(&self) {
        self.inner.ready().await;
    }

    async fn subscribe(&self, spec: &SubscriptionSpec) -> Result<()> {
        match self.dialect.subscribe(spec) {
            Some(event) if !self.own_verbs => self.ask(event, "subscribe").await,
            _ => self.inner.subscribe(spec).await,
        }
    }

    async fn subscribe_again(&self, spec: &SubscriptionSpec) -> Result<()> {
        match self.dialect.subscribe(spec) {
            Some(event) if !self.own_verbs => self.ask(event, "subscribe").await,
            _ => self.inner.subscribe_again(spec).await,
        }
    }

    async fn unsubscribe(&self, spec: &SubscriptionSpec) -> Result<()> {
        match self.dialect.unsubscribe(spec) {
            Some(event) if !self.own_verbs => self.ask(event, "unsubscribe").await,
            _ => self.inner.unsubscribe(spec).await,
        }
    }

    fn grant(&self, id: &SubscriptionId, credit: u32) {
        self.inner.grant(id, credit);
    }

    async fn settle(&self, token: SettleToken, outcome: Settlement) -> Result<(), SettleFailed> {
        self.inner.settle(token, outcome).await
    }

    async fn extend(&self, token: &mut SettleToken) -> Result<()> {
        self.inner.extend(token).await
    }

    async fn flush(&self) -> Result<()> {
        self.inner.flush().await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

impl<T: ?Sized> std::fmt::Debug for Speaking<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Speaking")
    }
}
