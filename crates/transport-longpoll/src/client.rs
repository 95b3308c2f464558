//! Single requests to one queue: read one message, settle one message.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use event_core::supervisor::{Jitter, Shares};
use event_core::{Error, ErrorKind, Result, Retry};
use parking_lot::Mutex;

use crate::address::QueueAddress;
use crate::auth::{Authorization, QueueAuth};
use crate::exchange::{HttpExchange, Request, Response};
use crate::lock::{LockUrl, LockUrlError, lock_duration};
use crate::message::Message;
use crate::outcome::{Asked, Class, Failure, Outcome};
use crate::poll::PollConfig;
use crate::request::{self, LockAction, ReceiveMode};

const RECEIVE: &str = "receive";
const SETTLE: &str = "settle";
/// Attempts to settle one message.
const ATTEMPTS: u32 = 3;
/// The longest first pause between them; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// A service that asks for a longer pause is not waited for: the lock would lapse.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// One queue: where it is, how it is reached, and as whom. A clone is the same queue.
///
/// For a single message now and then; [`LongPollTransport`](crate::LongPollTransport) drains queues.
#[derive(Clone)]
pub struct QueueClient(Arc<Inner>);

struct Inner {
    address: QueueAddress,
    exchange: Arc<dyn HttpExchange>,
    auth: Arc<dyn QueueAuth>,
    margin: Duration,
    shares: Arc<Mutex<Shares>>,
}

/// The lock on a message: where it is settled, and how long it lasts.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Lock {
    /// Where the message is settled.
    pub url: LockUrl,
    /// How long the lock lasted from the answer on, where that can be told; see
    /// [`lock_duration`](crate::lock::lock_duration). A renewal grants as much again.
    pub lasts: Option<Duration>,
    /// When it lapses by the service's clock, to the second. `None` once it was renewed: the service does not say
    /// until when.
    pub locked_until: Option<SystemTime>,
}

impl QueueClient {
    /// A queue. The client waits 10 s longer for an answer than the service may take.
    pub fn new(address: QueueAddress, exchange: Arc<dyn HttpExchange>, auth: Arc<dyn QueueAuth>) -> Self {
        let shares = Arc::new(Mutex::new(Jitter::default().shares()));
        Self(Arc::new(Inner { address, exchange, auth, margin: Duration::from_secs(10), shares }))
    }

    /// Another margin than 10 s. It is also the time that a settlement may take.
    #[must_use]
    pub fn margin(self, margin: Duration) -> Self {
        Self(Arc::new(Inner { margin, ..self.parts() }))
    }

    /// Where the random shares of the pauses between attempts to settle come from. Default [`Jitter::Random`].
    #[must_use]
    pub fn jitter(self, jitter: Jitter) -> Self {
        Self(Arc::new(Inner { shares: Arc::new(Mutex::new(jitter.shares())), ..self.parts() }))
    }

    fn parts(&self) -> Inner {
        let Inner { address, exchange, auth, margin, shares } = &*self.0;
        Inner {
            address: address.clone(),
            exchange: Arc::clone(exchange),
            auth: Arc::clone(auth),
            margin: *margin,
            shares: Arc::clone(shares),
        }
    }

    /// Where the queue is.
    pub fn address(&self) -> &QueueAddress {
        &self.0.address
    }

    /// Reads one message; `None` when the queue is empty.
    ///
    /// `timeout` is how long the service may wait for one: whole seconds, 1 to 230; `None` asks for an answer at
    /// once. A refused authorization is replaced once.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for a timeout out of range, before anything is sent; the error of the
    /// authorization; what [`Failure`] and [`ExchangeError`](crate::ExchangeError) say, of which each is the source of the
    /// error made from it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future can lose a message in destructive mode; under a lock the message comes back when the
    /// lock lapses.
    pub async fn receive(&self, mode: ReceiveMode, timeout: Option<Duration>) -> Result<Option<Message>> {
        if let Some(timeout) = timeout {
            PollConfig::check_long_poll(timeout)?;
        }
        let deadline = timeout.unwrap_or_default().saturating_add(self.0.margin);
        let mut authorization = self.authorize(None).await?;
        let mut refusals = 0;
        loop {
            match self.poll(mode, timeout, &authorization, deadline).await {
                Err(error)
                    if error.retry() == Retry::AfterReauth && authorization.may_be_replaced(refusals) =>
                {
                    refusals += 1;
                    authorization = self.authorize(Some(&authorization)).await?;
                }
                answer => return answer.map_err(refused_again),
            }
        }
    }

    /// The lock of a message that was read from this queue.
    ///
    /// # Errors
    ///
    /// [`LockUrlError`] when there is no address on which the message can be settled.
    pub fn lock_of(&self, message: &Message) -> Result<Lock, LockUrlError> {
        let url = LockUrl::of(&self.0.address, message)?;
        Ok(Lock { url, lasts: lock_duration(message), locked_until: message.broker.locked_until })
    }

    /// Completes, abandons or renews. The authorization is the one in force now, not that of the read.
    ///
    /// A refused authorization is replaced once. What may work the next time is tried three times in all, with
    /// pauses of up to 200 and 400 ms, or as long as the service asks, if that is no more than 10 s. If a
    /// completion may have arrived and the next attempt finds no lock, it is taken as done: should it not be, the
    /// message comes back.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LockLost`] when the lock has lapsed, or the message is settled already; [`ErrorKind::NotFound`]
    /// when the queue is gone; otherwise as for [`QueueClient::receive`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether it happened.
    pub async fn settle(&self, lock: &Lock, action: LockAction) -> Result<()> {
        let mut authorization = self.authorize(None).await?;
        let (mut refusals, mut uncertain, mut attempt) = (0, false, 1);
        loop {
            let request = request::settle(&lock.url, action, &authorization.value, self.0.margin)?;
            let Err(error) = self.ask(SETTLE, Asked::Settle, request).await else { return Ok(()) };
            let class = Failure::of(&error).map(|failure| failure.class);
            let pause = match error.retry() {
                Retry::AfterReauth if !authorization.may_be_replaced(refusals) => {
                    return Err(refused_again(error));
                }
                Retry::AfterReauth => {
                    refusals += 1;
                    authorization = self.authorize(Some(&authorization)).await?;
                    continue;
                }
                Retry::Never
                    if uncertain && action == LockAction::Complete && class == Some(Class::LockLost) =>
                {
                    tracing::debug!(queue = %self.0.address, "a repeated completion found no lock: it was done");
                    return Ok(());
                }
                Retry::Never => return Err(error),
                Retry::After(pause) if pause > LONGEST_PAUSE => return Err(error),
                Retry::After(pause) => pause,
                _ => FIRST_PAUSE.saturating_mul(attempt).mul_f64(self.0.shares.lock().draw()),
            };
            if attempt == ATTEMPTS {
                return Err(error);
            }
            uncertain = true;
            attempt += 1;
            tokio::time::sleep(pause).await;
        }
    }

    /// The authorization for the next request.
    pub(crate) async fn authorize(&self, refused: Option<&Authorization>) -> Result<Authorization> {
        self.0.auth.authorization(refused).await
    }

    /// One read, without a second try.
    pub(crate) async fn poll(
        &self,
        mode: ReceiveMode,
        timeout: Option<Duration>,
        authorization: &Authorization,
        deadline: Duration,
    ) -> Result<Option<Message>> {
        let request = request::receive(&self.0.address, mode, timeout, &authorization.value, deadline)?;
        let answer = self.ask(RECEIVE, Asked::Receive, request).await;
        Ok(answer?.map(|response| Message::read(response.headers, response.body)))
    }

    /// One exchange, within its deadline.
    async fn ask(&self, op: &'static str, asked: Asked, request: Request) -> Result<Option<Response>> {
        let queue = self.0.address.as_str();
        let deadline = request.deadline;
        let Ok(answer) = tokio::time::timeout(deadline, self.0.exchange.exchange(request)).await else {
            let message = format!("{queue}: no answer within {deadline:?}");
            return Err(Error::new(ErrorKind::Timeout, op, message));
        };
        let response = answer.map_err(|error| error.into_error(op, queue))?;
        match Outcome::read(asked, response.status, &response.headers, &response.body) {
            Outcome::Success => Ok(Some(response)),
            Outcome::Nothing => Ok(None),
            Outcome::Failed(failure) => Err(failure.into_error(op, queue)),
        }
    }
}

/// A fresh authorization was refused, too: there is no other.
fn refused_again(error: Error) -> Error {
    if error.retry() == Retry::AfterReauth { error.with_retry(Retry::Never) } else { error }
}

impl fmt::Debug for QueueClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("QueueClient").field(&self.0.address).finish()
    }
}
