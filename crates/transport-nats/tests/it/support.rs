//! Links, and what is waited for on them.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use event_core::transport::{
    Attempt, Guarantee, Inbound, Inbounds, Link, LinkSender, RawDelivery, Transport,
};
use event_core::{Error, ErrorKind, Event, Expression, Subscriber, SubscriptionSpec};
use futures_util::StreamExt;
use transport_nats::NatsTransport;

/// Far longer than anything takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// One link, read while it is waited for.
pub(crate) struct Wire {
    pub(crate) tx: Arc<dyn LinkSender>,
    rx: Inbounds,
    heard: VecDeque<Inbound>,
    pub(crate) end: Option<Error>,
    over: bool,
}

impl Wire {
    pub(crate) async fn open(transport: &NatsTransport) -> Self {
        Self::of(transport.connect(Attempt::first()).await.expect("a link"))
    }

    /// Tries again as long as that can help: while servers elect a leader, JetStream does not answer.
    pub(crate) async fn open_when_it_can(transport: &NatsTransport) -> Self {
        for number in 1..=30 {
            match transport.connect(Attempt::nth(number)).await {
                Ok(link) => return Self::of(link),
                Err(error) if error.is_transient() => {}
                Err(error) => panic!("{error}"),
            }
        }
        panic!("no attempt gives a link");
    }

    fn of(link: Link) -> Self {
        Self { tx: Arc::from(link.tx), rx: link.rx, heard: VecDeque::new(), end: None, over: false }
    }

    /// Waits for something, reading meanwhile.
    pub(crate) async fn during<T>(&mut self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        let done = async {
            loop {
                tokio::select! {
                    biased;
                    done = &mut work => return done,
                    item = self.rx.next(), if !self.over => self.hear(item),
                }
            }
        };
        tokio::time::timeout(PATIENCE, done).await.expect("it never ends")
    }

    fn hear(&mut self, item: Option<event_core::Result<Inbound>>) {
        match item {
            None => self.over = true,
            Some(Err(error)) => self.end = Some(error),
            Some(Ok(inbound)) => self.heard.push_back(inbound),
        }
    }

    pub(crate) async fn subscribe(&mut self, spec: &SubscriptionSpec) -> event_core::Result<()> {
        let tx = Arc::clone(&self.tx);
        self.during(tx.subscribe(spec)).await
    }

    pub(crate) async fn publish(&mut self, event: Event) -> Result<(), Error> {
        let confirmation = self.tx.send(event).map_err(|not_sent| not_sent.error)?;
        match self.during(confirmation).await {
            Ok(_) => Ok(()),
            Err(event_core::transport::PublishError::Refused(error)) => Err(error),
            Err(_) => Err(Error::new(ErrorKind::Unconfirmed, "publish", "it is not confirmed")),
        }
    }

    /// Publishes again as long as it is not confirmed, as a hub does.
    pub(crate) async fn publish_until_confirmed(&mut self, event: Event) {
        loop {
            match self.publish(event.clone()).await {
                Ok(()) => return,
                Err(error) if error.kind() == ErrorKind::Unconfirmed => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The next of what is reported that this finds.
    pub(crate) async fn news<T>(&mut self, mut find: impl FnMut(&Inbound) -> Option<T>) -> T {
        let mut looked = 0;
        loop {
            while let Some(inbound) = self.heard.get(looked) {
                if let Some(found) = find(inbound) {
                    self.heard.remove(looked);
                    return found;
                }
                looked += 1;
            }
            assert!(!self.over, "the link ended: {:?}", self.end);
            let item = tokio::time::timeout(PATIENCE, self.rx.next()).await.expect("it is never told");
            self.hear(item);
        }
    }

    pub(crate) async fn problem(&mut self) -> Error {
        self.news(
            |inbound| if let Inbound::Problem(error) = inbound { Some(error.duplicate()) } else { None },
        )
        .await
    }

    pub(crate) async fn delivery(&mut self) -> RawDelivery {
        loop {
            if let Some(at) = self.heard.iter().position(|inbound| matches!(inbound, Inbound::Delivery(_)))
                && let Some(Inbound::Delivery(delivery)) = self.heard.remove(at)
            {
                return delivery;
            }
            assert!(!self.over, "the link ended: {:?}", self.end);
            let item = tokio::time::timeout(PATIENCE, self.rx.next()).await.expect("nothing is delivered");
            self.hear(item);
        }
    }

    /// Whether something was delivered that was not asked for yet.
    pub(crate) fn has_delivery(&self) -> bool {
        self.heard.iter().any(|inbound| matches!(inbound, Inbound::Delivery(_)))
    }

    pub(crate) async fn read_to_the_end(&mut self) {
        while !self.over {
            let item = tokio::time::timeout(PATIENCE, self.rx.next()).await.expect("it never ends");
            self.hear(item);
        }
    }
}

pub(crate) fn spec(id: &str, expression: &str) -> SubscriptionSpec {
    SubscriptionSpec::new(Subscriber::new(id), Some(Expression::parse(expression).expect("an expression")))
}

pub(crate) fn at_least_once(id: &str, expression: &str) -> SubscriptionSpec {
    let mut spec = spec(id, expression);
    spec.require = Guarantee::AtLeastOnce;
    spec
}

pub(crate) fn event(topic: &str, n: u64) -> Event {
    Event::new(topic, &serde_json::json!({ "n": n })).expect("an event")
}

pub(crate) fn number(event: &Event) -> u64 {
    event.data_value()["n"].as_u64().expect("a number")
}

/// Leaves the test out, by name, where no server is installed.
macro_rules! needs_server {
    ($name:literal) => {
        if nats_server::skipped($name) {
            return;
        }
    };
}

pub(crate) use needs_server;
