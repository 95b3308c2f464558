//! Where servers are: addresses without the credentials that may stand in them.

use std::fmt;

use async_nats::ServerAddr;
use event_core::{Error, ErrorKind, Result};

use crate::credentials::Credentials;

/// One server. Neither `Debug` nor `Display` shows who connects.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) server: ServerAddr,
    pub(crate) tls: bool,
}

impl Address {
    /// Reads `nats://host:port`, `tls://host:port` or `host:port`; what stands before an `@` is taken out.
    pub(crate) fn parse(text: &str) -> Result<(Self, Option<Credentials>)> {
        let invalid = |why: &str| {
            // The text itself may hold a password.
            let message = format!(
                "an address of a server cannot be used: {why}; write nats://host:4222 or tls://host:4222"
            );
            Error::new(ErrorKind::InvalidUrl, "build transport", message)
        };
        let server: ServerAddr = text.trim().parse().map_err(|_| invalid("it does not parse"))?;
        if server.is_websocket() {
            return Err(invalid("NATS over websockets is not built in"));
        }
        if server.host().is_empty() {
            return Err(invalid("there is no host in it"));
        }
        let tls = server.tls_required();
        let credentials = match (server.username(), server.password()) {
            (Some(user), Some(password)) => {
                Some(Credentials::user_password(decoded(user), decoded(password)))
            }
            (Some(token), None) => Some(Credentials::Token(decoded(token).into())),
            _ => None,
        };
        let mut url = server.into_inner();
        let cleared = url.set_username("").and_then(|()| url.set_password(None));
        cleared.map_err(|()| invalid("there is no host in it"))?;
        if url.port().is_none() {
            url.set_port(Some(4222)).map_err(|()| invalid("its port cannot be set"))?;
        }
        let server = ServerAddr::from_url(url).map_err(|_| invalid("it does not parse"))?;
        Ok((Self { server, tls }, credentials))
    }
}

/// A part of a URL with its `%` escapes read.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escaped = text.get(at + 1..at + 3).filter(|_| *byte == b'%');
        if let Some(value) = escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            out.push(value);
            at += 3;
        } else {
            out.push(*byte);
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.server.host();
        let port = self.server.port();
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{self}", if self.tls { "tls://" } else { "nats://" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_what_is_secret_in_them_is_taken_out() {
        let (plain, none) = Address::parse("127.0.0.1").unwrap();
        assert_eq!((plain.to_string().as_str(), none.is_none(), plain.tls), ("127.0.0.1:4222", true, false));
        let (tls, credentials) = Address::parse("tls://ann:p%40ss-4711@nats.example.com:4443").unwrap();
        assert_eq!(format!("{tls:?}"), "tls://nats.example.com:4443");
        assert!(!tls.server.as_url_str().contains("4711"));
        let Some(Credentials::UserPassword { user, password }) = credentials else { panic!("no user") };
        assert_eq!((user.as_str(), password.expose()), ("ann", "p@ss-4711"));
        let (_, token) = Address::parse("nats://t-4711@[::1]:4222").unwrap();
        assert!(matches!(token, Some(Credentials::Token(token)) if token.expose() == "t-4711"));
    }

    #[test]
    fn an_address_that_cannot_be_used_says_so_without_its_password() {
        for text in ["", "http://a", "ws://a:1", "nats://ann:p-4711@", "nats://ann:p-4711@a:99999", "nats://"]
        {
            let error = Address::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidUrl, "{text}");
            assert!(!format!("{error:?}").contains("4711"), "{error:?}");
        }
    }
}
