//! What happens to the bytes of a stream. The stream looks here at every read and write; others turn it.

use std::task::Waker;
use std::time::Duration;

use parking_lot::Mutex;

/// How a stream stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It flows.
    #[default]
    Open,
    /// Nothing goes out, what comes in is thrown away, and the end of it is not told to the client.
    Silent,
    /// As [`Fate::Silent`], and nothing is read either: the client's words pile up.
    HalfOpen,
    /// It ends with a FIN.
    Fin,
    /// It ends with a reset.
    Reset,
}

/// A limit on a direction: so many bytes at once, and then a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) bytes: usize,
    pub(crate) pause: Duration,
}

/// Shared by a stream and those who spoil it.
#[derive(Debug, Default)]
pub(crate) struct Valve(Mutex<Flow>);

#[derive(Clone, Debug, Default)]
struct Flow {
    fate: Fate,
    reads: Option<Rate>,
    writes: Option<Rate>,
    /// Those who wait for something that a turn of the valve may change.
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Valve {
    pub(crate) fn fate(&self) -> Fate {
        self.0.lock().fate
    }

    /// Decides how the stream ends. The first decision stands.
    pub(crate) fn turn(&self, fate: Fate) {
        let wakers = {
            let mut flow = self.0.lock();
            if flow.fate == Fate::Open {
                flow.fate = fate;
            }
            [flow.reader.take(), flow.writer.take()]
        };
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    pub(crate) fn limit_reads(&self, rate: Rate) {
        self.0.lock().reads = Some(rate);
    }

    pub(crate) fn limit_writes(&self, rate: Rate) {
        self.0.lock().writes = Some(rate);
    }

    /// For one read: how the stream stands, and what is allowed. The waker is called when that changes.
    pub(super) fn reading(&self, waker: &Waker) -> (Fate, Option<Rate>) {
        let mut flow = self.0.lock();
        keep(&mut flow.reader, waker);
        (flow.fate, flow.reads)
    }

    /// The same for one write.
    pub(super) fn writing(&self, waker: &Waker) -> (Fate, Option<Rate>) {
        let mut flow = self.0.lock();
        keep(&mut flow.writer, waker);
        (flow.fate, flow.writes)
    }

    /// Whether bytes go out as they come.
    pub(super) fn lets_writes_through(&self) -> bool {
        let flow = self.0.lock();
        flow.fate == Fate::Open && flow.writes.is_none()
    }
}

fn keep(slot: &mut Option<Waker>, waker: &Waker) {
    if slot.as_ref().is_none_or(|kept| !kept.will_wake(waker)) {
        *slot = Some(waker.clone());
    }
}
