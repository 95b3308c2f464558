//! A stream that adds header lines to the first request written to it. Whoever writes the request does not know them, and
//! so cannot log them: tungstenite logs the whole request of an upgrade at TRACE.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::BoxedIo;

pub(crate) struct Unlogged {
    inner: BoxedIo,
    adding: Adding,
}

enum Adding {
    /// These lines come after the request line.
    Waiting(Vec<u8>),
    /// The request line and those lines, how many of their bytes are written, and how many of them are the writer's.
    Writing {
        bytes: Vec<u8>,
        written: usize,
        theirs: usize,
    },
    Done,
}

impl Unlogged {
    pub(crate) fn new(inner: BoxedIo, headers: &HeaderMap) -> Self {
        let mut lines = Vec::new();
        for (name, value) in headers {
            lines.extend_from_slice(name.as_str().as_bytes());
            lines.extend_from_slice(b": ");
            lines.extend_from_slice(value.as_bytes());
            lines.extend_from_slice(b"\r\n");
        }
        let adding = if lines.is_empty() { Adding::Done } else { Adding::Waiting(lines) };
        Self { inner, adding }
    }
}

impl AsyncWrite for Unlogged {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        let this = self.get_mut();
        if let Adding::Waiting(lines) = &this.adding
            && let Some(end) = buf.windows(2).position(|pair| pair == b"\r\n")
        {
            let theirs = end + 2;
            let bytes = [&buf[..theirs], lines].concat();
            this.adding = Adding::Writing { bytes, written: 0, theirs };
        }
        if let Adding::Writing { bytes, written, theirs } = &mut this.adding {
            while *written < bytes.len() {
                match ready!(Pin::new(&mut this.inner).poll_write(cx, &bytes[*written..]))? {
                    0 => return Poll::Ready(Ok(0)),
                    count => *written += count,
                }
            }
            let theirs = *theirs;
            this.adding = Adding::Done;
            return Poll::Ready(Ok(theirs));
        }
        Pin::new(&mut this.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl AsyncRead for Unlogged {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

#[cfg(test)]
mod tests {
    use http::header::{COOKIE, HeaderValue};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn written(pipe: usize, headers: &HeaderMap, parts: &[&str]) -> String {
        let (ours, mut theirs) = tokio::io::duplex(pipe);
        let mut stream = Unlogged::new(Box::new(ours), headers);
        let writing = async {
            for part in parts {
                stream.write_all(part.as_bytes()).await.unwrap();
            }
            stream.shutdown().await.unwrap();
        };
        let mut text = String::new();
        let (read, ()) = tokio::join!(theirs.read_to_string(&mut text), writing);
        read.unwrap();
        text
    }

    fn cookies() -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1"));
        headers.append(COOKIE, HeaderValue::from_static("b=2"));
        headers
    }

    #[tokio::test]
    async fn the_lines_come_once_after_the_first_line_however_it_is_written() {
        let expected = "GET / HTTP/1.1\r\ncookie: a=1\r\ncookie: b=2\r\nHost: h\r\n\r\nbytes\r\nmore";
        let whole = ["GET / HTTP/1.1\r\nHost: h\r\n\r\n", "bytes\r\nmore"];
        for pipe in [1, 7, 1024] {
            assert_eq!(written(pipe, &cookies(), &whole).await, expected, "{pipe} bytes at a time");
            let split = ["GET / HT", "TP/1.1\r\nHost: h\r\n\r\nby", "tes\r\nmore"];
            assert_eq!(written(pipe, &cookies(), &split).await, expected, "{pipe} bytes at a time");
        }
    }

    #[tokio::test]
    async fn without_lines_nothing_is_added() {
        let text = "GET / HTTP/1.1\r\n\r\n";
        assert_eq!(written(3, &HeaderMap::new(), &[text]).await, text);
    }
}
