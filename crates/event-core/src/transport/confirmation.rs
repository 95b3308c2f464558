//! What the service says to one event: from the link, which hears it, to whoever waits for it.
//!
//! Whoever waits is woken, or, as the engine does, has the words of all its events put into one basket.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use crate::{Error, RawJson};

/// What the service said to one event: a future of its acknowledgement.
///
/// Dropping it never unsends the event.
pub struct Confirmation(Arc<Word>);

/// The other end of a [`Confirmation`], kept by the link; dropped unused it means "unconfirmed".
pub struct Confirmer(Option<Arc<Word>>);

/// What came with an acknowledgement.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Acknowledgement {
    /// The service's words, where it sent any. The dialect reads them.
    pub data: Option<RawJson>,
}

impl Acknowledgement {
    /// An acknowledgement with these words.
    pub fn with_data(data: Option<RawJson>) -> Self {
        Self { data }
    }
}

/// Why an event that was sent is not confirmed.
#[derive(Debug)]
#[non_exhaustive]
pub enum PublishError {
    /// The service refused it.
    Refused(Error),
    /// The link ended first: it may or may not have arrived.
    Unconfirmed,
}

/// What became of an event.
pub(crate) type Outcome = Result<Acknowledgement, PublishError>;

/// The last word on one event.
struct Word(Mutex<State>);

enum State {
    /// Not said yet, and who is to hear it.
    Open(Option<Listener>),
    /// Said, and not heard yet.
    Said(Outcome),
    Heard,
}

enum Listener {
    Waker(Waker),
    Basket { basket: Arc<Basket>, place: usize },
}

impl Word {
    /// The last word: once.
    fn say(&self, outcome: Outcome) {
        let mut state = self.0.lock();
        match std::mem::replace(&mut *state, State::Heard) {
            State::Open(Some(Listener::Basket { basket, place })) => {
                drop(state);
                basket.put(place, outcome);
            }
            State::Open(listener) => {
                *state = State::Said(outcome);
                drop(state);
                if let Some(Listener::Waker(waker)) = listener {
                    waker.wake();
                }
            }
            before => *state = before,
        }
    }
}

impl Confirmation {
    /// A confirmation and the end that fulfils it.
    pub fn channel() -> (Confirmer, Self) {
        let word = Arc::new(Word(Mutex::new(State::Open(None))));
        (Confirmer(Some(Arc::clone(&word))), Self(word))
    }

    /// Has the last word put into a basket under the number of its place there, now if it was said already.
    pub(crate) fn put_into(self, basket: &Arc<Basket>, place: usize) {
        let mut state = self.0.0.lock();
        match std::mem::replace(&mut *state, State::Heard) {
            State::Open(_) => {
                *state = State::Open(Some(Listener::Basket { basket: Arc::clone(basket), place }));
            }
            State::Said(outcome) => {
                drop(state);
                basket.put(place, outcome);
            }
            State::Heard => {
                drop(state);
                basket.put(place, Err(PublishError::Unconfirmed));
            }
        }
    }
}

impl Confirmer {
    /// The service acknowledged.
    pub fn confirm(self, acknowledgement: Acknowledgement) {
        self.say(Ok(acknowledgement));
    }

    /// The service refused.
    pub fn refuse(self, error: Error) {
        self.say(Err(PublishError::Refused(error)));
    }

    fn say(mut self, outcome: Outcome) {
        if let Some(word) = self.0.take() {
            word.say(outcome);
        }
    }
}

impl Drop for Confirmer {
    fn drop(&mut self) {
        if let Some(word) = self.0.take() {
            word.say(Err(PublishError::Unconfirmed));
        }
    }
}

impl Future for Confirmation {
    type Output = Result<Acknowledgement, PublishError>;

    /// Once ready, it is not to be polled again; it would say "unconfirmed".
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.0.lock();
        match std::mem::replace(&mut *state, State::Heard) {
            State::Open(Some(Listener::Waker(waker))) if waker.will_wake(cx.waker()) => {
                *state = State::Open(Some(Listener::Waker(waker)));
                Poll::Pending
            }
            State::Open(_) => {
                *state = State::Open(Some(Listener::Waker(cx.waker().clone())));
                Poll::Pending
            }
            State::Said(outcome) => Poll::Ready(outcome),
            State::Heard => Poll::Ready(Err(PublishError::Unconfirmed)),
        }
    }
}

impl fmt::Debug for Confirmation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Confirmation(..)")
    }
}

impl fmt::Debug for Confirmer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Confirmer(..)")
    }
}

/// The last words on many events, in the order in which they were said. Its owner bounds how many there can be.
#[derive(Default)]
pub(crate) struct Basket(Mutex<Contents>);

#[derive(Default)]
struct Contents {
    words: Vec<(usize, Outcome)>,
    owner: Option<Waker>,
}

impl Basket {
    fn put(&self, place: usize, outcome: Outcome) {
        let mut contents = self.0.lock();
        contents.words.push((place, outcome));
        let owner = contents.owner.take();
        drop(contents);
        if let Some(owner) = owner {
            owner.wake();
        }
    }

    /// Waits until there is something in it. Cancel-safe; for one waiter.
    pub(crate) fn poll_filled(&self, cx: &Context<'_>) -> Poll<()> {
        let mut contents = self.0.lock();
        if !contents.words.is_empty() {
            return Poll::Ready(());
        }
        if contents.owner.as_ref().is_none_or(|owner| !owner.will_wake(cx.waker())) {
            contents.owner = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Exchanges what is in it for what is in `words`.
    pub(crate) fn exchange(&self, words: &mut Vec<(usize, Outcome)>) {
        std::mem::swap(&mut self.0.lock().words, words);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::task::noop_waker_ref;

    use super::*;

    fn words(basket: &Basket) -> Vec<(usize, Outcome)> {
        let mut words = Vec::new();
        basket.exchange(&mut words);
        words
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_by_the_last_word() {
        let (confirmer, mut confirmation) = Confirmation::channel();
        assert!((&mut confirmation).now_or_never().is_none());
        let waiting = tokio::spawn(confirmation);
        tokio::task::yield_now().await;
        confirmer.confirm(Acknowledgement::with_data(Some(RawJson::null())));
        assert!(waiting.await.unwrap().unwrap().data.is_some());
    }

    #[tokio::test]
    async fn a_confirmer_that_is_dropped_leaves_the_event_unconfirmed() {
        let (confirmer, confirmation) = Confirmation::channel();
        let waiting = tokio::spawn(confirmation);
        tokio::task::yield_now().await;
        drop(confirmer);
        assert!(matches!(waiting.await.unwrap(), Err(PublishError::Unconfirmed)));
    }

    #[test]
    fn a_basket_gets_every_last_word_in_the_order_in_which_they_were_said() {
        let basket = Arc::new(Basket::default());
        let cx = Context::from_waker(noop_waker_ref());
        let (mut early, confirmation) = Confirmation::channel();
        confirmation.put_into(&basket, 0);
        assert!(basket.poll_filled(&cx).is_pending());
        let (late, confirmation) = Confirmation::channel();
        late.confirm(Acknowledgement::default());
        confirmation.put_into(&basket, 1);
        early.0.take().unwrap().say(Err(PublishError::Unconfirmed));
        let (dropped, confirmation) = Confirmation::channel();
        confirmation.put_into(&basket, 2);
        drop(dropped);
        assert!(basket.poll_filled(&cx).is_ready());
        let words = words(&basket);
        assert!(matches!(
            words[..],
            [(1, Ok(_)), (0, Err(PublishError::Unconfirmed)), (2, Err(PublishError::Unconfirmed))]
        ));
        assert!(basket.poll_filled(&cx).is_pending());
    }
}
