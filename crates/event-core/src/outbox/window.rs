//! How many events may be on their way at a time: fewer after an early cut-off, more as acknowledgements come.
//!
//! The server measured for the ftrack hub cuts a busy publisher off, and the earlier the more events are in
//! flight: after 25 MB with one at a time, after 1.2 MB with 256. So a cut halves the window, and a link that goes
//! on acknowledging lets it grow back, one place for every [`GROWTH`] acknowledgements.

/// Acknowledgements in a row that add one place.
const GROWTH: u32 = 64;
/// A cut after this many acknowledgements on one connection is no reason to send less.
const LATE: u64 = 16_384;

/// The window of the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    limit: usize,
    max: usize,
    /// Acknowledgements since the window last changed.
    streak: u32,
    /// Acknowledgements on this connection.
    acknowledged: u64,
}

impl Window {
    /// A window that is open up to `max`, at least 1.
    pub(crate) fn new(max: usize) -> Self {
        let max = max.max(1);
        Self { limit: max, max, streak: 0, acknowledged: 0 }
    }

    /// How many events may be in flight.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// The service acknowledged an event.
    pub(crate) fn acknowledged(&mut self) {
        self.acknowledged += 1;
        if self.limit == self.max {
            return;
        }
        self.streak += 1;
        if self.streak >= GROWTH {
            self.streak = 0;
            self.limit += 1;
        }
    }

    /// The connection ended with so many events in flight, and not because this side wanted it.
    pub(crate) fn cut(&mut self, in_flight: usize) {
        if in_flight > 0 && self.acknowledged < LATE {
            self.limit = (self.limit / 2).max(1);
            self.streak = 0;
        }
        self.acknowledged = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_early_cut_halves_the_window_down_to_one() {
        let mut window = Window::new(64);
        let limits: Vec<usize> = (0..8)
            .map(|_| {
                window.cut(window.limit());
                window.limit()
            })
            .collect();
        assert_eq!(limits, [32, 16, 8, 4, 2, 1, 1, 1]);
    }

    #[test]
    fn acknowledgements_let_it_grow_back_to_where_it_was() {
        let mut window = Window::new(8);
        window.cut(8);
        assert_eq!(window.limit(), 4);
        for _ in 0..GROWTH {
            window.acknowledged();
        }
        assert_eq!(window.limit(), 5);
        for _ in 0..100 * GROWTH {
            window.acknowledged();
        }
        assert_eq!(window.limit(), 8);
    }

    #[test]
    fn a_late_cut_and_an_idle_one_change_nothing() {
        let mut window = Window::new(64);
        for _ in 0..LATE {
            window.acknowledged();
        }
        window.cut(64);
        assert_eq!(window.limit(), 64);
        window.cut(0);
        assert_eq!(window.limit(), 64);
        // The count starts anew with each connection.
        window.cut(64);
        assert_eq!(window.limit(), 32);
    }

    #[test]
    fn no_window_is_closed_for_good() {
        assert_eq!(Window::new(0).limit(), 1);
    }
}
