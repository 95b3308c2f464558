//! Which subjects a link is subscribed to, so that each event comes once however many subscriptions want it. Pure, but for
//! the sources it stops.
//!
//! Filters lie within each other or are apart, so the widest ones cover all. A narrower one is stopped when the server has
//! confirmed the wider one, never before: for that moment an event may come on both.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::source::Stop;
use crate::filter::{covers, widest};

/// What is subscribed to.
#[derive(Default)]
pub(super) struct Covers(BTreeMap<String, Cover>);

struct Cover {
    stop: Arc<Stop>,
    /// The server has handled what was sent before an echo with a larger number.
    number: u64,
    confirmed: bool,
}

impl Covers {
    /// The filters that are missing for these.
    pub(super) fn missing<'f>(&self, wanted: impl Iterator<Item = &'f String>) -> Vec<String> {
        let mut missing = widest(wanted.cloned());
        missing.retain(|filter| !self.0.contains_key(filter));
        missing
    }

    pub(super) fn add(&mut self, filter: String, number: u64) -> Arc<Stop> {
        let stop = Arc::new(Stop::default());
        self.0.insert(filter, Cover { stop: Arc::clone(&stop), number, confirmed: false });
        stop
    }

    /// An echo came back.
    pub(super) fn confirm(&mut self, echo: u64) {
        for cover in self.0.values_mut() {
            cover.confirmed |= cover.number < echo;
        }
    }

    /// The server refused one.
    pub(super) fn refuse(&mut self, filter: &str) {
        if let Some(cover) = self.0.remove(filter) {
            cover.stop.ask();
        }
    }

    /// Stops what these do not need, as far as what they need instead is confirmed.
    pub(super) fn prune<'f>(&mut self, wanted: impl Iterator<Item = &'f String>) -> Vec<Arc<Stop>> {
        let wanted = widest(wanted.cloned());
        let confirmed = |filter: &str| self.0.get(filter).is_some_and(|cover| cover.confirmed);
        let unneeded = self.0.keys().filter(|filter| {
            let related = |other: &&String| covers(other, filter) || covers(filter, other);
            !wanted.contains(filter) && wanted.iter().filter(related).all(|other| confirmed(other))
        });
        let unneeded: Vec<String> = unneeded.cloned().collect();
        let stopped = unneeded.iter().filter_map(|filter| self.0.remove(filter));
        stopped.map(|cover| cover.stop).inspect(|stop| stop.ask()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    fn held(covers: &Covers) -> Vec<&str> {
        covers.0.keys().map(String::as_str).collect()
    }

    #[test]
    fn a_wider_filter_takes_over_when_it_is_confirmed() {
        let mut covers = Covers::default();
        let narrow = texts(&["e.a.b"]);
        assert_eq!(covers.missing(narrow.iter()), ["e.a.b"]);
        covers.add("e.a.b".to_owned(), 1);
        covers.confirm(2);
        let both = texts(&["e.a.b", "e.a.>"]);
        assert_eq!(covers.missing(both.iter()), ["e.a.>"]);
        covers.add("e.a.>".to_owned(), 3);
        assert!(covers.prune(both.iter()).is_empty(), "not yet confirmed");
        covers.confirm(4);
        assert_eq!(covers.prune(both.iter()).len(), 1);
        assert_eq!(held(&covers), ["e.a.>"]);
        // And back again.
        assert_eq!(covers.missing(narrow.iter()), ["e.a.b"]);
        covers.add("e.a.b".to_owned(), 5);
        assert!(covers.prune(narrow.iter()).is_empty(), "not yet confirmed");
        covers.confirm(6);
        assert_eq!(covers.prune(narrow.iter()).len(), 1);
        assert_eq!(held(&covers), ["e.a.b"]);
        assert_eq!(covers.prune([].iter()).len(), 1);
    }

    #[test]
    fn an_echo_from_before_confirms_nothing() {
        let mut covers = Covers::default();
        covers.add("e.a".to_owned(), 7);
        covers.add("e.>".to_owned(), 9);
        covers.confirm(8);
        let all = texts(&["e.a", "e.>"]);
        assert!(covers.prune(all.iter()).is_empty());
        covers.refuse("e.>");
        assert_eq!(held(&covers), ["e.a"]);
    }
}
