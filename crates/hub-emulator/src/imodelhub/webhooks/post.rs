//! Posting to a callback: over HTTP on this machine, or as the caller says.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, select};
use http::header::HOST;
use http::{HeaderValue, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

type Post = dyn Fn(Request<Bytes>) -> BoxFuture<'static, StatusCode> + Send + Sync;

/// How callbacks are reached.
#[derive(Clone, Default)]
pub(crate) struct Poster(Option<Arc<Post>>);

impl Poster {
    pub(crate) fn by<Fut>(post: impl Fn(Request<Bytes>) -> Fut + Send + Sync + 'static) -> Self
    where
        Fut: Future<Output = StatusCode> + Send + 'static,
    {
        Self(Some(Arc::new(move |request| post(request).boxed())))
    }

    /// Whether it is the caller's.
    pub(crate) fn is_given(&self) -> bool {
        self.0.is_some()
    }

    /// The status of the answer.
    pub(super) async fn post(&self, request: Request<Bytes>) -> io::Result<StatusCode> {
        match &self.0 {
            Some(post) => Ok(post(request).await),
            None => over_tcp(request).await,
        }
    }
}

/// One connection for each: what is measured here is the receiver.
async fn over_tcp(mut request: Request<Bytes>) -> io::Result<StatusCode> {
    let no_host = || io::Error::other("the callback has no host");
    let stream = TcpStream::connect(place(request.uri()).ok_or_else(no_host)?).await?;
    stream.set_nodelay(true)?;
    let authority = request.uri().authority().map_or("", |authority| authority.as_str());
    let host = HeaderValue::from_str(authority).map_err(io::Error::other)?;
    request.headers_mut().insert(HOST, host);
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).parse();
    *request.uri_mut() = path.map_err(io::Error::other)?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(io::Error::other)?;
    let answer = Box::pin(sender.send_request(request.map(Body::from)));
    match select(answer, Box::pin(connection)).await {
        Either::Left((answer, _)) => Ok(answer.map_err(io::Error::other)?.status()),
        // The answer may have come with the last bytes.
        Either::Right((_, answer)) => Ok(answer.await.map_err(io::Error::other)?.status()),
    }
}

/// Host and port of a callback. Addresses of IPv6 are in brackets there, and not here.
fn place(url: &Uri) -> Option<(&str, u16)> {
    let authority = url.authority()?;
    Some((authority.host().trim_matches(['[', ']']), authority.port_u16().unwrap_or(80)))
}

impl fmt::Debug for Poster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_given() { "Poster(the caller's)" } else { "Poster(TCP)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callback_is_a_name_or_an_address_of_either_kind() {
        for (url, name, port) in [
            ("http://localhost/hook", "localhost", 80),
            ("http://127.0.0.1:9/", "127.0.0.1", 9),
            ("http://[::1]:9/hook?a=b", "::1", 9),
        ] {
            assert_eq!(place(&url.parse().unwrap()), Some((name, port)), "{url}");
        }
        assert_eq!(place(&"/hook".parse().unwrap()), None);
    }
}
