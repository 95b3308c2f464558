//! What all requests share: the service under one lock that is never held across a wait, the clock, and who waits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::Config;
use super::answers::{Answer, empty};
use super::captures::{Captures, Record};
use super::faults::{Action, Dial, Hit};
use super::route::Route;
use super::service::{Poll, Service, Step};
use super::spoil::{Outcome, prepare, spoil};
use super::state::{State, Stats};
use super::topic::Topic;
use crate::clock::Clock;
use crate::faults::Defects;

/// The iModelHub side of an emulator. Outlives restarts, and so do subscriptions and their queues.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) config: Config,
    pub(super) clock: Arc<Clock>,
    pub(super) defects: Defects,
    inner: Mutex<Inner>,
    changed: Notify,
    /// Rung when there is something to send to webhooks.
    pub(super) told: Notify,
}

#[derive(Debug)]
struct Inner {
    running: bool,
    /// Host and port, for clients that name no host.
    address: String,
    service: Service,
    faults: Dial,
    captures: Captures,
    /// Wakes the polls of a subscription, by its id in lower case.
    bells: BTreeMap<String, Bell>,
}

#[derive(Debug, Default)]
struct Bell {
    notify: Arc<Notify>,
    users: usize,
}

impl Hub {
    pub(crate) fn new(config: Config, clock: Arc<Clock>, defects: Defects) -> Arc<Self> {
        let seed = config.seed.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
        let inner = Inner {
            running: false,
            address: config.address.to_string(),
            service: Service::new(
                config.settings.clone(),
                config.rules.clone(),
                (seed, config.poster.is_given()),
                defects.clone(),
            ),
            faults: Dial::default(),
            captures: Captures::new(config.captures),
            bells: BTreeMap::new(),
        };
        let (changed, told) = (Notify::new(), Notify::new());
        Arc::new(Self { config, clock, defects, inner: Mutex::new(inner), changed, told })
    }

    pub(super) fn set_running(&self, running: bool, address: Option<String>) {
        self.change(|inner, _| {
            inner.running = running;
            if let Some(address) = address {
                inner.address = address;
            }
        });
    }

    pub(crate) fn is_running(&self) -> bool {
        self.inner.lock().running
    }

    /// Resolves when the service does not run.
    pub(crate) async fn stopped(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if !self.is_running() {
                return;
            }
            changed.await;
        }
    }

    pub(crate) fn state(&self) -> State {
        self.tick();
        let inner = self.inner.lock();
        State {
            running: inner.running,
            subscriptions: inner.service.bus.infos(),
            sas_tokens: inner.service.sas.len(),
            faults: inner.faults.len(),
            stats: inner.service.bus.stats,
        }
    }

    /// The queues with their oldest messages, and how many more queues there are.
    #[cfg(feature = "inspector")]
    pub(crate) fn queues(&self, most: usize, messages: usize) -> (Vec<super::QueueView>, usize) {
        self.tick();
        self.inner.lock().service.bus.view(most, messages)
    }

    /// Resolves when the predicate holds.
    pub(crate) async fn wait_for(&self, mut predicate: impl FnMut(&State) -> bool) -> State {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let state = self.state();
            if predicate(&state) {
                return state;
            }
            changed.await;
        }
    }

    /// Publishes an event `count` times; says for how many subscriptions it was queued. `None`: no such type.
    pub(crate) fn publish(&self, topic: &Topic, name: &str, body: Option<&str>, count: u64) -> Option<usize> {
        let published = self.change(|inner, now| {
            inner.tick(now);
            let mut reached = BTreeSet::new();
            for _ in 0..count {
                reached.extend(inner.service.publish(topic, name, body, now)?);
            }
            inner.ring(&reached);
            Some(reached.len())
        });
        self.told.notify_waiters();
        published
    }

    /// Tells an event to the webhooks that want it; says to how many.
    pub(super) fn tell(&self, event_type: &str, itwin: Option<&str>, content: &Value) -> usize {
        let told = self.change(|inner, now| {
            let (told, dropped) = inner.service.webhooks.tell(event_type, itwin, content, now);
            inner.service.bus.stats.webhooks_told += told as u64;
            inner.service.bus.stats.webhooks_over_limit += dropped as u64;
            told
        });
        self.told.notify_waiters();
        told
    }

    /// Puts the time forward.
    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.change(|inner, now| {
            inner.tick(now);
            inner.service.sas.tidy(now);
            for bell in inner.bells.values() {
                bell.notify.notify_waiters();
            }
        });
    }

    /// Ends what is over.
    pub(super) fn tick(&self) {
        let now = self.clock.now();
        if self.inner.lock().tick(now) {
            self.changed.notify_waiters();
        }
    }

    pub(crate) fn expire_sas(&self) -> usize {
        self.change(|inner, _| inner.service.sas.expire())
    }

    pub(crate) fn revoke_tokens(&self) -> usize {
        self.change(|inner, _| inner.service.tokens.revoke_all())
    }

    pub(super) fn revoke_token(&self, token: &str) {
        self.change(|inner, _| inner.service.tokens.revoke(token));
    }

    pub(crate) fn accept_token(&self, token: &event_core::Secret) {
        self.change(|inner, _| inner.service.tokens.accept(token));
    }

    /// Looks at the faults: no news to those who wait for something to change.
    pub(super) fn see_dial<T>(&self, see: impl FnOnce(&Dial) -> T) -> T {
        see(&self.inner.lock().faults)
    }

    /// Changes the faults.
    pub(super) fn with_dial<T>(&self, change: impl FnOnce(&mut Dial) -> T) -> T {
        self.change(|inner, _| change(&mut inner.faults))
    }

    pub(crate) fn captures(&self) -> Vec<Value> {
        self.inner.lock().captures.to_json()
    }

    pub(crate) fn clear_captures(&self) -> usize {
        self.inner.lock().captures.clear()
    }

    pub(super) fn count(&self, count: impl FnOnce(&mut Stats)) {
        self.change(|inner, _| count(&mut inner.service.bus.stats));
    }

    /// Looks at or changes settings.
    pub(super) fn configure<T>(&self, change: impl FnOnce(&mut Service) -> T) -> T {
        self.change(|inner, _| change(&mut inner.service))
    }

    /// The same, where it is no news to those who wait for something to change.
    pub(super) fn configure_quietly<T>(&self, change: impl FnOnce(&mut Service) -> T) -> T {
        self.change_quietly(|inner, _| change(&mut inner.service))
    }

    /// Answers a request: with what the service says, and what faults make of it.
    pub(crate) async fn exchange(self: &Arc<Self>, request: Request<Bytes>) -> Outcome {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let hit = self.inner.lock().faults.take(request.method(), path);
        let recording = Recording::new(self, &request);
        let outcome = match hit {
            None => Outcome::Answer(self.answer(&request).await),
            Some(hit) => self.misbehave(&request, &hit).await,
        };
        recording.end(&outcome);
        outcome
    }

    async fn misbehave(&self, request: &Request<Bytes>, hit: &Hit) -> Outcome {
        if let Some(delay) = hit.action.delay() {
            sleep(delay).await;
        }
        let ready = self.change(|inner, now| {
            let ready = prepare(&mut inner.service, &hit.action, request, now);
            inner.ring_named(request.uri().path());
            ready
        });
        if ready.is_some() || hit.action == Action::Hang {
            self.change(|inner, _| inner.applied(&hit.action));
        }
        if hit.action == Action::Hang {
            std::future::pending::<()>().await;
        }
        if let Some(outcome) = ready {
            return outcome;
        }
        let answer = self.answer(request).await;
        let (outcome, spoiled) = spoil(&hit.action, answer);
        self.change(|inner, _| {
            if spoiled {
                inner.applied(&hit.action);
            } else {
                inner.faults.give_back(hit);
            }
        });
        outcome
    }

    async fn answer(&self, request: &Request<Bytes>) -> Answer {
        let step = self.change(|inner, now| {
            let address = inner.address.clone();
            let step = inner.service.request(request, &address, now);
            if let Step::Answer(_) = step {
                // Deleting and unlocking are news to those who wait.
                inner.ring_named(request.uri().path());
            }
            step
        });
        match step {
            Step::Answer(answer) => answer,
            Step::Poll(poll) => self.poll(&poll).await,
        }
    }

    /// Waits for a message: woken when there may be one, when a lock ends, and at the end of the time.
    async fn poll(&self, poll: &Poll) -> Answer {
        if let Some(answer) = self.change(|inner, now| inner.service.receive(poll, false, now)) {
            return answer;
        }
        if poll.wait.is_zero() {
            return empty(StatusCode::NO_CONTENT);
        }
        let deadline = self.clock.now().saturating_add(poll.wait);
        let waiting = Waiting::new(self, &poll.subscription);
        loop {
            let rung = waiting.bell.notified();
            tokio::pin!(rung);
            rung.as_mut().enable();
            let (answer, end, now) = self.change_quietly(|inner, now| {
                (inner.service.receive(poll, true, now), inner.service.bus.next_end(&poll.subscription), now)
            });
            if let Some(answer) = answer {
                return answer;
            }
            if now >= deadline {
                return empty(StatusCode::NO_CONTENT);
            }
            let wake = end.map_or(deadline, |end| end.min(deadline));
            tokio::select! {
                biased;
                () = rung => {}
                () = sleep(wake.saturating_sub(now)) => {}
            }
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Inner, Duration) -> T) -> T {
        let result = self.change_quietly(change);
        self.changed.notify_waiters();
        result
    }

    fn change_quietly<T>(&self, change: impl FnOnce(&mut Inner, Duration) -> T) -> T {
        let now = self.clock.now();
        change(&mut self.inner.lock(), now)
    }
}

impl Inner {
    fn applied(&mut self, action: &Action) {
        self.service.bus.stats.faults_applied += 1;
        self.faults.fired.count(action.name());
    }

    /// Ends what is over; says whether anything was.
    fn tick(&mut self, now: Duration) -> bool {
        let changed = self.service.bus.tick(now);
        self.ring(&changed);
        !changed.is_empty()
    }

    fn ring<'a>(&self, subscriptions: impl IntoIterator<Item = &'a String>) {
        for bell in subscriptions.into_iter().filter_map(|id| self.bells.get(id)) {
            bell.notify.notify_waiters();
        }
    }

    /// Wakes the polls of the subscription that a path names.
    fn ring_named(&self, path: &str) {
        let id = match Route::parse(path) {
            Ok(Route::Bus { subscription, .. }) => subscription,
            Ok(Route::Wsg { id: Some(id), .. }) => id,
            _ => return,
        };
        if !self.bells.is_empty() {
            self.ring(&[id.to_ascii_lowercase()]);
        }
    }
}

/// A poll that is held; counted until it is dropped.
struct Waiting<'a> {
    hub: &'a Hub,
    id: String,
    bell: Arc<Notify>,
}

impl<'a> Waiting<'a> {
    fn new(hub: &'a Hub, id: &str) -> Self {
        let id = id.to_ascii_lowercase();
        let bell = hub.change(|inner, now| {
            inner.service.bus.waiting(&id, true, now);
            let bell = inner.bells.entry(id.clone()).or_default();
            bell.users += 1;
            Arc::clone(&bell.notify)
        });
        Self { hub, id, bell }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.hub.change(|inner, now| {
            inner.service.bus.waiting(&self.id, false, now);
            if let Some(bell) = inner.bells.get_mut(&self.id) {
                bell.users -= 1;
                if bell.users == 0 {
                    inner.bells.remove(&self.id);
                }
            }
        });
    }
}

/// A request being answered. Dropped before its end, the client went away.
struct Recording<'a> {
    hub: &'a Hub,
    request: Option<Request<Bytes>>,
    at: Duration,
}

impl<'a> Recording<'a> {
    fn new(hub: &'a Hub, request: &Request<Bytes>) -> Self {
        let on = hub.inner.lock().captures.is_on();
        Self { hub, request: on.then(|| request.clone()), at: hub.clock.now() }
    }

    fn end(mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Answer(answer) => self.add(Some(answer.clone()), None),
            Outcome::Slow(answer, _) => self.add(Some(answer.clone()), Some("slowly")),
            Outcome::Refused => self.add(None, Some("refused")),
            Outcome::Cut { answer, .. } => self.add(Some(answer.clone()), Some("cut in the body")),
            Outcome::Reset => self.add(None, Some("reset")),
        }
    }

    fn add(&mut self, answer: Option<Answer>, note: Option<&'static str>) {
        if let Some(request) = self.request.take() {
            let record = Record::new(request, self.at, self.hub.clock.now(), answer, note);
            self.hub.inner.lock().captures.add(record);
        }
    }
}

impl Drop for Recording<'_> {
    fn drop(&mut self) {
        self.add(None, Some("client closed"));
    }
}
