//! Servers that are reached without a proxy. Pure.

use std::net::{IpAddr, Ipv4Addr};

use super::proxy::split;

/// The list of `NO_PROXY`.
#[derive(Clone, Debug, Default)]
pub(super) struct NoProxy(Vec<Entry>);

#[derive(Clone, Debug)]
struct Entry {
    which: Which,
    port: Option<u16>,
}

#[derive(Clone, Debug)]
enum Which {
    Every,
    /// A name in lower case, and what is below it.
    Domain(String),
    /// An address, and how many of its bits count.
    Network(IpAddr, u8),
}

impl NoProxy {
    /// Reads a list, separated by commas or white space. Entries that make no sense match nothing.
    pub(super) fn parse(list: &str) -> Self {
        Self(list.split([',', ' ', '\t', '\n', '\r']).filter_map(Entry::parse).collect())
    }

    /// Whether a server is in the list.
    pub(super) fn holds(&self, host: &str, port: u16) -> bool {
        let host = plain(host);
        let address = host.parse().ok().map(|address: IpAddr| address.to_canonical());
        self.0.iter().any(|entry| {
            entry.port.is_none_or(|wanted| wanted == port)
                && match &entry.which {
                    Which::Every => true,
                    Which::Domain(domain) => {
                        address.is_none()
                            && host
                                .strip_suffix(domain.as_str())
                                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
                    }
                    Which::Network(network, bits) => {
                        address.is_some_and(|address| same_network(address, *network, *bits))
                    }
                }
        })
    }
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self { which: Which::Every, port: None });
        }
        if let Some((address, bits)) = text.split_once('/') {
            let address: IpAddr = address.trim_matches(['[', ']']).parse().ok()?;
            let bits: u8 = bits.parse().ok()?;
            let most = if address.is_ipv4() { 32 } else { 128 };
            return (bits <= most).then_some(Self { which: Which::Network(address, bits), port: None });
        }
        let (host, port) = split(text)?;
        if let Ok(address) = host.parse::<IpAddr>() {
            let address = address.to_canonical();
            let bits = if address.is_ipv4() { 32 } else { 128 };
            return Some(Self { which: Which::Network(address, bits), port });
        }
        let domain = plain(host.strip_prefix('*').unwrap_or(host));
        let domain = domain.trim_start_matches('.');
        (!domain.is_empty()).then(|| Self { which: Which::Domain(domain.to_owned()), port })
    }
}

/// Whether a host is this machine by its name or address: `localhost` and what is below it, 127.0.0.0/8, `::1`.
pub(super) fn is_loopback(host: &str) -> bool {
    let host = plain(host);
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

/// Lower case, without the dot at its end.
fn plain(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

fn same_network(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let (a, b, width) = match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (widened(a), widened(b), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
        _ => return false,
    };
    // All of them differ from nothing.
    (a ^ b).checked_shr(width - u32::from(bits)).unwrap_or(0) == 0
}

fn widened(address: Ipv4Addr) -> u128 {
    u128::from(address.to_bits())
}
