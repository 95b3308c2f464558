//! The address of a proxy.

use std::fmt;
use std::str::FromStr;

use crate::{Error, ErrorKind, Result, Secret};

const OP: &str = "read proxy address";
/// As much fits into the messages of SOCKS5.
const LONGEST_CREDENTIAL: usize = 255;

/// What is spoken with a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProxyScheme {
    /// HTTP/1.1, `CONNECT` where a tunnel is needed. The proxy looks the server's name up.
    Http,
    /// SOCKS5; this machine looks the server's name up.
    Socks5,
    /// SOCKS5; the proxy looks the server's name up.
    Socks5h,
}

/// A proxy: what is spoken with it, where it is, and who to say one is.
///
/// `Display` and `Debug` leave user and password out.
///
/// ```
/// use event_core::network::{Proxy, ProxyScheme};
///
/// let proxy: Proxy = "http://jane:not-shown@proxy.studio.example:3128".parse()?;
/// assert_eq!((proxy.scheme(), proxy.host(), proxy.port()), (ProxyScheme::Http, "proxy.studio.example", 3128));
/// assert_eq!(proxy.to_string(), "http://proxy.studio.example:3128");
/// assert!(!format!("{proxy:?}").contains("not-shown"));
///
/// let proxy = Proxy::parse("socks5h://127.0.0.1")?.credentials("jane", "secret")?;
/// assert_eq!(proxy.port(), 1080);
/// # Ok::<(), event_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Proxy {
    scheme: ProxyScheme,
    host: String,
    port: u16,
    credentials: Option<(Secret, Secret)>,
}

impl Proxy {
    /// Reads an address: `http://`, `socks5://` or `socks5h://`, then `user:password@` (percent-encoded where they
    /// have special characters) or nothing, host, and port. Without a scheme it is HTTP. The port defaults to 80 for
    /// HTTP and to 1080 for SOCKS5. A slash at the end is ignored.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidUrl`] with what is wrong. The address is not shown, as it may hold a password.
    pub fn parse(address: &str) -> Result<Self> {
        let address = address.trim();
        let (scheme, rest) = match address.split_once("://") {
            Some((scheme, rest)) => (scheme_of(scheme)?, rest),
            None => (ProxyScheme::Http, address),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, rest),
        };
        if place.contains(['/', '?', '#']) {
            return Err(invalid("it has a path, a query or a fragment"));
        }
        let (host, port) = split(place).ok_or_else(|| invalid("its port is not a number from 1 to 65535"))?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
        if host.is_empty() || !host.chars().all(plain) {
            return Err(invalid("its host is missing, or not written in ASCII"));
        }
        let default = if scheme == ProxyScheme::Http { 80 } else { 1080 };
        let proxy = Self { scheme, host: host.to_owned(), port: port.unwrap_or(default), credentials: None };
        let Some(login) = login else { return Ok(proxy) };
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let decoded = |text| decode(text).ok_or_else(|| invalid("its user or password is not UTF-8"));
        proxy.credentials(decoded(user)?, decoded(password)?)
    }

    /// The same proxy, to which one is this user.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidCredentials`] for a user that is empty, longer than 255 bytes, or has a colon for an HTTP
    /// proxy; and for a password longer than 255 bytes, or empty for SOCKS5. They are not shown.
    pub fn credentials(mut self, user: impl Into<Secret>, password: impl Into<Secret>) -> Result<Self> {
        let (user, password) = (user.into(), password.into());
        let http = self.scheme == ProxyScheme::Http;
        let wrong = if user.is_empty() {
            "the user is empty"
        } else if user.expose().len().max(password.expose().len()) > LONGEST_CREDENTIAL {
            "user or password has more than 255 bytes"
        } else if http && user.expose().contains(':') {
            "the user has a colon, which HTTP does not allow"
        } else if !http && password.is_empty() {
            "the password is empty, which SOCKS5 does not allow"
        } else {
            self.credentials = Some((user, password));
            return Ok(self);
        };
        let message = format!("{self}: {wrong}");
        Err(Error::new(ErrorKind::InvalidCredentials, OP, message))
    }

    /// What is spoken with it.
    pub fn scheme(&self) -> ProxyScheme {
        self.scheme
    }

    /// Its host, an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// User and password, for the one place that puts them on the wire.
    pub fn login(&self) -> Option<(&Secret, &Secret)> {
        self.credentials.as_ref().map(|(user, password)| (user, password))
    }
}

fn scheme_of(scheme: &str) -> Result<ProxyScheme> {
    let schemes =
        [("http", ProxyScheme::Http), ("socks5", ProxyScheme::Socks5), ("socks5h", ProxyScheme::Socks5h)];
    let found = schemes.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(scheme));
    // The scheme is not shown: without its `://` in the right place it may be something else.
    found.map(|(_, scheme)| scheme).ok_or_else(|| invalid("its scheme is not http, socks5 or socks5h"))
}

/// Host without brackets, and port; `None` for a port that is none.
pub(super) fn split(place: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
        }
        // An IPv6 address without brackets has several colons and no port.
        None if place.matches(':').count() > 1 => (place, None),
        None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    match port {
        None => Some((host, None)),
        Some(port) => port.parse().ok().filter(|port| *port > 0).map(|port| (host, Some(port))),
    }
}

/// Undoes percent-encoding. A `%` that encodes nothing stands for itself.
fn decode(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = text.get(at + 1..at + 3).filter(|two| two.bytes().all(|b| b.is_ascii_hexdigit()));
        let encoded = digits.filter(|_| byte == b'%').and_then(|two| u8::from_str_radix(two, 16).ok());
        decoded.push(encoded.unwrap_or(byte));
        at += if encoded.is_some() { 3 } else { 1 };
    }
    String::from_utf8(decoded).ok()
}

fn invalid(what: &str) -> Error {
    let message =
        format!("the proxy's address cannot be used: {what}; write it as http://user:password@host:port");
    Error::new(ErrorKind::InvalidUrl, OP, message)
}

impl FromStr for Proxy {
    type Err = Error;

    fn from_str(address: &str) -> Result<Self> {
        Self::parse(address)
    }
}

impl TryFrom<&str> for Proxy {
    type Error = Error;

    fn try_from(address: &str) -> Result<Self> {
        Self::parse(address)
    }
}

impl TryFrom<String> for Proxy {
    type Error = Error;

    fn try_from(address: String) -> Result<Self> {
        Self::parse(&address)
    }
}

impl TryFrom<&String> for Proxy {
    type Error = Error;

    fn try_from(address: &String) -> Result<Self> {
        Self::parse(address)
    }
}

impl fmt::Display for Proxy {
    /// `http://host:port`, for messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            ProxyScheme::Http => "http",
            ProxyScheme::Socks5 => "socks5",
            ProxyScheme::Socks5h => "socks5h",
        };
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{scheme}://{open}{}{close}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with = if self.credentials.is_some() { " with credentials" } else { "" };
        write!(f, "Proxy({self}{with})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_the_forms_in_which_people_write_them() {
        for (text, shown, login) in [
            ("http://proxy:3128", "http://proxy:3128", None),
            ("proxy:3128", "http://proxy:3128", None),
            ("proxy", "http://proxy:80", None),
            (" HTTP://proxy:3128/ ", "http://proxy:3128", None),
            ("socks5://127.0.0.1", "socks5://127.0.0.1:1080", None),
            ("SOCKS5H://p.example:9", "socks5h://p.example:9", None),
            ("http://[::1]:8080", "http://[::1]:8080", None),
            ("http://[fe80::1]", "http://[fe80::1]:80", None),
            ("http://u:p@h:1", "http://h:1", Some(("u", "p"))),
            ("u:p@h:1", "http://h:1", Some(("u", "p"))),
            ("http://u@h", "http://h:80", Some(("u", ""))),
            ("http://u:p%40%3A%2f%25@h", "http://h:80", Some(("u", "p@:/%"))),
            ("http://u:p@q:r%zz@h", "http://h:80", Some(("u", "p@q:r%zz"))),
            ("socks5://%C3%BC:%c3%9f@h", "socks5://h:1080", Some(("ü", "ß"))),
        ] {
            let proxy = Proxy::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(proxy.to_string(), shown, "{text}");
            let got = proxy.login().map(|(user, password)| (user.expose(), password.expose()));
            assert_eq!(got, login, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_and_not_shown() {
        let long = format!("http://u:marked-4711{}@h", "x".repeat(255));
        for (text, says) in [
            ("", "host"),
            ("http://", "host"),
            ("http://u:marked-4711@", "host"),
            ("https://u:marked-4711@h", "scheme"),
            ("socks4://u:marked-4711@h", "scheme"),
            ("marked-4711://h", "scheme"),
            ("http://u:marked-4711@h:0", "port"),
            ("http://u:marked-4711@h:65536", "port"),
            ("http://u:marked-4711@h:", "port"),
            ("http://u:marked-4711@[::1]x", "port"),
            ("http://u:marked-4711@h/path", "path"),
            ("http://u:marked-4711@h?q", "path"),
            ("http://u:marked-4711@h h", "ASCII"),
            ("http://u:marked-4711@h\r\nx", "ASCII"),
            ("http://u:marked-4711@bücher", "ASCII"),
            ("http://:marked-4711@h", "empty"),
            ("socks5://marked-4711@h", "empty"),
            ("http://u%3a:marked-4711@h", "colon"),
            ("http://u:marked-4711%ff@h", "UTF-8"),
            (&long, "255"),
        ] {
            let error = Proxy::parse(text).expect_err(text);
            let shown = format!("{error} {error:?}");
            assert!(shown.contains(says) && !shown.contains("4711"), "{text}: {shown}");
            assert!(!error.is_transient());
        }
    }
}
