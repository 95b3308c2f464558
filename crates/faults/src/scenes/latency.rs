//! A network on which everything takes its time, in order, in both directions.

use std::collections::VecDeque;
use std::time::Duration;

use async_trait::async_trait;
use ftrack_hub::dial::{BoxedIo, Dialer, Endpoint};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex, split};
use tokio::time::Instant;

use super::stage;

/// As many bytes are read at once, and may be on their way unread.
const PIECE: usize = 1_024;
const BUFFER: usize = 64 * 1_024;

/// Dials by another dialer, and delays what goes over its streams. A reset arrives as late as everything else, as an
/// end.
pub(super) struct Latent<D> {
    inner: D,
    latency: Duration,
}

impl<D> Latent<D> {
    pub(super) fn new(inner: D, latency: Duration) -> Self {
        Self { inner, latency }
    }
}

#[async_trait]
impl<D: Dialer> Dialer for Latent<D> {
    async fn dial(&self, endpoint: &Endpoint) -> event_core::Result<BoxedIo> {
        let far = self.inner.dial(endpoint).await?;
        let (near, middle) = duplex(BUFFER);
        let (far_reads, far_writes) = split(far);
        let (near_reads, near_writes) = split(middle);
        tokio::spawn(carry(far_reads, near_writes, self.latency));
        tokio::spawn(carry(near_reads, far_writes, self.latency));
        Ok(Box::new(near))
    }
}

/// Carries bytes from one end to the other until either is closed.
async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, latency: Duration) {
    let mut on_the_way: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    let mut piece = vec![0; PIECE];
    let mut open = true;
    while open || !on_the_way.is_empty() {
        let due = on_the_way.front().map(|(due, _)| *due);
        let arrival = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = arrival => {
                let Some((_, bytes)) = on_the_way.pop_front() else { continue };
                if to.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            read = from.read(&mut piece), if open => match read {
                Ok(length) if length > 0 => {
                    on_the_way.push_back((stage::now() + latency, piece[..length].to_vec()));
                }
                _ => {
                    open = false;
                    // The end is on its way, too.
                    on_the_way.push_back((stage::now() + latency, Vec::new()));
                }
            },
        }
    }
    let _ = to.shutdown().await;
}
