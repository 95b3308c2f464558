//! Where a queue is: its base URL, checked once, and the URLs made from it.

use std::fmt;

use event_core::{Error, ErrorKind, Result};

const OP: &str = "read queue address";

/// The absolute base URL of one queue, up to and including the subscription:
/// `https://ns.servicebus.windows.net/topic/Subscriptions/id`.
///
/// Only characters that need no interpretation are accepted, so that what is checked here and what an HTTP client
/// makes of it cannot differ: no user name, no query, no fragment, no backslash, no `.` or `..` segment.
/// A trailing slash is dropped.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct QueueAddress {
    text: String,
    /// How much of the text is scheme, host and port.
    origin: usize,
}

impl QueueAddress {
    /// Checks an address.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidUrl`], saying what is wrong with it.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim_end_matches('/');
        let refused = |why: &str| {
            let shown: String = text.chars().take(200).collect();
            Err(Error::new(
                ErrorKind::InvalidUrl,
                OP,
                format!(
                    "\"{}\" {why}; give an absolute URL such as https://host/topic/Subscriptions/id",
                    shown.escape_debug()
                ),
            ))
        };
        let Some((scheme, rest)) = split_scheme(text) else {
            return refused("does not begin with https:// or http://");
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if !is_authority(authority) {
            return refused("has no plain host and port");
        }
        if path.is_empty() {
            return refused("names no queue");
        }
        if !is_plain_path(path) {
            return refused("has a path that is not plain; percent-encode what is special in it");
        }
        Ok(Self { text: text.to_owned(), origin: scheme + authority.len() })
    }

    /// The address as text, without a trailing slash.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Scheme, host and port: `https://host:443`.
    pub fn origin(&self) -> &str {
        &self.text[..self.origin]
    }

    /// The path from the first slash on.
    pub fn path(&self) -> &str {
        &self.text[self.origin..]
    }

    /// Whether another origin, such as `HTTPS://Host:443`, is this one.
    pub(crate) fn is_same_origin(&self, other: &str) -> bool {
        normal_origin(self.origin()) == normal_origin(other)
    }
}

/// The length of the scheme with its slashes, and what follows it.
pub(crate) fn split_scheme(text: &str) -> Option<(usize, &str)> {
    ["https://", "http://"].into_iter().find_map(|scheme| {
        let head = text.get(..scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then_some((scheme.len(), text.get(scheme.len()..)?))
    })
}

/// A host name, IPv4 or bracketed IPv6 address, perhaps with a port. No user name.
pub(crate) fn is_authority(text: &str) -> bool {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        match rest.split_once(']') {
            Some((host, port)) if host.parse::<std::net::Ipv6Addr>().is_ok() => (host, port),
            _ => return false,
        }
    } else {
        let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if !host.bytes().all(plain) {
            return false;
        }
        (host, port)
    };
    let port_is_fine = port.is_empty()
        || port.strip_prefix(':').is_some_and(|digits| {
            digits.bytes().all(|digit| digit.is_ascii_digit()) && digits.parse::<u16>().is_ok()
        });
    !host.is_empty() && port_is_fine
}

/// Segments of unreserved characters, sub-delimiters and percent escapes, none of them `.` or `..`.
pub(crate) fn is_plain_path(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    rest.split('/').all(|segment| !segment.is_empty() && !is_dots(segment) && is_plain(segment))
}

/// `.` or `..`, however it is written.
fn is_dots(segment: &str) -> bool {
    let after_dot = |text: &str| {
        let escaped = || text.get(..3).filter(|head| head.eq_ignore_ascii_case("%2e")).map(|_| 3);
        let dot = if text.starts_with('.') { Some(1) } else { escaped() };
        dot.and_then(|length| text.get(length..)).map(str::len)
    };
    let rest = |left: usize| &segment[segment.len() - left..];
    match after_dot(segment) {
        None => false,
        Some(0) => true,
        Some(left) => after_dot(rest(left)) == Some(0),
    }
}

pub(crate) fn is_plain(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let plain = match byte {
            b'%' => {
                let mut hex = || bytes.next().is_some_and(|digit| digit.is_ascii_hexdigit());
                hex() && hex()
            }
            _ => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte),
        };
        if !plain {
            return false;
        }
    }
    true
}

fn normal_origin(origin: &str) -> String {
    let lower = origin.to_ascii_lowercase();
    let default_port = if lower.starts_with("https:") { ":443" } else { ":80" };
    lower.strip_suffix(default_port).map_or_else(|| lower.clone(), str::to_owned)
}

impl fmt::Display for QueueAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for QueueAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QueueAddress({})", self.text)
    }
}
