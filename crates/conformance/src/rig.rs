//! A link under judgement: what it is told, what it says, and the time it has for that.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use event_core::dialect::Dialect;
use event_core::transport::{
    Acknowledgement, Attempt, Capabilities, Flow, Guarantee, Inbound, Inbounds, LinkSender, PublishError,
    RawDelivery,
};
use event_core::{Error, Event, SubscriptionSpec};
use futures_util::StreamExt;
use tokio::time::timeout;

use crate::subject::{Bench, TOPIC};
use crate::verdict::{Broken, Verdict, ensure};

/// How long anything may take; far longer than it does. Under paused time a wait in vain costs nothing.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long silence is listened to. Under paused time it costs nothing, and is longer than any poll.
const SILENCE: Duration = Duration::from_millis(300);
/// How much longer than in real time things may take under paused time.
const PAUSED: u32 = 500;

/// One link of a subject.
pub(crate) struct Rig {
    pub(crate) bench: Bench,
    pub(crate) capabilities: Capabilities,
    pub(crate) tx: Arc<dyn LinkSender>,
    pub(crate) rx: Inbounds,
    pub(crate) dialect: Arc<dyn Dialect>,
    /// Said and not asked for yet.
    heard: VecDeque<Inbound>,
    /// What else was said: repairs, gaps, problems.
    pub(crate) news: Vec<Inbound>,
    /// Errors that the stream ended with.
    pub(crate) errors: Vec<Error>,
    /// The stream has said that there is no more.
    pub(crate) over: bool,
}

/// An event with a number.
pub(crate) fn event(n: u64) -> Verdict<Event> {
    Ok(Event::new(TOPIC, &serde_json::json!({ "n": n }))?)
}

/// The number of an event.
pub(crate) fn number(event: &Event) -> Option<u64> {
    event.data_value()["n"].as_u64()
}

/// Whether tokio's clock stands still: the start of a wait in vain is then also its end.
fn scale(base: Duration) -> Duration {
    if crate::judge::is_paused() { base * PAUSED } else { base }
}

/// How long anything may take here.
pub(crate) fn patience() -> Duration {
    scale(PATIENCE)
}

/// Waits for a future that needs no reading of the link, but not for ever.
pub(crate) async fn within<T>(what: &str, work: impl Future<Output = T>) -> Verdict<T> {
    timeout(patience(), work).await.map_err(|_| Broken::promise(format!("{what}: it never ends")))
}

impl Rig {
    /// A new link, ready to be used.
    pub(crate) async fn open(bench: &Bench) -> Verdict<Self> {
        let (mut rig, ready) = Self::link(bench).await?;
        if !ready {
            rig.restored().await?;
            rig.news.clear();
        }
        Ok(rig)
    }

    /// Waits until a link that heals itself is up.
    pub(crate) async fn restored(&mut self) -> Verdict {
        self.news_of("ready", |news| matches!(news, Inbound::Restored { .. })).await
    }

    /// A new link, and whether it is ready to be used.
    pub(crate) async fn link(bench: &Bench) -> Verdict<(Self, bool)> {
        let transport = bench.transport();
        let link = within("connect", transport.connect(Attempt::first())).await??;
        let rig = Self {
            bench: Arc::clone(bench),
            capabilities: transport.capabilities(),
            tx: Arc::from(link.tx),
            rx: link.rx,
            dialect: bench.dialect(),
            heard: VecDeque::new(),
            news: Vec::new(),
            errors: Vec::new(),
            over: false,
        };
        Ok((rig, link.info.ready))
    }

    /// A new link with one subscription, which may be delivered `credit` events.
    pub(crate) async fn subscribed(bench: &Bench, require: Guarantee, credit: u32) -> Verdict<Self> {
        let mut rig = Self::open(bench).await?;
        rig.subscribe("s", require, credit).await?;
        Ok(rig)
    }

    /// Subscribes, and grants where that is how deliveries come.
    pub(crate) async fn subscribe(
        &mut self,
        id: &str,
        require: Guarantee,
        credit: u32,
    ) -> Verdict<SubscriptionSpec> {
        let spec = self.bench.spec(id, require).await?;
        self.try_subscribe(&spec).await??;
        self.allow(id, credit);
        Ok(spec)
    }

    /// Grants, where that is how deliveries come.
    pub(crate) fn allow(&self, id: &str, credit: u32) {
        if self.capabilities.flow == Flow::Credit && credit > 0 {
            self.tx.grant(&id.into(), credit);
        }
    }

    /// Subscribes by the event or the verb.
    pub(crate) async fn try_subscribe(&mut self, spec: &SubscriptionSpec) -> Verdict<Result<(), Error>> {
        if let Some(event) = self.dialect.subscribe(spec) {
            return self.publish(event).await;
        }
        let tx = Arc::clone(&self.tx);
        self.during("subscribe", tx.subscribe(spec)).await
    }

    /// Unsubscribes by the event or the verb.
    pub(crate) async fn unsubscribe(&mut self, spec: &SubscriptionSpec) -> Verdict {
        if let Some(event) = self.dialect.unsubscribe(spec) {
            return Ok(self.publish(event).await??);
        }
        let tx = Arc::clone(&self.tx);
        Ok(self.during("unsubscribe", tx.unsubscribe(spec)).await??)
    }

    /// Sends an event and waits for what the service says to it.
    pub(crate) async fn publish(&mut self, event: Event) -> Verdict<Result<(), Error>> {
        let confirmation = self.tx.send(event)?;
        let outcome = self.during("a confirmation", confirmation).await?;
        self.answer(outcome)
    }

    /// Reads an outcome as the service's dialect says.
    pub(crate) fn answer(
        &self,
        outcome: Result<Acknowledgement, PublishError>,
    ) -> Verdict<Result<(), Error>> {
        match outcome {
            Ok(acknowledgement) => Ok(self.dialect.acknowledged(&acknowledgement)),
            Err(PublishError::Refused(error)) => Ok(Err(error)),
            Err(_) => Err(Broken::promise("a publish is unconfirmed although its link stands")),
        }
    }

    /// Does something while the link is read.
    pub(crate) async fn during<T>(&mut self, what: &str, work: impl Future<Output = T>) -> Verdict<T> {
        let deadline = tokio::time::sleep(patience());
        tokio::pin!(work, deadline);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                item = self.rx.next(), if !self.over => self.hear(item)?,
                () = &mut deadline => return Err(Broken::promise(format!("{what}: it never ends"))),
            }
        }
    }

    /// The next delivery. News on the way are kept.
    pub(crate) async fn delivery(&mut self) -> Verdict<RawDelivery> {
        loop {
            match self.heard.pop_front() {
                Some(Inbound::Delivery(delivery)) => return Ok(delivery),
                Some(other) => self.news.push(other),
                None => self.listen("a delivery").await?,
            }
        }
    }

    /// The numbers of the next deliveries.
    pub(crate) async fn numbers(&mut self, count: usize) -> Verdict<Vec<u64>> {
        let mut numbers = Vec::new();
        while numbers.len() < count {
            let delivery = self.delivery().await?;
            let known = number(&delivery.event);
            numbers.push(known.ok_or_else(|| Broken::promise("an event came that nobody sent"))?);
        }
        Ok(numbers)
    }

    /// Waits for news of a kind; deliveries stay where they are.
    pub(crate) async fn news_of(&mut self, what: &str, wanted: impl Fn(&Inbound) -> bool) -> Verdict {
        loop {
            let (deliveries, news): (VecDeque<_>, VecDeque<_>) =
                self.heard.drain(..).partition(|inbound| matches!(inbound, Inbound::Delivery(_)));
            self.heard = deliveries;
            let found = news.iter().any(&wanted);
            self.news.extend(news);
            if found {
                return Ok(());
            }
            self.listen(what).await?;
        }
    }

    /// Holds when no delivery comes for a while.
    pub(crate) async fn silence(&mut self) -> Verdict {
        let rest = tokio::time::sleep(scale(SILENCE));
        tokio::pin!(rest);
        loop {
            self.silence_for_now()?;
            tokio::select! {
                biased;
                item = self.rx.next(), if !self.over => self.hear(item)?,
                () = &mut rest => return Ok(()),
            }
        }
    }

    /// Holds when no delivery has come so far.
    pub(crate) fn silence_for_now(&self) -> Verdict {
        let unasked = self.heard.iter().any(|inbound| matches!(inbound, Inbound::Delivery(_)));
        ensure!(!unasked, "an event is delivered although nobody may get it yet");
        Ok(())
    }

    /// Lets time pass on the link.
    pub(crate) async fn pass(&mut self, time: Duration) -> Verdict {
        self.during("time", tokio::time::sleep(time)).await
    }

    /// Reads to the end of the stream.
    pub(crate) async fn read_to_the_end(&mut self) -> Verdict {
        while !self.over {
            let item = within("the end of the stream", self.rx.next()).await?;
            self.hear(item)?;
        }
        Ok(())
    }

    async fn listen(&mut self, what: &str) -> Verdict {
        ensure!(!self.over, "the link ended ({:?}) before there was {what}", self.errors);
        let item = within(what, self.rx.next()).await?;
        self.hear(item)
    }

    fn hear(&mut self, item: Option<event_core::Result<Inbound>>) -> Verdict {
        match item {
            None => self.over = true,
            Some(item) if !self.errors.is_empty() => {
                return Err(Broken::promise(format!("after its error the stream goes on with {item:?}")));
            }
            Some(Err(error)) => self.errors.push(error),
            Some(Ok(inbound)) => self.heard.push_back(inbound),
        }
        Ok(())
    }
}
