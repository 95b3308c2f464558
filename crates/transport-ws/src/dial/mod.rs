//! Reaching the server: a seam between the websocket and whatever carries its bytes.
//!
//! [`TcpDialer`] dials TCP, by way of a proxy where one is set, with TLS where the endpoint asks for it. A test hands
//! out the end of an in-memory pipe instead.

mod ahead;
mod head;
mod proxy;
mod tls;
mod unlogged;

use std::fmt;

use async_trait::async_trait;
use event_core::network::ProxySetting;
use event_core::{Error, ErrorKind, Result};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

pub(crate) use ahead::ReadAhead;
pub(crate) use head::HeadFirst;
pub use tls::{Tls, TlsBackend};
pub(crate) use unlogged::Unlogged;

const OP: &str = "connect";

/// A server: host, port, and whether TLS is spoken with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    host: String,
    port: u16,
    tls: bool,
}

impl Endpoint {
    /// A server at `host` (a name, an IPv4 address, or an IPv6 address without brackets) and `port`.
    pub fn new(host: impl Into<String>, port: u16, tls: bool) -> Self {
        Self { host: host.into(), port, tls }
    }

    /// The host, an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether TLS is spoken.
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// Host and port as a `Host` header has them: no port where it is the scheme's own.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == if self.tls { 443 } else { 80 } { host } else { format!("{host}:{}", self.port) }
    }
}

impl fmt::Display for Endpoint {
    /// `https://host:port`, for messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.tls { "https" } else { "http" }, self.authority())
    }
}

/// A stream of bytes in both directions.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A boxed [`Io`].
pub type BoxedIo = Box<dyn Io>;

/// Opens streams to a server.
#[async_trait]
pub trait Dialer: Send + Sync + 'static {
    /// Opens one stream, TLS included where the endpoint asks for it. Called twice per connection: for the
    /// handshake and for the websocket.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unreachable`] or [`ErrorKind::Tls`]; by way of a proxy also
    /// [`ErrorKind::ProxyUnauthenticated`], [`ErrorKind::PermissionDenied`], [`ErrorKind::Refused`] and
    /// [`ErrorKind::Protocol`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons the attempt.
    async fn dial(&self, endpoint: &Endpoint) -> Result<BoxedIo>;
}

/// Dials TCP, directly or by way of a proxy, with TLS on top: a proxy carries the encrypted bytes, and the certificate
/// is the server's.
///
/// The default takes proxies from the environment as it is when the dialer is made; see [`ProxySetting`].
#[derive(Clone, Debug, Default)]
pub struct TcpDialer {
    tls: Tls,
    proxy: ProxySetting,
}

impl TcpDialer {
    /// A dialer with these TLS settings, and proxies of the environment.
    pub fn new(tls: Tls) -> Self {
        Self { tls, proxy: ProxySetting::environment() }
    }

    /// Which proxy leads to a server. Default: what the environment says.
    pub fn proxy(mut self, setting: impl Into<ProxySetting>) -> Self {
        self.proxy = setting.into();
        self
    }
}

#[async_trait]
impl Dialer for TcpDialer {
    async fn dial(&self, endpoint: &Endpoint) -> Result<BoxedIo> {
        let stream = match self.proxy.choose(endpoint.host(), endpoint.port(), endpoint.tls())? {
            Some(proxy) => proxy::dial(proxy, endpoint).await?,
            None => tcp(endpoint.host(), endpoint.port()).await.map_err(|cause| {
                let message =
                    format!("cannot reach {endpoint}: {cause}; check the address and that the server is up");
                Error::new(ErrorKind::Unreachable, OP, message).with_source(cause)
            })?,
        };
        if endpoint.tls() { self.tls.wrap(endpoint, stream).await } else { Ok(Box::new(stream)) }
    }
}

async fn tcp(host: &str, port: u16) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    // Events are small and wait for answers.
    if let Err(cause) = stream.set_nodelay(true) {
        tracing::debug!(%cause, "cannot set TCP_NODELAY");
    }
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_leaves_out_the_schemes_own_port_and_brackets_ipv6() {
        for (endpoint, authority) in [
            (Endpoint::new("h", 443, true), "h"),
            (Endpoint::new("h", 80, true), "h:80"),
            (Endpoint::new("h", 80, false), "h"),
            (Endpoint::new("::1", 7010, false), "[::1]:7010"),
        ] {
            assert_eq!(endpoint.authority(), authority);
        }
    }
}
