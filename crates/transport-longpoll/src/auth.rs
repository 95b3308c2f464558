//! Where authorizations come from, and when they are renewed.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell: it reads tokio's clock, and the wall clock once a token"
)]

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use event_core::{Error, ErrorKind, Result, Retry, Secret};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// What goes into the `authorization` header, verbatim. `Debug` does not show it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Authorization {
    /// The header's value.
    pub value: Secret,
    /// When the service stops accepting it, where that can be told.
    pub expires: Option<SystemTime>,
    /// Whether the source had it already when it was asked. Then a refusal of one before says nothing about it, and
    /// it may be as old: if it is refused as well, another one is still to be asked for.
    pub kept: bool,
}

impl Authorization {
    /// One whose end is not known.
    pub fn new(value: impl Into<Secret>) -> Self {
        Self { value: value.into(), expires: None, kept: false }
    }

    /// A shared access signature, whose end is read from its `se=`.
    pub fn sas(value: impl Into<Secret>) -> Self {
        let value = value.into();
        let expires = sas_expiry(value.expose())
            .and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
        Self { value, expires, kept: false }
    }

    /// Whether, being refused after so many refusals in a row, it is to be replaced: the first one is, and the second
    /// one if it was [kept](Self::kept). Otherwise a fresh one was refused, and there is no other.
    pub fn may_be_replaced(&self, refusals: u32) -> bool {
        refusals == 0 || (refusals == 1 && self.kept)
    }

    fn is(&self, other: &Self) -> bool {
        self.value.expose() == other.value.expose()
    }
}

/// The end of a shared access signature in seconds since 1970:
/// `SharedAccessSignature sr=..&sig=..&se=1795445805&skn=..`, its fields in any order. `None` when there is no
/// number there.
pub fn sas_expiry(token: &str) -> Option<u64> {
    let (scheme, fields) = token.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("SharedAccessSignature") {
        return None;
    }
    let value = fields.split('&').find_map(|field| field.trim().strip_prefix("se="))?;
    if value.is_empty() || !value.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    value.parse().ok()
}

/// A source of authorizations.
///
/// It is asked before every request. [`SharedAuth`] around it keeps what it gave and asks again only when that is
/// about to end or was refused, once for all who wait.
#[async_trait]
pub trait QueueAuth: Send + Sync + 'static {
    /// The authorization for the next request. `refused` is the one that the service has just refused; another
    /// one is wanted then.
    ///
    /// # Errors
    ///
    /// [`Error::retry`] decides: `Never` (and `AfterReauth`) ends the queue, anything else is tried again after a
    /// pause. [`ErrorKind::Unauthenticated`] for credentials that are no good.
    ///
    /// # Cancel safety
    ///
    /// The future may be dropped at any time; the next call begins anew.
    async fn authorization(&self, refused: Option<&Authorization>) -> Result<Authorization>;
}

impl<T: QueueAuth + ?Sized> QueueAuth for Arc<T> {
    // Written out: the macro would put the inner future into a box of its own.
    fn authorization<'this, 'refused, 'answer>(
        &'this self,
        refused: Option<&'refused Authorization>,
    ) -> Pin<Box<dyn Future<Output = Result<Authorization>> + Send + 'answer>>
    where
        'this: 'answer,
        'refused: 'answer,
        Self: 'answer,
    {
        (**self).authorization(refused)
    }
}

/// One authorization for ever. When it is refused there is no other.
#[derive(Clone, Debug)]
pub struct FixedAuth(Authorization);

impl FixedAuth {
    /// Always this one.
    pub fn new(authorization: Authorization) -> Self {
        Self(authorization)
    }
}

#[async_trait]
impl QueueAuth for FixedAuth {
    async fn authorization(&self, refused: Option<&Authorization>) -> Result<Authorization> {
        if refused.is_some_and(|refused| refused.is(&self.0)) {
            let message = "the service refuses the authorization, and there is no other";
            return Err(Error::new(ErrorKind::Unauthenticated, "authorize", message));
        }
        Ok(self.0.clone())
    }
}

/// Shares the authorizations of another source: one request to it at a time, whoever waits gets its answer.
///
/// An authorization that says when it ends is replaced a margin before that. Should that fail while it is still
/// good, it is used on, and replacing it is tried again later. One that has ended already when it arrives, by a
/// clock that is wrong, is used until the service refuses it.
///
/// # Cancel safety
///
/// When the caller whose turn it is gives up, the next one asks anew.
pub struct SharedAuth<A> {
    inner: A,
    margin: Duration,
    wall: fn() -> SystemTime,
    state: Mutex<Shared>,
    /// Answers of the source so far.
    answers: AtomicU64,
}

/// An authorization is not replaced, unless it is refused, before it was used so long.
const SHORTEST_USE: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Shared {
    current: Option<Kept>,
    /// The last answer was this failure.
    failure: Option<Error>,
}

struct Kept {
    authorization: Authorization,
    renew_at: Option<Instant>,
    ends_at: Option<Instant>,
}

impl<A: QueueAuth> SharedAuth<A> {
    /// Shares a source. The margin is 60 s, or half of what a shorter authorization lasts.
    pub fn new(inner: A) -> Self {
        Self {
            inner,
            margin: Duration::from_secs(60),
            wall: SystemTime::now,
            state: Mutex::default(),
            answers: AtomicU64::new(0),
        }
    }

    /// How long before its end an authorization is replaced. Default 60 s; at most half of what it lasts.
    #[must_use]
    pub fn margin(mut self, margin: Duration) -> Self {
        self.margin = margin;
        self
    }

    /// Another wall clock. It is read when an authorization arrives, to tell how long that lasts; from then on
    /// tokio's clock counts.
    #[must_use]
    pub fn wall_clock(mut self, wall: fn() -> SystemTime) -> Self {
        self.wall = wall;
        self
    }

    fn keep(&self, authorization: Authorization) -> Kept {
        let now = Instant::now();
        let lasts = authorization
            .expires
            .and_then(|end| end.duration_since((self.wall)()).ok())
            .filter(|lasts| !lasts.is_zero());
        let ends_at = lasts.and_then(|lasts| now.checked_add(lasts));
        // A source that gives the same one again and again is not asked at every request.
        let good_for = |lasts: Duration| lasts.saturating_sub(self.margin.min(lasts / 2)).max(SHORTEST_USE);
        let renew_at = lasts.and_then(|lasts| now.checked_add(good_for(lasts)));
        Kept { authorization, renew_at, ends_at }
    }
}

impl Kept {
    fn give(&self) -> Authorization {
        Authorization { kept: true, ..self.authorization.clone() }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.renew_at.is_some_and(|at| at <= now)
    }

    /// Replacing it failed: whether it can be used on. If so it is left alone for a while.
    fn use_on(&mut self, now: Instant, margin: Duration) -> bool {
        let left = self.ends_at.map_or(Duration::ZERO, |end| end.saturating_duration_since(now));
        if left.is_zero() {
            return false;
        }
        // Again before its end, even if it is a short one.
        self.renew_at = now.checked_add((margin / 4).min(left / 2).max(SHORTEST_USE));
        true
    }
}

#[async_trait]
impl<A: QueueAuth> QueueAuth for SharedAuth<A> {
    async fn authorization(&self, refused: Option<&Authorization>) -> Result<Authorization> {
        let before = self.answers.load(Ordering::Acquire);
        let mut state = self.state.lock().await;
        let now = Instant::now();
        if let Some(kept) = &state.current {
            let wanted = refused.is_none_or(|refused| !refused.is(&kept.authorization));
            if wanted && !kept.is_due(now) {
                return Ok(kept.give());
            }
        }
        // It failed while this call waited for its turn: that is the answer to this call, too.
        if let Some(failure) = &state.failure
            && self.answers.load(Ordering::Acquire) != before
        {
            return Err(failure.duplicate());
        }
        let answer = self.inner.authorization(refused).await;
        self.answers.fetch_add(1, Ordering::Release);
        match answer {
            Ok(authorization) => {
                state.failure = None;
                state.current = Some(self.keep(authorization.clone()));
                Ok(authorization)
            }
            Err(error) => {
                let now = Instant::now();
                if let Some(kept) = &mut state.current
                    && refused.is_none_or(|refused| !refused.is(&kept.authorization))
                    && error.retry() != Retry::Never
                    && kept.use_on(now, self.margin)
                {
                    tracing::debug!(%error, "the authorization could not be replaced yet; the old one is good still");
                    return Ok(kept.give());
                }
                state.failure = Some(error.duplicate());
                Err(error)
            }
        }
    }
}

impl<A> fmt::Debug for SharedAuth<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedAuth").field("margin", &self.margin).finish_non_exhaustive()
    }
}
