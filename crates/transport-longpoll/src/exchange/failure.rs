//! Errors of reqwest in our words: what failed, and who is to blame, the server or the proxy on the way.

use std::error::Error as _;
use std::fmt::Write as _;

use event_core::network::{Proxy, ProxyScheme};

use super::{ExchangeError, ExchangeErrorKind as Kind, tls};

/// What hyper's connectors say of a proxy's refusal; their errors have no types that are visible here.
const LOGIN: [&str; 4] = [
    "proxy authorization required",
    "credentials not accepted",
    "does not support user/pass authentication",
    "implements authentication incorrectly",
];
const NOT_ALLOWED: &str = "connection not allowed";
const UNDERLYING: &str = "failed to create underlying connection";

/// An error of reqwest in our words. Its URL is left out; the causes say what happened.
pub(super) fn failed(error: reqwest::Error, proxy: Option<&Proxy>, https: bool) -> ExchangeError {
    let error = error.without_url();
    let (mut words, mut last) = (String::new(), String::new());
    let mut next = error.source();
    while let Some(source) = next {
        last = source.to_string();
        _ = writeln!(words, "{last}");
        next = source.source();
    }
    if error.is_connect()
        && let Some(proxy) = proxy
        && let Some((kind, message)) = blamed(proxy, https, error.is_timeout(), &words, &last)
    {
        return ExchangeError::new(kind, message).with_source(error);
    }
    if error.is_connect()
        && let Some(fault) = tls::fault(&error, &words)
    {
        let message = format!("no TLS connection: {fault} ({last}); {}", fault.advice());
        return ExchangeError::new(Kind::Tls, message).with_source(fault);
    }
    let (kind, what) = if error.is_builder() {
        (Kind::InvalidRequest, "the request cannot be sent as it is")
    } else if error.is_timeout() && error.is_connect() {
        (Kind::Connect, "no connection in time")
    } else if error.is_timeout() {
        (Kind::Timeout, "no answer in time")
    } else if error.is_connect() && tls::is_refusal(&error) {
        (Kind::Tls, "no TLS connection; check the server's certificate")
    } else if error.is_connect() {
        (Kind::Connect, "no connection")
    } else if words.lines().any(|line| line.starts_with("invalid HTTP")) {
        (Kind::Protocol, "what came is not HTTP")
    } else {
        (Kind::Broken, "the connection broke off")
    };
    let message = if last.is_empty() { what.to_owned() } else { format!("{what}: {last}") };
    ExchangeError::new(kind, message).with_source(error)
}

/// What a proxy did, if it was the proxy.
fn blamed(proxy: &Proxy, https: bool, late: bool, words: &str, last: &str) -> Option<(Kind, String)> {
    let forwards = proxy.scheme() == ProxyScheme::Http && !https;
    if LOGIN.iter().any(|said| words.contains(said)) {
        return Some((Kind::ProxyUnauthenticated, login(proxy)));
    }
    if words.contains(NOT_ALLOWED) {
        let message = format!("the proxy {proxy} does not allow this server; ask whoever runs it");
        return Some((Kind::ProxyRefused, message));
    }
    if late {
        return Some((Kind::Connect, format!("no connection by way of the proxy {proxy} in time")));
    }
    // A request to be forwarded needs no connection but the one to the proxy.
    if forwards || words.contains(UNDERLYING) {
        let message = format!("cannot reach the proxy {proxy}: {last}; check its address and that it is up");
        return Some((Kind::Connect, message));
    }
    let at_work =
        words.contains("tunnel error") || words.contains("SOCKS error") || words.contains("socks proxy");
    at_work.then(|| (Kind::Connect, format!("the proxy {proxy} does not lead to the server: {last}")))
}

/// A proxy wants credentials, or others.
pub(super) fn wants_login(proxy: Option<&Proxy>) -> ExchangeError {
    let message = match proxy {
        Some(proxy) => login(proxy),
        None => {
            "a proxy on the way wants credentials (HTTP 407); set the proxy and its credentials".to_owned()
        }
    };
    ExchangeError::new(Kind::ProxyUnauthenticated, message)
}

fn login(proxy: &Proxy) -> String {
    let which = if proxy.login().is_some() { "the credentials were refused" } else { "it wants credentials" };
    format!("the proxy {proxy}: {which}; check user and password in the proxy's address")
}
