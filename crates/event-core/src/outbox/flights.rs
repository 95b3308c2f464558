//! Events on their way: sent, and without their last word from the link.

use std::future::poll_fn;
use std::sync::Arc;

use tokio::time::Instant;

use super::{Done, Entry};
use crate::transport::{Basket, Confirmation, Outcome};

/// Those on their way, each in a place of its own until it has landed. Bounded by the window.
#[derive(Default)]
pub(crate) struct Flights {
    places: Vec<Option<Entry>>,
    /// Places that nobody has.
    free: Vec<usize>,
    basket: Arc<Basket>,
    /// No caller's time is up before this.
    earliest: Option<Instant>,
}

impl Flights {
    /// How many are on their way.
    pub(crate) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An event was sent.
    pub(crate) fn push(&mut self, mut entry: Entry, confirmation: Confirmation) {
        entry.attempts += 1;
        if entry.has_caller() {
            self.earliest =
                Some(self.earliest.map_or(entry.deadline, |earliest| earliest.min(entry.deadline)));
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        if let Some(free) = self.places.get_mut(place) {
            *free = Some(entry);
        }
        confirmation.put_into(&self.basket, place);
    }

    /// Waits until one has landed. Cancel-safe.
    pub(crate) async fn landed(&self) {
        poll_fn(|cx| self.basket.poll_filled(cx)).await;
    }

    /// Those that have landed, in that order; into `landed`, which is empty.
    pub(crate) fn take_landed(&mut self, words: &mut Vec<(usize, Outcome)>) {
        self.basket.exchange(words);
    }

    /// The event that had this place.
    pub(crate) fn leave(&mut self, place: usize) -> Option<Entry> {
        let entry = self.places.get_mut(place)?.take()?;
        self.free.push(place);
        Some(entry)
    }

    /// Tells callers whose time is up; their events are on their way still. Returns when the next one's will be.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<Instant> {
        if self.is_empty() {
            self.earliest = None;
        }
        let earliest = self.earliest?;
        if now < earliest {
            return Some(earliest);
        }
        let mut next = None;
        for entry in self.places.iter_mut().flatten().filter(|entry| entry.has_caller()) {
            if entry.deadline <= now {
                std::mem::replace(&mut entry.done, Done::Nobody).time_is_up(&entry.event);
            } else {
                next = Some(next.map_or(entry.deadline, |next: Instant| next.min(entry.deadline)));
            }
        }
        self.earliest = next;
        next
    }
}
