//! HTTP over the network, by reqwest.

use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use event_core::network::{Proxy, ProxySetting};
use event_core::{Error, ErrorKind, Result, Secret};
use http::StatusCode;
use parking_lot::Mutex;

use super::failure::{failed, wants_login};
use super::urls::Urls;
use super::{ExchangeError, ExchangeErrorKind, HttpExchange, Request, Response, Tls, TlsBackend};

/// HTTP/1.1 over the network. A clone shares the connections.
///
/// Proxies are taken from the environment as it is when the exchange is built (`HTTPS_PROXY` and its like, see
/// [`ProxySetting`]) unless the builder says otherwise.
/// Redirections are never followed, and answers are not decompressed, since none are asked for.
#[derive(Clone)]
pub struct ReqwestExchange {
    client: reqwest::Client,
    proxy: Arc<ProxySetting>,
    urls: Arc<Mutex<Urls>>,
    max_body: usize,
}

/// Describes a [`ReqwestExchange`].
#[must_use = "a builder does nothing until it is built"]
pub struct ReqwestExchangeBuilder {
    max_body: usize,
    connect_timeout: Duration,
    idle_timeout: Duration,
    proxy: Result<ProxySetting>,
    tls: Tls,
}

impl ReqwestExchange {
    /// The defaults.
    ///
    /// # Errors
    ///
    /// As for [`ReqwestExchangeBuilder::build`].
    pub fn new() -> Result<Self> {
        Self::builder().build()
    }

    /// Starts describing one.
    pub fn builder() -> ReqwestExchangeBuilder {
        ReqwestExchangeBuilder {
            max_body: 16 * 1024 * 1024,
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(90),
            proxy: Ok(ProxySetting::environment()),
            tls: Tls::default(),
        }
    }
}

impl ReqwestExchangeBuilder {
    /// The largest body of an answer, in bytes. Default 16 MiB.
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// How long a connection may take to be made, TLS included. Default 10 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long an unused connection is kept. Default 90 s.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// Connects through this proxy, whatever the environment says: `http://user:password@host:port`, `socks5://..`
    /// (this machine looks the server's name up), `socks5h://..` (the proxy does), or a [`Proxy`]. TLS is spoken with
    /// the server, through the proxy. User and password are shown nowhere.
    pub fn proxy<P>(mut self, proxy: P) -> Self
    where
        P: TryInto<Proxy>,
        Error: From<P::Error>,
    {
        self.proxy = proxy.try_into().map(ProxySetting::through).map_err(Error::from);
        self
    }

    /// Connects directly, whatever the environment says.
    pub fn no_proxy(self) -> Self {
        self.proxy_setting(ProxySetting::direct())
    }

    /// Which proxy leads to a server. Default [`ProxySetting::environment`].
    pub fn proxy_setting(mut self, setting: ProxySetting) -> Self {
        self.proxy = Ok(setting);
        self
    }

    /// How TLS is spoken. Default: rustls with the platform's certificates, where it is compiled in.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }

    /// Chooses the library that speaks TLS, as [`Tls::backend`] does.
    pub fn backend(mut self, backend: TlsBackend) -> Self {
        self.tls = self.tls.backend(backend);
        self
    }

    /// Uses rustls with this configuration, as [`Tls::rustls_config`] does.
    #[cfg(feature = "rustls-no-provider")]
    pub fn rustls_config(mut self, config: Arc<rustls::ClientConfig>) -> Self {
        self.tls = self.tls.rustls_config(config);
        self
    }

    /// The exchange.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Tls`] when TLS cannot be set up; [`ErrorKind::InvalidUrl`] or
    /// [`ErrorKind::InvalidCredentials`] for an address of a proxy that cannot be used.
    pub fn build(self) -> Result<ReqwestExchange> {
        const OP: &str = "build HTTP client";
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .http1_only()
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(self.idle_timeout)
            .tcp_nodelay(true);
        let proxy = Arc::new(self.proxy?);
        let chosen = Arc::clone(&proxy);
        // Without this it would read the environment by other rules.
        builder = builder.no_proxy();
        if !proxy.is_direct() {
            builder = builder.proxy(reqwest::Proxy::custom(move |url| {
                choose(&chosen, url).ok().flatten().map(|proxy| with_login(proxy).expose().to_owned())
            }));
        }
        let client = self.tls.apply(builder)?.build().map_err(|cause| {
            Error::new(ErrorKind::Tls, OP, "the HTTP client cannot be set up")
                .with_source(cause.without_url())
        })?;
        Ok(ReqwestExchange { client, proxy, urls: Arc::default(), max_body: self.max_body })
    }
}

/// The proxy that leads to the server of a URL.
fn choose<'s>(setting: &'s ProxySetting, url: &reqwest::Url) -> Result<Option<&'s Proxy>> {
    if setting.is_direct() {
        return Ok(None);
    }
    let Some((host, port)) = url.host_str().zip(url.port_or_known_default()) else { return Ok(None) };
    setting.choose(host.trim_matches(['[', ']']), port, url.scheme() == "https")
}

/// The address of a proxy with user and password, for reqwest alone.
fn with_login(proxy: &Proxy) -> Secret {
    let address = proxy.to_string();
    let Some(((user, password), (scheme, place))) = proxy.login().zip(address.split_once("://")) else {
        return Secret::new(address);
    };
    let (user, password) = (encoded(user), encoded(password));
    Secret::new(format!("{scheme}://{}:{}@{place}", user.expose(), password.expose()))
}

/// Percent-encoded, whatever is not a letter or a digit.
fn encoded(text: &Secret) -> Secret {
    let mut encoded = String::with_capacity(text.expose().len() * 3);
    for byte in text.expose().bytes() {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            _ = write!(encoded, "%{byte:02X}");
        }
    }
    Secret::new(encoded)
}

#[async_trait]
impl HttpExchange for ReqwestExchange {
    async fn exchange(&self, request: Request) -> Result<Response, ExchangeError> {
        let Request { method, url, headers, body, deadline } = request;
        let invalid = |what: &str| ExchangeError::new(ExchangeErrorKind::InvalidRequest, what);
        let url = self.urls.lock().read(url).ok_or_else(|| invalid("the request's URL cannot be used"))?;
        let proxy = choose(&self.proxy, &url).map_err(|error| invalid(error.message()).with_source(error))?;
        let https = url.scheme() == "https";
        let mut sending = self.client.request(method, url).headers(headers).timeout(deadline);
        if !body.is_empty() {
            sending = sending.body(body);
        }
        let mut answer = sending.send().await.map_err(|error| failed(error, proxy, https))?;
        let (status, headers) = (answer.status(), std::mem::take(answer.headers_mut()));
        // No service says so; a proxy does, to a request that it was to forward.
        if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            return Err(wants_login(proxy));
        }
        let body = self.body(answer).await?;
        Ok(Response::new(status, headers, body))
    }
}

impl ReqwestExchange {
    /// Reads a body, up to the limit.
    async fn body(&self, mut answer: reqwest::Response) -> Result<Bytes, ExchangeError> {
        // The server was reached: no proxy is to blame.
        let broken = |error| failed(error, None, false);
        let too_large = || {
            let message = format!("the answer is larger than the {} bytes allowed", self.max_body);
            ExchangeError::new(ExchangeErrorKind::TooLarge, message)
        };
        let Some(first) = answer.chunk().await.map_err(broken)? else { return Ok(Bytes::new()) };
        let mut length = first.len();
        if length > self.max_body {
            return Err(too_large());
        }
        let mut chunks = vec![first];
        while let Some(chunk) = answer.chunk().await.map_err(broken)? {
            length += chunk.len();
            if length > self.max_body {
                return Err(too_large());
            }
            chunks.push(chunk);
        }
        // Most bodies come in one piece, and stay where they are.
        match <[Bytes; 1]>::try_from(chunks) {
            Ok([whole]) => Ok(whole),
            Err(chunks) => {
                let mut whole = BytesMut::with_capacity(length);
                for chunk in &chunks {
                    whole.extend_from_slice(chunk);
                }
                Ok(whole.freeze())
            }
        }
    }
}

impl fmt::Debug for ReqwestExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReqwestExchange").field("max_body", &self.max_body).finish_non_exhaustive()
    }
}

impl fmt::Debug for ReqwestExchangeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReqwestExchangeBuilder").field("max_body", &self.max_body).finish_non_exhaustive()
    }
}
