//! The lease in a bucket: drives the state machine, and tells until when it is held.
#![expect(clippy::disallowed_methods, reason = "a shell: it reads tokio's clock")]

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use event_core::Result;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use transport_nats::{Bucket, NatsTransport, NewBucket};

use crate::lease::{Answer, Ask, Lease, Step, Times};
use crate::report::Report;
use crate::shared::Shared;

/// The key under which the holder stands.
const KEY: &str = "active";

/// What stands in the bucket.
#[derive(Serialize, Deserialize)]
struct Holder {
    /// What people call it.
    name: String,
    /// No two runs of a program have the same.
    token: String,
}

/// Until when the lease is held. A clone sees the same.
#[derive(Clone, Debug)]
pub(crate) struct Hold(watch::Receiver<Option<Instant>>);

impl Hold {
    /// Whether it is held at this moment, whatever anybody had time to notice.
    pub(crate) fn stands(&self) -> bool {
        self.0.borrow().is_some_and(|until| Instant::now() < until)
    }

    /// Waits until it is held.
    pub(crate) async fn won(&mut self) {
        while !self.stands() {
            if self.0.changed().await.is_err() {
                pending::<()>().await;
            }
        }
    }

    /// Waits until it is held no longer.
    pub(crate) async fn lost(&mut self) {
        loop {
            let Some(until) = *self.0.borrow_and_update() else { return };
            tokio::select! {
                biased;
                changed = self.0.changed() => if changed.is_err() { return },
                () = tokio::time::sleep_until(until) => return,
            }
        }
    }
}

/// What a keeper is told.
enum Order {
    /// Give the lease back, and do not ask for it for a while.
    Resign(Duration),
    /// Give it back for good.
    Leave,
}

/// Keeps the lease, or waits for it, in a task of its own.
pub(crate) struct Keeper {
    orders: mpsc::Sender<Order>,
    task: tokio::task::JoinHandle<()>,
}

impl Keeper {
    pub(crate) fn start(shared: &Arc<Shared>) -> (Self, Hold) {
        let (held, watched) = watch::channel(None);
        let (orders, ordered) = mpsc::channel(1);
        let start = Instant::now();
        let times = Times::of(shared.settings.lease);
        let work = Work {
            lease: Lease::new(times, Duration::ZERO),
            times,
            start,
            me: Arc::new(Holder {
                name: shared.settings.holder.clone(),
                token: event_core::EventId::random().as_str().to_owned(),
            }),
            bucket: None,
            held,
            shared: Arc::clone(shared),
            rival: None,
        };
        let task = tokio::spawn(work.run(ordered));
        (Self { orders, task }, Hold(watched))
    }

    /// Gives the lease back, and does not ask for it for a while.
    pub(crate) async fn resign(&self, pause: Duration) {
        let _ = self.orders.send(Order::Resign(pause)).await;
    }

    /// Gives the lease back for good.
    pub(crate) async fn leave(mut self) {
        let _ = self.orders.send(Order::Leave).await;
        let _ = (&mut self.task).await;
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Asking = BoxFuture<'static, (Result<(Bucket, Option<Holder>)>, Answer)>;

struct Work {
    lease: Lease,
    times: Times,
    start: Instant,
    me: Arc<Holder>,
    /// Between two questions, if the connection is good.
    bucket: Option<Bucket>,
    held: watch::Sender<Option<Instant>>,
    shared: Arc<Shared>,
    /// Who was seen to hold it last.
    rival: Option<String>,
}

impl Work {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut asking: Option<Asking> = None;
        loop {
            let step = self.lease.poll(self.now());
            self.tell();
            let until = match step {
                Step::Ask(ask) => {
                    // A question that is given up takes its connection along.
                    asking = Some(self.ask(ask));
                    continue;
                }
                Step::Wait(until) => self.start + until,
            };
            let answered = async {
                match &mut asking {
                    Some(asking) => asking.await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                (outcome, answer) = answered => {
                    asking = None;
                    self.answered(outcome, answer);
                }
                order = orders.recv() => {
                    let order = order.unwrap_or(Order::Leave);
                    if let Some(open) = asking.take()
                        && let Ok((outcome, answer)) = tokio::time::timeout(self.times.answer, open).await
                    {
                        self.answered(outcome, answer);
                    }
                    self.give_back().await;
                    let Order::Resign(pause) = order else { return };
                    self.lease = Lease::new(self.times, self.now() + pause);
                }
                () = tokio::time::sleep_until(until) => {}
            }
        }
    }

    /// Tells until when the lease is held.
    fn tell(&self) {
        let until = self.lease.held_until(self.now()).map(|until| self.start + until);
        self.held.send_if_modified(|told| std::mem::replace(told, until) != until);
    }

    fn answered(&mut self, outcome: Result<(Bucket, Option<Holder>)>, answer: Answer) {
        match outcome {
            Ok((bucket, rival)) => {
                self.bucket = Some(bucket);
                let rival = rival.map(|rival| rival.name);
                if answer == Answer::Theirs && rival != self.rival {
                    self.shared.report(Report::Waiting { holder: rival.clone().unwrap_or_default() });
                }
                self.rival = rival;
            }
            Err(error) => self.shared.problem(error),
        }
        self.lease.answered(answer, self.now());
        self.tell();
    }

    fn ask(&mut self, ask: Ask) -> Asking {
        let (bucket, me) = (self.bucket.take(), Arc::clone(&self.me));
        let (nats, wanted) = (Arc::clone(&self.shared.nats), self.shared.settings.lease_bucket());
        let asked = async move { question(bucket, &nats, &wanted, &me, ask).await };
        asked
            .map(|outcome| match outcome {
                Ok((bucket, answer, rival)) => (Ok((bucket, rival)), answer),
                Err(error) => (Err(error), Answer::Unknown),
            })
            .boxed()
    }

    /// Takes the value away, so that nobody has to wait for it to lapse.
    async fn give_back(&mut self) {
        self.held.send_replace(None);
        let (Some(revision), Some(bucket)) = (self.lease.revision(), &self.bucket) else { return };
        match tokio::time::timeout(self.times.answer, bucket.delete(KEY, revision)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.shared.problem(error),
            Err(_) => tracing::debug!("the lease was not given back in time; it lapses"),
        }
        self.lease = Lease::new(self.times, self.now());
    }
}

async fn question(
    bucket: Option<Bucket>,
    nats: &NatsTransport,
    wanted: &NewBucket,
    me: &Holder,
    ask: Ask,
) -> Result<(Bucket, Answer, Option<Holder>)> {
    let bucket = match bucket {
        Some(bucket) => bucket,
        None => nats.bucket(wanted).await?,
    };
    let value = event_core::RawJson::from_serialize(me)?.as_str().to_owned();
    let written = match ask {
        Ask::Claim => bucket.create(KEY, value).await?,
        Ask::Renew(revision) => bucket.replace(KEY, value, revision).await?,
    };
    if let Some(revision) = written {
        return Ok((bucket, Answer::Written(revision), None));
    }
    let Some(there) = bucket.get(KEY).await? else { return Ok((bucket, Answer::Nobodys, None)) };
    let holder: Option<Holder> = serde_json::from_slice(&there.value).ok();
    let ours = holder.as_ref().is_some_and(|holder| holder.token == me.token);
    let answer = if ours { Answer::Ours(there.revision) } else { Answer::Theirs };
    Ok((bucket, answer, holder))
}
