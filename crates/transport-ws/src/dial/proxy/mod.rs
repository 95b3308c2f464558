//! Through a proxy to a server: a stream to the proxy, an exchange with it, and then the stream is the server's.

mod connect;
mod refusal;
mod socks5;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use event_core::network::{Proxy, ProxyScheme};
use event_core::{Error, ErrorKind, Result};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use self::connect::Connect;
use self::refusal::Refusal;
use self::socks5::Socks5;
use super::{Endpoint, OP, tcp};

/// What an exchange wants next.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Send this, and go on reading.
    Send(Vec<u8>),
    /// Read more.
    More,
    /// The stream is the server's from now on.
    Done,
}

/// An exchange with a proxy: bytes in, steps out.
trait Exchange: Send {
    /// What is sent first.
    fn greeting(&self) -> Vec<u8>;

    /// Takes the bytes that came, any number of them.
    fn feed(&mut self, bytes: &[u8]) -> Result<Step, Refusal>;
}

/// Where the proxy is to lead.
#[derive(Debug)]
enum Target<'a> {
    Host(&'a str, u16),
    Address(IpAddr, u16),
}

/// A stream to a server by way of a proxy.
pub(super) async fn dial(proxy: &Proxy, endpoint: &Endpoint) -> Result<TcpStream> {
    let refused = |refusal: Refusal| refusal.into_error(proxy, endpoint);
    let target = target(proxy, endpoint).await?;
    let mut exchange: Box<dyn Exchange> = match proxy.scheme() {
        ProxyScheme::Socks5 | ProxyScheme::Socks5h => {
            Box::new(Socks5::new(&target, proxy.login()).map_err(refused)?)
        }
        _ => Box::new(Connect::new(&target, proxy.login())),
    };
    let mut stream = tcp(proxy.host(), proxy.port()).await.map_err(|cause| {
        let message = format!(
            "cannot reach the proxy {proxy} on the way to {endpoint}: {cause}; check the proxy's address and that it \
             is up"
        );
        Error::new(ErrorKind::Unreachable, OP, message).with_source(cause)
    })?;
    agree(&mut stream, &mut *exchange).await.map_err(refused)?;
    tracing::debug!(%proxy, %endpoint, "the proxy leads to the server");
    Ok(stream)
}

/// With SOCKS5, whoever has the name looked up decides what the proxy is told.
async fn target<'a>(proxy: &Proxy, endpoint: &'a Endpoint) -> Result<Target<'a>> {
    let (host, port) = (endpoint.host(), endpoint.port());
    if let Ok(address) = host.parse() {
        return Ok(Target::Address(address, port));
    }
    if proxy.scheme() != ProxyScheme::Socks5 {
        return Ok(Target::Host(host, port));
    }
    let found = tokio::net::lookup_host((host, port)).await.map(|mut addresses| addresses.next());
    if let Ok(Some(address)) = found {
        return Ok(Target::Address(address.ip(), port));
    }
    let message = format!(
        "{endpoint} has no address here; check the name, or let the proxy look it up (socks5h instead of socks5)"
    );
    let error = Error::new(ErrorKind::Unreachable, OP, message);
    Err(match found {
        Err(cause) => error.with_source(cause),
        Ok(_) => error,
    })
}

/// Carries out the exchange.
async fn agree<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    exchange: &mut dyn Exchange,
) -> Result<(), Refusal> {
    let mut next = exchange.greeting();
    let mut buffer = [0; 1024];
    loop {
        if !next.is_empty() {
            stream.write_all(&next).await.map_err(Refusal::BrokeOff)?;
            stream.flush().await.map_err(Refusal::BrokeOff)?;
        }
        let read = stream.read(&mut buffer).await.map_err(Refusal::BrokeOff)?;
        if read == 0 {
            return Err(Refusal::BrokeOff(std::io::ErrorKind::UnexpectedEof.into()));
        }
        next = match exchange.feed(&buffer[..read])? {
            Step::Send(bytes) => bytes,
            Step::More => Vec::new(),
            Step::Done => return Ok(()),
        };
    }
}
