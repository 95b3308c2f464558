//! A link: what its two halves share.
//!
//! Everything that goes to the server goes through one queue, in order, and the receiving half hands it over: a link that
//! nobody polls neither sends nor hears. Answers come to one inbox, by number. The server handles what one connection
//! sends in order, so an empty message to the inbox that comes back says that everything before it was handled.

mod consumer;
mod covers;
mod publish;
mod sender;
mod shell;
mod source;
pub(crate) mod stream;
mod window;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use async_nats::message::OutboundMessage;
use async_nats::{HeaderMap, Message};
use bytes::Bytes;
use event_core::transport::Confirmer;
use event_core::{Error, ErrorKind, Result, SubscriptionId};
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::dial::Dialled;
use crate::errors;
use crate::filter::Filters;
use crate::transport::Config;
use consumer::Consumer;
use covers::Covers;
use publish::Publishing;
pub(crate) use sender::Sender;
pub(crate) use shell::Shell;
use source::{NewSource, Stop};
use stream::StreamFacts;

/// Makes a link of a connection, and waits for the server's first word on it.
pub(crate) async fn open(config: Arc<Config>, dialled: Dialled) -> Result<(Sender, Shell)> {
    let Dialled { client, reports, peer } = dialled;
    let shared = Arc::new(Shared {
        inbox: client.new_inbox(),
        offers_jetstream: client.server_info().jetstream,
        server_limit: client.max_payload(),
        config,
        peer,
        groups: AtomicUsize::new(0),
        waker: Arc::new(AtomicWaker::new()),
        changed: Notify::new(),
        state: Mutex::default(),
    });
    reports.wakes(&shared.waker);
    let mut shell = Shell::new(Arc::clone(&shared), client, reports).await?;
    let sender = Sender(Arc::clone(&shared));
    shell
        .drive(async {
            shared.echo("connect").await?;
            match &shared.config.jetstream {
                Some(settings) => stream::prepare(&shared, settings).await,
                None => Ok(()),
            }
        })
        .await?;
    Ok((sender, shell))
}

/// How many failures wait to be told; the receiving half takes them at every turn.
const PROBLEMS: usize = 64;

/// What the two halves share.
struct Shared {
    config: Arc<Config>,
    peer: String,
    /// Answers come below it.
    inbox: String,
    offers_jetstream: bool,
    server_limit: usize,
    /// How many subscriptions are in queue groups.
    groups: AtomicUsize,
    /// Wakes the receiving half.
    waker: Arc<AtomicWaker>,
    /// Told when there may be room, when a subscription has ended, and at the end.
    changed: Notify,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    outgoing: VecDeque<Out>,
    /// Numbers answers and subscriptions, in the order in which they are sent.
    next: u64,
    waiting: HashMap<u64, Waiting>,
    /// When those that nobody else watches are given up, in order.
    deadlines: VecDeque<(Instant, u64)>,
    /// Publishes over core NATS that are not confirmed, with their numbers.
    unconfirmed: BTreeMap<u64, Unconfirmed>,
    /// An echo is on its way that will confirm some of them.
    echoing: bool,
    /// Publishes that the stream has not answered.
    streaming: usize,
    /// Publishes to be made again after a pause.
    again: VecDeque<(Instant, Box<Publishing>)>,
    subscriptions: HashMap<SubscriptionId, Subscribed>,
    covers: Covers,
    consumers: Vec<Arc<Consumer>>,
    /// The stream, as it was when a link last looked.
    stream: StreamFacts,
    /// Subjects that the server does not permit.
    denied: Vec<String>,
    /// What is to be told, at most so many.
    problems: VecDeque<Error>,
    closing: bool,
    ended: bool,
}

/// Something for the server.
enum Out {
    Message(OutboundMessage),
    Subscribe(NewSource),
}

/// Who waits for an answer.
enum Waiting {
    Ask(oneshot::Sender<Message>),
    /// Confirms publishes up to this number.
    Echo(u64),
    Publish(Box<Publishing>),
    /// A dead letter; with the stream's word on it, its event is given up.
    DeadLetter {
        acknowledge: String,
    },
}

/// A publish over core NATS.
struct Unconfirmed {
    subject: String,
    confirmer: Confirmer,
}

/// A subscription.
enum Subscribed {
    /// Gets what is published, together with the others of its kind. It stands when the server has confirmed it.
    Plain { filters: Filters, stands: bool },
    /// Shares what is published with the others of its queue group.
    Grouped(Vec<Arc<Stop>>),
    /// Reads the stream.
    Consuming(Arc<Consumer>),
}

impl State {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// What fills the window.
    fn in_flight(&self) -> usize {
        self.unconfirmed.len() + self.streaming
    }
}

impl Shared {
    /// A message that is answered to the inbox, by number.
    fn question(&self, number: u64, subject: String, headers: Option<HeaderMap>, payload: Bytes) -> Out {
        let reply = format!("{}.{number}", self.inbox);
        Out::Message(OutboundMessage { subject: subject.into(), reply: Some(reply.into()), payload, headers })
    }

    /// A message that nobody answers.
    fn word(subject: String, payload: &'static str) -> Out {
        let payload = Bytes::from_static(payload.as_bytes());
        Out::Message(OutboundMessage { subject: subject.into(), reply: None, payload, headers: None })
    }

    /// The echo of this number.
    fn echo_of(&self, number: u64) -> Out {
        Self::word(format!("{}.{number}", self.inbox), "")
    }

    /// Waits until the server has handled everything that was queued so far. Gives the number of the echo: everything
    /// with a smaller one was before it.
    async fn echo(&self, op: &'static str) -> Result<u64> {
        let (number, answer) = {
            let mut state = self.state.lock();
            let number = state.number();
            let echo = self.echo_of(number);
            Self::expect(&mut state, op, number, echo)?
        };
        self.answered(op, number, answer).await?;
        Ok(number)
    }

    /// Sends a message and waits for its answer.
    async fn ask(
        &self,
        op: &'static str,
        subject: String,
        headers: Option<HeaderMap>,
        payload: Bytes,
    ) -> Result<Message> {
        let (number, answer) = {
            let mut state = self.state.lock();
            let number = state.number();
            let question = self.question(number, subject, headers, payload);
            Self::expect(&mut state, op, number, question)?
        };
        self.answered(op, number, answer).await
    }

    /// Queues a question with a number of its own.
    fn expect(
        state: &mut State,
        op: &'static str,
        number: u64,
        question: Out,
    ) -> Result<(u64, oneshot::Receiver<Message>)> {
        if state.ended {
            return Err(errors::over(op));
        }
        let (teller, answer) = oneshot::channel();
        state.waiting.insert(number, Waiting::Ask(teller));
        state.outgoing.push_back(question);
        Ok((number, answer))
    }

    async fn answered(
        &self,
        op: &'static str,
        number: u64,
        answer: oneshot::Receiver<Message>,
    ) -> Result<Message> {
        let _forget = Forget { shared: self, number };
        self.waker.wake();
        let limit = self.config.answer_timeout;
        match tokio::time::timeout(limit, answer).await {
            Ok(Ok(message)) => Ok(message),
            Ok(Err(_)) => Err(Error::new(
                ErrorKind::Disconnected,
                op,
                "the connection ended before the server answered",
            )),
            Err(_) => {
                let message = format!("{} did not answer within {limit:?}", self.peer);
                Err(Error::new(ErrorKind::Timeout, op, message))
            }
        }
    }

    /// Has the receiving half tell of a failure that passes.
    fn tell(&self, problem: Error) {
        let mut state = self.state.lock();
        if state.problems.len() < PROBLEMS {
            state.problems.push_back(problem);
        }
        drop(state);
        self.waker.wake();
    }

    /// Waits until the state is so.
    async fn until(&self, reached: impl Fn(&State) -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if reached(&self.state.lock()) {
                return;
            }
            changed.await;
        }
    }

    /// The end: whoever waits hears of it.
    fn end(&self) {
        let mut state = self.state.lock();
        state.ended = true;
        // Dropped, they say that nothing is confirmed.
        let waiting = std::mem::take(&mut state.waiting);
        let unconfirmed = std::mem::take(&mut state.unconfirmed);
        let again = std::mem::take(&mut state.again);
        state.streaming = 0;
        state.outgoing.clear();
        state.deadlines.clear();
        state.subscriptions.clear();
        state.consumers.clear();
        state.covers = Covers::default();
        drop(state);
        drop((waiting, unconfirmed, again));
        self.changed.notify_waiters();
    }
}

/// Nobody waits for an answer any more.
struct Forget<'a> {
    shared: &'a Shared,
    number: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.shared.state.lock().waiting.remove(&self.number);
    }
}
