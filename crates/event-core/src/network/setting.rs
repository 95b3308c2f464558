//! Which proxy leads to a server.

use std::fmt;

use super::no_proxy::{NoProxy, is_loopback};
use super::proxy::Proxy;
use crate::{Error, ErrorKind, Result};

/// Which proxy leads to a server: the one that the environment names (the default), a given one, or none.
///
/// # The environment
///
/// | variable | used for |
/// |---|---|
/// | `HTTPS_PROXY` | servers with TLS (`https`, `wss`) |
/// | `HTTP_PROXY` | servers without (`http`, `ws`) |
/// | `ALL_PROXY` | both, where the other is not set |
/// | `NO_PROXY` | servers that are reached without one |
///
/// - Names in lower case are looked at first. An empty value counts as not set.
/// - `HTTP_PROXY` in upper case is ignored when `REQUEST_METHOD` is set: a CGI program gets the client's header
///   `Proxy` there.
/// - `NO_PROXY` is a list, separated by commas or white space: `example.com`, `.example.com` and `*.example.com` each
///   stand for the name and all names below it; `10.1.2.3` and `10.0.0.0/8` (also of IPv6) for addresses, which are
///   compared with addresses only: no name is looked up; `example.com:8443` for one port; `*` for everything.
/// - This machine (`localhost`, `*.localhost`, `127.0.0.0/8`, `::1`) is never reached through a proxy of the
///   environment.
/// - A value that is no address of a proxy is an error for the servers it would be used for, not a silent way around.
///
/// ```
/// use event_core::network::ProxySetting;
///
/// let variables = [("https_proxy", "http://proxy.studio.example:3128"), ("NO_PROXY", ".internal.example")];
/// let setting = ProxySetting::from_lookup(|name| {
///     variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
/// });
/// let proxy = setting.choose("studio.ftrackapp.com", 443, true)?.expect("a proxy");
/// assert_eq!(proxy.to_string(), "http://proxy.studio.example:3128");
/// assert!(setting.choose("hub.internal.example", 443, true)?.is_none());
/// # Ok::<(), event_core::Error>(())
/// ```
#[derive(Clone)]
pub struct ProxySetting {
    with_tls: Slot,
    without_tls: Slot,
    except: NoProxy,
    /// Whether this machine is reached directly.
    spares_loopback: bool,
}

/// What is used for a kind of server.
#[derive(Clone)]
enum Slot {
    Direct,
    Through(Proxy),
    /// The variable, and what is wrong with its value.
    Broken(&'static str, String),
}

impl ProxySetting {
    /// As the environment variables say now.
    pub fn environment() -> Self {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// As variables say that are looked up so.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let find = |names: &[&'static str]| {
            names.iter().find_map(|&name| {
                lookup(name).filter(|value| !value.trim().is_empty()).map(|value| (name, value))
            })
        };
        let slot = |names: &[&'static str]| match find(names) {
            None => Slot::Direct,
            Some((name, value)) => match Proxy::parse(&value) {
                Ok(proxy) => Slot::Through(proxy),
                Err(error) => Slot::Broken(name, error.message().to_owned()),
            },
        };
        let is_cgi = find(&["REQUEST_METHOD"]).is_some();
        let http: &[&str] = if is_cgi {
            &["http_proxy", "all_proxy", "ALL_PROXY"]
        } else {
            &["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]
        };
        Self {
            with_tls: slot(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            without_tls: slot(http),
            except: find(&["no_proxy", "NO_PROXY"])
                .map_or_else(NoProxy::default, |(_, list)| NoProxy::parse(&list)),
            spares_loopback: true,
        }
    }

    /// Through this proxy, this machine included.
    pub fn through(proxy: Proxy) -> Self {
        Self {
            with_tls: Slot::Through(proxy.clone()),
            without_tls: Slot::Through(proxy),
            except: NoProxy::default(),
            spares_loopback: false,
        }
    }

    /// Through none.
    pub fn direct() -> Self {
        Self {
            with_tls: Slot::Direct,
            without_tls: Slot::Direct,
            except: NoProxy::default(),
            spares_loopback: false,
        }
    }

    /// The same, but these servers directly: a list as in `NO_PROXY`, which takes the place of an earlier one.
    #[must_use]
    pub fn except(mut self, no_proxy: &str) -> Self {
        self.except = NoProxy::parse(no_proxy);
        self
    }

    /// Whether it leads to no proxy whatever the server.
    pub fn is_direct(&self) -> bool {
        matches!((&self.with_tls, &self.without_tls), (Slot::Direct, Slot::Direct))
    }

    /// The proxy that leads to a server, or none. `tls` says whether TLS is spoken with it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidUrl`] when the environment variable for it cannot be used. Its value is not shown.
    pub fn choose(&self, host: &str, port: u16, tls: bool) -> Result<Option<&Proxy>> {
        let slot = if tls { &self.with_tls } else { &self.without_tls };
        if matches!(slot, Slot::Direct)
            || self.except.holds(host, port)
            || (self.spares_loopback && is_loopback(host))
        {
            return Ok(None);
        }
        match slot {
            Slot::Direct => Ok(None),
            Slot::Through(proxy) => Ok(Some(proxy)),
            Slot::Broken(variable, wrong) => {
                let message = format!("the environment variable {variable}: {wrong}");
                Err(Error::new(ErrorKind::InvalidUrl, "choose proxy", message))
            }
        }
    }
}

impl Default for ProxySetting {
    /// [`ProxySetting::environment`].
    fn default() -> Self {
        Self::environment()
    }
}

impl From<Proxy> for ProxySetting {
    fn from(proxy: Proxy) -> Self {
        Self::through(proxy)
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct => f.write_str("direct"),
            Self::Through(proxy) => proxy.fmt(f),
            Self::Broken(variable, _) => write!(f, "unusable {variable}"),
        }
    }
}

impl fmt::Debug for ProxySetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxySetting")
            .field("with_tls", &self.with_tls)
            .field("without_tls", &self.without_tls)
            .finish_non_exhaustive()
    }
}
