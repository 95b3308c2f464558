//! The address of an ftrack server, in the forms in which people write it.

use std::fmt;

use event_core::{Error, ErrorKind, Result};
use transport_ws::Endpoint;

/// The address of an ftrack server: scheme, host, port, and a path prefix where a reverse proxy has one.
///
/// With and without port or trailing slash, all mean what they seem to mean:
///
/// ```
/// use ftrack_hub::ServerUrl;
///
/// for text in ["https://studio.ftrackapp.com", "https://studio.ftrackapp.com/", "https://studio.ftrackapp.com:443"] {
///     assert_eq!(ServerUrl::parse(text)?.to_string(), "https://studio.ftrackapp.com");
/// }
/// assert_eq!(ServerUrl::parse("http://localhost:7010/")?.to_string(), "http://localhost:7010");
/// assert_eq!(ServerUrl::parse("https://proxy/ftrack/")?.path_prefix(), "/ftrack");
/// # Ok::<(), ftrack_hub::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl {
    endpoint: Endpoint,
    prefix: String,
}

impl ServerUrl {
    /// Reads an address.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidUrl`], with what is wrong: no scheme, a scheme other than `http` and `https`, no host,
    /// a user name or password in it, a query or a fragment. The address itself is shown only where it cannot
    /// hold a secret.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        if text.is_empty() {
            return Err(invalid("it is empty"));
        }
        if text.contains('#') {
            return Err(invalid("it has a fragment (#...), which has no meaning here"));
        }
        let uri: http::Uri = text.parse().map_err(|cause: http::uri::InvalidUri| {
            invalid("it is not a URL such as https://studio.ftrackapp.com").with_source(cause)
        })?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(other) => {
                return Err(invalid(format!("its scheme is {other}; use https, or http for a local server")));
            }
            None => return Err(invalid("it has no scheme; write https:// in front of the host")),
        };
        let Some(authority) = uri.authority() else {
            return Err(invalid("it has no host"));
        };
        if authority.as_str().contains('@') {
            return Err(invalid(
                "it has a user name or password; give the API user and key on their own".to_owned(),
            ));
        }
        if uri.query().is_some() {
            return Err(invalid("it has a query (?...); give the API user and key on their own"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(invalid("it has no host"));
        }
        let written = authority.as_str();
        let port = match (authority.port_u16(), authority.port(), written.ends_with(':')) {
            (Some(0), ..) => return Err(invalid("its port is 0")),
            (Some(port), ..) => port,
            (None, None, false) => {
                if tls {
                    443
                } else {
                    80
                }
            }
            _ => return Err(invalid("its port is not a number from 1 to 65535")),
        };
        if port_out_of_range(written) {
            return Err(invalid("its port is not a number from 1 to 65535"));
        }
        let prefix = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { endpoint: Endpoint::new(host, port, tls), prefix })
    }

    /// Host, port and TLS.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The path in front of `/socket.io/`; empty, or with a slash at its start and none at its end.
    pub fn path_prefix(&self) -> &str {
        &self.prefix
    }
}

/// Whether the text after the last colon is a number that is no port; the parser drops such a one silently.
fn port_out_of_range(authority: &str) -> bool {
    match authority.rsplit_once(':') {
        Some((_, port)) if !port.contains(']') => port.parse::<u16>().is_err(),
        _ => false,
    }
}

fn invalid(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidUrl, "read server URL", format!("the server URL cannot be used: {what}"))
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.endpoint, self.prefix)
    }
}

impl std::str::FromStr for ServerUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_with_and_without_port_or_trailing_slash() {
        for (text, host, port, tls, prefix) in [
            ("https://a.b", "a.b", 443, true, ""),
            ("https://a.b/", "a.b", 443, true, ""),
            ("http://a.b", "a.b", 80, false, ""),
            ("http://a.b:7010", "a.b", 7010, false, ""),
            (" http://a.b:7010/ ", "a.b", 7010, false, ""),
            ("HTTPS://A.b:8443/x/y/", "A.b", 8443, true, "/x/y"),
            ("http://[::1]:7010/", "::1", 7010, false, ""),
            ("http://[::1]", "::1", 80, false, ""),
        ] {
            let url = ServerUrl::parse(text).unwrap();
            assert_eq!(url.endpoint(), &Endpoint::new(host, port, tls), "{text}");
            assert_eq!(url.path_prefix(), prefix, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_used_says_why_and_shows_no_secret() {
        for (text, why) in [
            ("", "empty"),
            ("   ", "empty"),
            ("studio.ftrackapp.com", "no scheme"),
            ("studio:7010", "scheme"),
            ("ftp://a.b", "ftp"),
            ("https://", "URL"),
            ("https://:80", "host"),
            ("https://jane:s3cret@a.b", "user name"),
            ("https://a.b/?api_key=s3cret", "query"),
            ("https://a.b/#s3cret", "fragment"),
            ("https://a.b:0", "port"),
            ("https://a.b:99999", "port"),
            ("https://a.b:", "port"),
            ("https://a b", "URL"),
        ] {
            let error = ServerUrl::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidUrl, "{text}");
            assert!(error.to_string().contains(why), "{text}: {error}");
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
        }
    }
}
