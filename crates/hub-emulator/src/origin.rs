//! Which web pages may talk to the emulator: none but those of this machine, unless allowed by name.
//!
//! A page that anybody opens in a browser can send requests to `127.0.0.1`. Two headers give it away: `Origin`
//! is the page's own site, and `Host`, after a DNS rebinding, is the page's host name instead of a loopback
//! one. Programs send no `Origin`, or, like the Python client, the emulator's own address.

use std::net::IpAddr;

/// The allow-lists.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policy {
    /// Whole origins, lower case.
    origins: Vec<String>,
    /// Host names, lower case.
    hosts: Vec<String>,
    /// Whether a numeric host is fine whatever its number; rebinding needs a name.
    any_address: bool,
}

impl Policy {
    /// Allows an origin such as `https://tool.example.com:8443`. `None` when it is not one.
    pub(crate) fn allow_origin(&mut self, origin: &str) -> Option<()> {
        let (scheme, host) = origin.trim_end_matches('/').split_once("://")?;
        let plain =
            !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        host_name(host).filter(|_| plain)?;
        self.origins.push(origin.trim_end_matches('/').to_ascii_lowercase());
        Some(())
    }

    /// Allows a host name, without port. `None` when it is not one.
    pub(crate) fn allow_host(&mut self, host: &str) -> Option<()> {
        let name = host_name(host).filter(|name| *name == host)?;
        self.hosts.push(name.to_ascii_lowercase());
        Some(())
    }

    /// Accepts every numeric host, for an emulator that listens beyond loopback.
    pub(crate) fn allow_any_address(&mut self) {
        self.any_address = true;
    }

    /// Whether a `Host` header is one under which this emulator is meant to be reached.
    pub(crate) fn admits_host(&self, host: &str) -> bool {
        let Some(name) = host_name(host) else { return false };
        if name.eq_ignore_ascii_case("localhost") {
            return true;
        }
        match name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            Ok(address) => {
                self.any_address || address.is_loopback() || self.hosts.iter().any(|known| known == name)
            }
            Err(_) => self.hosts.iter().any(|known| name.eq_ignore_ascii_case(known)),
        }
    }

    /// Whether a page of this origin may talk to the emulator.
    pub(crate) fn admits_origin(&self, origin: &str) -> bool {
        if self.origins.iter().any(|known| origin.eq_ignore_ascii_case(known)) {
            return true;
        }
        match origin.split_once("://") {
            Some(("http" | "https", host)) => self.admits_host(host),
            _ => false,
        }
    }
}

/// The host of `host[:port]`; `None` when the text is anything more than that.
fn host_name(text: &str) -> Option<&str> {
    let (name, port) = if text.starts_with('[') {
        let end = text.find(']')? + 1;
        (&text[..end], &text[end..])
    } else {
        text.split_at(text.find(':').unwrap_or(text.len()))
    };
    let port_is_one = port.is_empty()
        || port.strip_prefix(':').is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    let name_is_one = name.len() > 1 || name.bytes().all(|b| b.is_ascii_alphanumeric());
    let no_more = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b));
    (!name.is_empty() && name_is_one && no_more && port_is_one).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_hosts_are_admitted_unless_others_are_allowed() {
        let mut policy = Policy::default();
        for host in ["localhost", "LocalHost:80", "127.0.0.1", "127.0.0.1:7000", "127.9.9.9", "[::1]:7000"] {
            assert!(policy.admits_host(host), "{host}");
        }
        for host in [
            "",
            ":80",
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example:80",
            "localhost:80@evil.example",
            "localhost:80/x",
            "192.168.1.5:7000",
            "[::2]:80",
            "0.0.0.0",
            "[::1",
        ] {
            assert!(!policy.admits_host(host), "{host}");
        }
        assert!(policy.allow_host("emulator").is_some() && policy.allow_host("a:1").is_none());
        assert!(policy.admits_host("emulator:7000") && policy.admits_host("EMULATOR"));
        assert!(!policy.admits_host("emulator.example"));
        policy.allow_any_address();
        assert!(policy.admits_host("192.168.1.5:7000") && !policy.admits_host("evil.example"));
    }

    #[test]
    fn an_origin_is_admitted_by_its_host_or_by_its_whole_text() {
        let mut policy = Policy::default();
        for origin in ["http://127.0.0.1:7000", "https://localhost", "http://[::1]:1"] {
            assert!(policy.admits_origin(origin), "{origin}");
        }
        for origin in
            ["null", "", "https://evil.example", "file://", "http://localhost.evil.example", "localhost"]
        {
            assert!(!policy.admits_origin(origin), "{origin}");
        }
        assert!(policy.allow_origin("https://tool.example.com/").is_some());
        assert!(policy.admits_origin("https://tool.example.com"));
        assert!(!policy.admits_origin("http://tool.example.com"));
        assert!(!policy.admits_origin("https://tool.example.com:8443"));
        assert!(
            policy.allow_origin("tool.example.com").is_none() && policy.allow_origin("https://").is_none()
        );
    }
}
