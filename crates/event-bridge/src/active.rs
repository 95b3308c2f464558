//! One term of an active bridge: both sides connected, and events on their way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use event_core::hub::{Delivery, LifecycleStream};
use event_core::transport::{Guarantee, Transport};
use event_core::{Error, ErrorKind, Event, EventHub, EventStream, Overflow, Result};
use futures_util::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use transport_nats::Bucket;

use crate::account::{Account, Gap};
use crate::echoes::Echoes;
use crate::keeper::Hold;
use crate::report::{Report, count};
use crate::shared::{Shared, wall};

/// The key under which it stands up to when everything is stored.
const MARK: &str = "stored-until";
/// How many events of the service may wait; more are dropped, and that is a gap.
const BUFFER: usize = 65_536;
/// How long, and how many, ids are remembered that went to the service.
const ECHOES: (Duration, usize) = (Duration::from_secs(600), 100_000);
/// The pause before a gap is told again.
const PAUSE: Duration = Duration::from_millis(500);

/// A term.
pub(crate) struct Active {
    pub(crate) shared: Arc<Shared>,
    pub(crate) service: EventHub,
    nats: EventHub,
    marks: Bucket,
    hold: Hold,
    pub(crate) account: Mutex<Account>,
    echoes: Mutex<Echoes>,
    start: std::time::Instant,
    /// Everything that came before this was counted; 0: everything that came.
    as_of: AtomicU64,
    /// There is a gap to be told.
    pub(crate) missed: Notify,
}

impl Active {
    /// Plays a term to its end: until `drain` is cancelled and what is under way is done. The caller drops it when the
    /// lease is lost.
    pub(crate) async fn play(
        shared: &Arc<Shared>,
        hold: &Hold,
        drain: &CancellationToken,
        told: &watch::Sender<bool>,
    ) -> Result<()> {
        let (active, lifecycle, mut events, mut back) = tokio::select! {
            biased;
            () = drain.cancelled() => return Ok(()),
            begun = Self::begin(shared, hold) => begun?,
        };
        told.send_replace(true);
        shared.report(Report::Active);
        tracing::info!(bridge = shared.settings.name, "active");
        let both = async {
            tokio::try_join!(active.forward(&mut events, drain), active.bring_back(back.as_mut(), drain))
        };
        tokio::select! {
            biased;
            outcome = both => outcome.map(drop)?,
            outcome = active.keep_books() => return outcome,
            () = active.watch(lifecycle) => return Err(ended("the hub of the service")),
        }
        active.leave().await;
        Ok(())
    }

    /// Connects both sides, and tells what may be missing.
    async fn begin(
        shared: &Arc<Shared>,
        hold: &Hold,
    ) -> Result<(Self, LifecycleStream, EventStream, Option<EventStream>)> {
        let nats = EventHub::builder_over(Arc::clone(&shared.nats) as Arc<dyn Transport>)
            .dialect(crate::dialect::AsItIs)
            .publish_timeout(shared.settings.timeout)
            .build()?;
        nats.connect_persistently().await?;
        let marks = shared.nats.bucket(&shared.settings.mark_bucket()).await?;
        let mark =
            marks.get(MARK).await?.and_then(|entry| std::str::from_utf8(&entry.value).ok()?.parse().ok());

        let service = (shared.service)()?;
        let lifecycle = service.lifecycle();
        let patience = shared.settings.patience;
        let connected = tokio::time::timeout(patience, service.connect_persistently()).await;
        connected.map_err(|_| out_of_reach(patience))??;
        let events = subscribe(shared, &service).await?;
        #[expect(clippy::disallowed_methods, reason = "a shell: it reads the clock")]
        let start = std::time::Instant::now();
        let active = Self {
            shared: Arc::clone(shared),
            service,
            nats,
            marks,
            hold: hold.clone(),
            account: Mutex::default(),
            echoes: Mutex::new(Echoes::new(ECHOES.0, ECHOES.1)),
            start,
            as_of: AtomicU64::new(0),
            missed: Notify::new(),
        };
        active.open(mark).await;
        let back = active.subscribe_back().await?;
        Ok((active, lifecycle, events, back))
    }

    /// Tells what may be missing since the term before, ahead of everything else.
    async fn open(&self, mark: Option<u64>) {
        let Some(mark) = mark.filter(|_| !self.shared.settings.kept) else { return };
        let from = mark.saturating_sub(self.shared.settings.slack_ms());
        self.account.lock().missed(from, wall(), "another bridge took over, or this one was started again");
        while !self.tell_gap().await {
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Whether this bridge may still send.
    fn may(&self) -> Result<()> {
        if self.hold.stands() {
            return Ok(());
        }
        let message = "the lease has ended; the bridge that has it now goes on";
        Err(Error::new(ErrorKind::LockLost, "pass on", message))
    }

    // ---- forward --------------------------------------------------------------------------------------------

    async fn forward(&self, events: &mut EventStream, drain: &CancellationToken) -> Result<()> {
        let mut flying = FuturesUnordered::new();
        let mut as_of = wall();
        loop {
            self.may()?;
            let stopped = drain.is_cancelled();
            if stopped && flying.is_empty() {
                return Ok(());
            }
            let room = flying.len() < self.shared.settings.window && !stopped;
            // What waits came before now, perhaps long before.
            let next = if room { events.next().now_or_never() } else { None };
            self.as_of.store(if next.is_some() || !room { as_of } else { 0 }, Ordering::Release);
            let next = if next.is_some() {
                next
            } else {
                tokio::select! {
                    biased;
                    Some(()) = flying.next(), if !flying.is_empty() => None,
                    next = events.next(), if room => Some(next),
                    () = drain.cancelled(), if !stopped => None,
                }
            };
            if room && self.as_of.load(Ordering::Acquire) == 0 {
                as_of = wall();
            }
            match next {
                None => {}
                Some(Some(Ok(delivery))) => {
                    let number = self.account.lock().came(as_of);
                    flying.push(self.store(delivery, number));
                }
                Some(Some(Err(error))) => self.shared.problem(error),
                Some(None) => return Err(ended("the subscription to the service")),
            }
        }
    }

    async fn store(&self, delivery: Delivery, number: u64) {
        let event = delivery.event();
        if event.id().is_some_and(|id| self.echoes.lock().is_echo(id)) {
            count(&self.shared.counters.echoes);
        } else if self.may().is_err() {
            return;
        } else if let Err(error) = self.nats.publish(event.clone()).verbatim().await {
            return self.not_stored(delivery, number, error).await;
        } else {
            count(&self.shared.counters.forwarded);
            tracing::trace!(topic = %event.topic(), "forwarded");
            self.shared.report(Report::Forwarded(event.clone()));
        }
        self.account.lock().stored(number);
        if let Err(error) = delivery.ack().await {
            self.shared.problem(error);
        }
    }

    async fn not_stored(&self, delivery: Delivery, number: u64, error: Error) {
        count(&self.shared.counters.not_stored);
        if self.shared.settings.kept {
            // It comes again.
            self.account.lock().stored(number);
            if let Err(error) = delivery.nack(Some(pause(delivery.attempt()))).await {
                self.shared.problem(error);
            }
        } else {
            let reason = format!("an event could not be stored ({:?})", error.kind());
            let slack = self.shared.settings.slack_ms();
            self.account.lock().lost(number, slack, wall(), &reason);
            self.missed.notify_one();
        }
        self.shared.problem(error);
    }

    // ---- back -----------------------------------------------------------------------------------------------

    async fn subscribe_back(&self) -> Result<Option<EventStream>> {
        let settings = &self.shared.settings;
        let Some(back) = settings.back.as_ref().filter(|_| self.service.capabilities().publish) else {
            return Ok(None);
        };
        let subscribing = self
            .nats
            .subscribe(back)
            .any_target()
            .durable(format!("{}-back", settings.name))
            .buffer(settings.window, Overflow::DropNewest)
            .stream();
        subscribing.await.map(Some)
    }

    async fn bring_back(&self, events: Option<&mut EventStream>, drain: &CancellationToken) -> Result<()> {
        let Some(events) = events else {
            drain.cancelled().await;
            return Ok(());
        };
        let mut flying = FuturesUnordered::new();
        loop {
            self.may()?;
            let stopped = drain.is_cancelled();
            if stopped && flying.is_empty() {
                return Ok(());
            }
            let room = flying.len() < self.shared.settings.window && !stopped;
            tokio::select! {
                biased;
                Some(()) = flying.next(), if !flying.is_empty() => {}
                next = events.next(), if room => match next {
                    Some(Ok(delivery)) => flying.push(self.give_back(delivery)),
                    Some(Err(error)) => self.shared.problem(error),
                    None => return Err(ended("the subscription to the stream")),
                },
                () = drain.cancelled(), if !stopped => {}
            }
        }
    }

    async fn give_back(&self, delivery: Delivery) {
        if self.may().is_err() {
            return;
        }
        let event = delivery.event();
        if let Some(id) = event.id() {
            self.echoes.lock().sent(id, self.start.elapsed());
        }
        let sent = self.service.publish(event.clone()).verbatim().timeout(self.shared.settings.timeout).await;
        let settled = match sent {
            Ok(_) => {
                count(&self.shared.counters.returned);
                tracing::trace!(topic = %event.topic(), "returned");
                self.shared.report(Report::Returned(event.clone()));
                delivery.ack().await
            }
            Err(error) => {
                count(&self.shared.counters.not_returned);
                self.shared.problem(error);
                delivery.nack(Some(pause(delivery.attempt()))).await
            }
        };
        if let Err(error) = settled {
            self.shared.problem(error);
        }
    }

    // ---- books ----------------------------------------------------------------------------------------------

    /// Writes down up to when everything is stored, and tells gaps.
    async fn keep_books(&self) -> Result<()> {
        let every = self.shared.settings.lease / 5;
        let (mut dropped, mut counted) = (0, self.counted_until());
        loop {
            let (dropped_before, counted_before) = (dropped, counted);
            (dropped, counted) = (self.service.stats().dropped, self.counted_until());
            if dropped > dropped_before {
                let from = counted_before.saturating_sub(self.shared.settings.slack_ms());
                self.account.lock().missed(from, wall(), "events came faster than they could be stored");
            }
            self.tell_gap().await;
            if let Err(error) = self.write_mark().await {
                // The lease is asked for over the same servers, and ends if they stay away.
                self.shared.problem(error);
            }
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                () = self.missed.notified() => {}
            }
            let away = self.account.lock().away(wall());
            if away > self.shared.settings.patience {
                return Err(out_of_reach(away));
            }
        }
    }

    async fn write_mark(&self) -> Result<()> {
        self.may()?;
        let mark = self.account.lock().mark(self.counted_until());
        self.marks.put(MARK, mark.to_string()).await.map(drop)
    }

    /// Everything that came before this was counted.
    fn counted_until(&self) -> u64 {
        match self.as_of.load(Ordering::Acquire) {
            0 => wall(),
            as_of => as_of,
        }
    }

    /// Publishes the gap that is to be told, if there is one. `false` when that failed.
    async fn tell_gap(&self) -> bool {
        let Some(gap) = self.account.lock().gap().cloned() else { return true };
        let told = match gap_event(&self.shared.settings.name, &gap) {
            Ok(event) => self.nats.publish(event).verbatim().await,
            Err(error) => Err(error),
        };
        if let Err(error) = told {
            self.shared.problem(error);
            return false;
        }
        self.account.lock().told(&gap);
        count(&self.shared.counters.gaps);
        tracing::warn!(bridge = self.shared.settings.name, from = gap.from, to = gap.to, gap.reason, "a gap");
        self.shared.report(Report::Gap(gap));
        true
    }

    /// The orderly end: everything is stored, and the next bridge is told so.
    async fn leave(&self) {
        self.tell_gap().await;
        self.as_of.store(0, Ordering::Release);
        if let Err(error) = self.write_mark().await {
            self.shared.problem(error);
        }
        tokio::join!(self.service.close(), self.nats.close());
    }
}

async fn subscribe(shared: &Shared, service: &EventHub) -> Result<EventStream> {
    let settings = &shared.settings;
    let mut subscribe = service.subscribe(&settings.forward).any_target();
    if settings.kept {
        // What is not settled stays there: no more than is worked on.
        let window = settings.window;
        subscribe = subscribe
            .require(Guarantee::AtLeastOnce)
            .buffer(window, Overflow::DropNewest)
            .concurrency(window);
    } else {
        subscribe = subscribe.buffer(BUFFER, Overflow::DropOldest);
    }
    if let Some(adjust) = &settings.adjust {
        subscribe = adjust(subscribe);
    }
    subscribe.stream().await
}

/// A gap as an event.
fn gap_event(bridge: &str, gap: &Gap) -> Result<Event> {
    let data = serde_json::json!({ "from": gap.from, "to": gap.to, "reason": gap.reason });
    Event::builder(crate::GAP_TOPIC).data(&data).source_field("id", bridge).build()
}

/// The pause before an event comes again: doubling, up to a minute.
fn pause(attempt: u32) -> Duration {
    Duration::from_secs(1 << attempt.saturating_sub(1).min(6)).min(Duration::from_secs(60))
}

fn ended(what: &str) -> Error {
    Error::new(ErrorKind::Disconnected, "pass on", format!("{what} has ended; the bridge makes it anew"))
}

fn out_of_reach(after: Duration) -> Error {
    let message = format!("the service was out of reach for {after:.1?}; another bridge may have more luck");
    Error::new(ErrorKind::Unreachable, "connect", message)
}
