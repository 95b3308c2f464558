//! The task that writes to one connection when that takes waiting: because the client does not read, the valve is not
//! quite open, or there is TLS or memory between the two. It says the heartbeats, and it ends the connection.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::frame::Frame;
use super::hub::Hub;
use super::link::{Attached, Signals};
use super::outlet::{Outlet, Take};
use crate::net::WriteHalf;

/// How long a client that is put out has to read what is left, and to close its own side.
pub(super) const LINGER: Duration = Duration::from_secs(1);
/// Small frames are gathered up to this size before they are written.
const GATHER: usize = 64 * 1024;

/// See the module.
#[derive(Debug)]
pub(super) struct Writer {
    hub: Arc<Hub>,
    outlet: Arc<Outlet>,
    signals: Signals,
    socket: Option<WriteHalf>,
}

impl Writer {
    pub(super) fn new(attached: &Attached) -> Self {
        let (outlet, signals) = (Arc::clone(&attached.ends.outlet), attached.ends.signals.clone());
        Self { hub: Arc::clone(&attached.hub), outlet, signals, socket: None }
    }

    /// Writes until there is no more to write, the socket fails or the connection is cut.
    pub(super) async fn write(mut self) {
        let Signals { leave, cut, .. } = self.signals.clone();
        let overdue = async {
            leave.cancelled().await;
            sleep(LINGER).await;
        };
        tokio::select! {
            biased;
            () = cut.cancelled() => {}
            () = overdue => {}
            () = self.run() => {}
        }
        let mut socket = self.take_for_good().await;
        // The FIN; with TLS the client is told before.
        let _ = timeout(LINGER, socket.shutdown()).await;
        drop(socket);
        cut.cancel();
    }

    async fn take_for_good(&mut self) -> WriteHalf {
        loop {
            let left = self.outlet.close();
            if let Some(socket) = self.socket.take().or(left) {
                return socket;
            }
            self.outlet.called().await;
        }
    }

    async fn run(&mut self) {
        let period = self.hub.config.heartbeat_interval;
        let mut beat = interval(period);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beat.reset();
        let mut batch = Vec::new();
        let mut buffer = Vec::new();
        loop {
            let beats = tokio::select! {
                biased;
                _ = beat.tick() => true,
                () = std::future::ready(()), if self.socket.is_some() => false,
                () = self.outlet.called() => false,
            };
            if beats {
                self.hub.count(|stats| stats.heartbeats_sent += 1);
                self.outlet.put_first(Frame::text(b"2::"));
            }
            if self.socket.is_none() {
                match self.outlet.take() {
                    Take::Socket(socket) => self.socket = Some(socket),
                    Take::Nothing => continue,
                    Take::End => return,
                }
            }
            if self.write_batch(&mut batch, &mut buffer).await.is_err() {
                return;
            }
        }
    }

    async fn write_batch(&mut self, batch: &mut Vec<Frame>, buffer: &mut Vec<u8>) -> std::io::Result<()> {
        let Some(socket) = &mut self.socket else { return Ok(()) };
        let mut begun = self.outlet.next(batch);
        let mut bytes = 0;
        for frame in batch.drain(..) {
            bytes += frame.len();
            let rest = frame.rest(std::mem::take(&mut begun));
            if buffer.len() + rest.len() > GATHER {
                flush(socket, buffer).await?;
            }
            if rest.len() > GATHER {
                socket.write_all(rest).await?;
            } else {
                buffer.extend_from_slice(rest);
            }
        }
        flush(socket, buffer).await?;
        self.outlet.written(bytes, &mut self.socket);
        Ok(())
    }
}

async fn flush(socket: &mut WriteHalf, buffer: &mut Vec<u8>) -> std::io::Result<()> {
    socket.write_all(buffer).await?;
    buffer.clear();
    Ok(())
}
