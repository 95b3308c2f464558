//! Large reads while much comes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::BoxedIo;

/// So much is read at once.
const SOME: usize = 16 * 1024;
/// So much while much comes.
const MUCH: usize = 64 * 1024;
/// After so many reads in a row that brought less than [`SOME`], no more is asked for.
const QUIET: u8 = 64;

/// Reads ahead of its reader, and farther ahead while much comes. The websocket library asks for what is missing of the next
/// frame, hardly more, and fills its buffer with zeros before each read: events that come by the hundred would take a
/// call of the system each.
pub(crate) struct ReadAhead {
    inner: BoxedIo,
    /// Made with the first read.
    buffer: Box<[u8]>,
    /// What of the buffer the reader has not had.
    begin: usize,
    end: usize,
    /// What the last read said that brought nothing: the end, or a failure.
    ended: Option<io::Result<()>>,
    /// Small reads in a row.
    small: u8,
    /// Bytes that came since the beginning.
    came: u64,
}

impl ReadAhead {
    pub(crate) fn new(inner: BoxedIo) -> Self {
        Self { inner, buffer: Box::default(), begin: 0, end: 0, ended: None, small: 0, came: 0 }
    }

    /// How many bytes have come since the beginning: a long message in arrival is a sign of life, too.
    pub(crate) fn bytes_come(&self) -> u64 {
        self.came
    }

    /// Ready when a read would be: there are bytes, the end, or a failure. To ask is much cheaper than to have the
    /// websocket library read nothing.
    pub(crate) fn poll_some(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.begin == self.end && self.ended.is_none() {
            let filled = ready!(self.poll_fill(cx));
            self.ended = Some(filled).filter(|filled| filled.is_err() || self.begin == self.end);
        }
        Poll::Ready(())
    }

    /// As much as is worth having now.
    fn resize(&mut self) {
        let wanted = match self.buffer.len() {
            0 => SOME,
            SOME if self.end == SOME => MUCH,
            MUCH if self.small >= QUIET => SOME,
            _ => return,
        };
        self.buffer = vec![0; wanted].into();
    }

    /// Reads into the buffer, which is empty.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.resize();
        let mut buf = ReadBuf::new(&mut self.buffer);
        ready!(Pin::new(&mut self.inner).poll_read(cx, &mut buf))?;
        (self.begin, self.end) = (0, buf.filled().len());
        self.came += self.end as u64;
        self.small = if self.end < SOME { self.small.saturating_add(1) } else { 0 };
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for ReadAhead {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.begin == self.end {
            if let Some(ended) = self.ended.take() {
                return Poll::Ready(ended);
            }
            ready!(self.poll_fill(cx))?;
        }
        let waiting = &self.buffer[self.begin..self.end];
        let part = &waiting[..waiting.len().min(buf.remaining())];
        buf.put_slice(part);
        self.begin += part.len();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ReadAhead {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::future::poll_fn;
    use std::sync::Arc;

    use futures_util::FutureExt;
    use parking_lot::Mutex;
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Gives pieces of a count of bytes, and notes how much could have been given.
    #[derive(Default)]
    struct Pieces {
        left: VecDeque<usize>,
        next: u8,
        /// How it ends, if not well.
        failure: Option<io::ErrorKind>,
        asked: Arc<Mutex<Vec<usize>>>,
    }

    impl AsyncRead for Pieces {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            self.asked.lock().push(buf.remaining());
            let failure = self.failure;
            let Some(piece) = self.left.front_mut() else {
                return Poll::Ready(failure.map_or(Ok(()), |kind| Err(kind.into())));
            };
            let given = (*piece).min(buf.remaining());
            *piece -= given;
            if *piece == 0 {
                self.left.pop_front();
            }
            for _ in 0..given {
                buf.put_slice(&[self.next]);
                self.next = self.next.wrapping_add(1);
            }
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Pieces {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Reads pieces with a buffer of so many bytes; says how much each read below asked for.
    async fn read(pieces: &[usize], room: usize) -> Vec<usize> {
        let asked = Arc::new(Mutex::default());
        let left = pieces.iter().copied().filter(|piece| *piece > 0).collect();
        let mut ahead =
            ReadAhead::new(Box::new(Pieces { left, asked: Arc::clone(&asked), ..Pieces::default() }));
        let (mut buf, mut seen) = (vec![0; room], 0_usize);
        loop {
            let count = ahead.read(&mut buf).await.unwrap();
            if count == 0 {
                break;
            }
            for byte in &buf[..count] {
                assert_eq!(usize::from(*byte), seen % 256, "byte {seen}");
                seen += 1;
            }
        }
        assert_eq!(seen, pieces.iter().sum::<usize>());
        assert_eq!(ahead.bytes_come(), seen as u64);
        std::mem::take(&mut *asked.lock())
    }

    #[tokio::test]
    async fn more_is_asked_for_while_much_comes() {
        assert_eq!(read(&[50; 3], 100).await, [SOME; 4]);
        let asked = read(&[[100_000].as_slice(), &[50; 100]].concat(), 1_000).await;
        assert_eq!(asked[..3], [SOME, MUCH, MUCH]);
        assert_eq!(asked.iter().filter(|asked| **asked == MUCH).count(), 2 + usize::from(QUIET));
        assert_eq!(asked.last(), Some(&SOME));
    }

    #[tokio::test]
    async fn whoever_asks_first_whether_there_is_anything_reads_the_same() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut ahead = ReadAhead::new(Box::new(ours));
        let mut buf = [0; 2];
        assert!(poll_fn(|cx| ahead.poll_some(cx)).now_or_never().is_none());
        theirs.write_all(b"abc").await.unwrap();
        for expected in [&b"ab"[..], b"c"] {
            poll_fn(|cx| ahead.poll_some(cx)).await;
            let count = ahead.read(&mut buf).await.unwrap();
            assert_eq!(&buf[..count], expected);
        }
        assert!(poll_fn(|cx| ahead.poll_some(cx)).now_or_never().is_none());
        drop(theirs);
        for _ in 0..2 {
            poll_fn(|cx| ahead.poll_some(cx)).await;
            assert_eq!(ahead.read(&mut buf).await.unwrap(), 0);
        }
    }

    #[tokio::test]
    async fn a_failure_that_is_asked_for_is_told_to_the_reader() {
        let broken = Pieces { failure: Some(io::ErrorKind::ConnectionReset), ..Pieces::default() };
        let mut ahead = ReadAhead::new(Box::new(broken));
        poll_fn(|cx| ahead.poll_some(cx)).await;
        let error = ahead.read(&mut [0; 2]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    proptest! {
        #[test]
        fn every_byte_comes_once_and_in_order(
            pieces in prop::collection::vec(prop_oneof![0..200_usize, 0..90_000_usize], 0..6),
            room in 1_usize..40_000,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(read(&pieces, room));
        }
    }
}
