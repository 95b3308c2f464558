//! How many deliveries a consumer asks for. Pure.

use std::time::{Duration, Instant};

/// How long a request waits at the server.
pub(super) const EXPIRES: Duration = Duration::from_secs(30);
/// How often the server says that it still knows of a request while there is nothing to deliver.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(2);
/// A request of which nothing is heard for so long is lost.
const SILENCE: Duration = Duration::from_secs(5);
/// How long after its end a request is waited for.
const SURELY: Duration = Duration::from_secs(2);
/// The pause after a request that was refused.
const PAUSE: Duration = Duration::from_millis(500);

/// The window of one consumer.
#[derive(Debug)]
pub(super) struct Window {
    size: usize,
    /// Asked for and not delivered.
    asked: usize,
    /// Delivered and not settled.
    open: usize,
    /// When the last request has surely ended.
    ends: Option<Instant>,
    /// When something was last heard of the requests.
    heard: Option<Instant>,
    /// Nothing is asked for before this.
    paused_until: Option<Instant>,
}

impl Window {
    pub(super) fn new(size: usize) -> Self {
        Self { size, asked: 0, open: 0, ends: None, heard: None, paused_until: None }
    }

    /// How many to ask for now: nothing while half of the window is under way.
    pub(super) fn ask(&mut self, now: Instant) -> Option<usize> {
        if self.ends.is_some_and(|ends| now >= ends) {
            self.asked = 0;
            self.ends = None;
        }
        if self.paused_until.is_some_and(|until| now < until) {
            return None;
        }
        self.paused_until = None;
        let room = self.size.saturating_sub(self.open + self.asked);
        if room == 0 || (self.asked > 0 && self.asked > self.size / 2) {
            return None;
        }
        self.asked += room;
        self.ends = Some(now + EXPIRES + SURELY);
        self.heard.get_or_insert(now);
        Some(room)
    }

    /// A delivery came.
    pub(super) fn delivered(&mut self, now: Instant) {
        self.asked = self.asked.saturating_sub(1);
        self.open += 1;
        self.hear(now);
    }

    /// A sign of life came.
    pub(super) fn alive(&mut self, now: Instant) {
        self.hear(now);
    }

    fn hear(&mut self, now: Instant) {
        self.heard = (self.asked > 0).then_some(now);
    }

    /// One is settled, or its lock is left to lapse.
    pub(super) fn settled(&mut self) {
        self.open = self.open.saturating_sub(1);
    }

    /// A request ended with so many not delivered, where the server says how many.
    pub(super) fn expired(&mut self, undelivered: Option<usize>, now: Instant) {
        self.asked = undelivered.map_or(0, |undelivered| self.asked.saturating_sub(undelivered));
        self.hear(now);
    }

    /// A request was refused for now: all are taken for ended, and the next one waits a little.
    pub(super) fn refused(&mut self, now: Instant) {
        self.asked = 0;
        self.heard = None;
        self.paused_until = Some(now + PAUSE);
    }

    /// Whether the requests are lost: nothing is heard of them any more.
    pub(super) fn is_silent(&self, now: Instant) -> bool {
        self.asked > 0 && self.heard.is_some_and(|heard| now >= heard + SILENCE)
    }

    /// Whether nothing is delivered that is not settled.
    pub(super) fn is_idle(&self) -> bool {
        self.open == 0
    }

    /// When to look again.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        let silence = self.heard.filter(|_| self.asked > 0).map(|heard| heard + SILENCE);
        [silence, self.ends, self.paused_until].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a start; all that counts is what is added to it")]
    fn now() -> Instant {
        Instant::now()
    }

    #[test]
    fn no_more_is_asked_for_than_the_window_holds() {
        let now = now();
        let mut window = Window::new(4);
        assert_eq!(window.ask(now), Some(4));
        assert_eq!(window.ask(now), None);
        for _ in 0..4 {
            window.delivered(now);
        }
        assert_eq!(window.ask(now), None, "four are open");
        window.settled();
        assert_eq!(window.ask(now), Some(1));
    }

    #[test]
    fn requests_that_end_are_made_again() {
        let now = now();
        let mut window = Window::new(10);
        assert_eq!(window.ask(now), Some(10));
        window.delivered(now);
        window.expired(Some(9), now);
        assert_eq!(window.ask(now), Some(9));
        window.expired(None, now);
        assert_eq!(window.ask(now), Some(9));
        let later = now + EXPIRES + SURELY;
        assert_eq!(window.ask(later), Some(9), "the server said nothing, and it must have ended");
        window.refused(later);
        assert_eq!(window.ask(later), None);
        assert_eq!(window.ask(later + PAUSE), Some(9));
    }

    #[test]
    fn silence_is_noticed_only_while_something_is_asked_for() {
        let now = now();
        let mut window = Window::new(2);
        assert!(!window.is_silent(now + SILENCE));
        window.ask(now);
        assert!(!window.is_silent(now + HEARTBEAT) && window.is_silent(now + SILENCE));
        window.alive(now + HEARTBEAT);
        assert!(!window.is_silent(now + SILENCE));
        assert_eq!(window.wake_at(), Some(now + HEARTBEAT + SILENCE));
        window.delivered(now + HEARTBEAT);
        window.delivered(now + HEARTBEAT);
        assert!(!window.is_silent(now + EXPIRES), "nothing is asked for any more");
    }
}
