//! Who writes what the hub has queued: a few connections are written to by the reader whose client caused it, as soon as
//! that client has said all it had to say; many by one task, in rounds. Neither is woken for each connection, and events
//! that come while a round is made are written together by the next one.

use std::sync::Arc;

use tokio::task::yield_now;
use tokio_util::sync::CancellationToken;

use super::frame::Frame;
use super::hub::Hub;
use super::outlet::Outlet;

/// So many connections are written to without the task.
const FEW: usize = 8;
/// Connections written to before others get a turn.
const TURN: usize = 128;

/// Room for a round, to be used again.
#[derive(Debug, Default)]
pub(super) struct Round {
    outlets: Vec<Arc<Outlet>>,
    batch: Vec<Frame>,
}

impl Round {
    /// Writes what waits, if that is for a few; else wakes the task.
    pub(super) fn send_to_few(&mut self, hub: &Hub) {
        if !hub.take_few(FEW, &mut self.outlets) {
            return hub.rounds.notify_one();
        }
        // Last what came first: the acknowledgement, for which nobody waits as for what the event brings about.
        for outlet in self.outlets.drain(..).rev() {
            outlet.send(&mut self.batch);
        }
    }

    async fn send(&mut self) {
        let mut turn = 0;
        for outlet in self.outlets.drain(..) {
            outlet.send(&mut self.batch);
            turn += 1;
            if turn == TURN {
                turn = 0;
                yield_now().await;
            }
        }
    }
}

/// Makes rounds when there is something to send, until it is stopped.
pub(super) async fn run(hub: Arc<Hub>, stop: CancellationToken) {
    let mut round = Round::default();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = hub.rounds.notified() => {}
        }
        while hub.take_all(&mut round.outlets) {
            round.send().await;
        }
    }
}
