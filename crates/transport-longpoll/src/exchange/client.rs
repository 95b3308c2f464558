//! HTTP over the network, by reqwest.

use std::error::Error as _;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use event_core::{Error, ErrorKind, Result};

use super::{ExchangeError, ExchangeErrorKind, HttpExchange, Request, Response, TlsBackend};

/// HTTP/1.1 over the network. A clone shares the connections.
///
/// Proxies are taken from the environment (`HTTPS_PROXY` and its like) unless the builder says otherwise.
/// Redirections are never followed, and answers are not decompressed, since none are asked for.
#[derive(Clone)]
pub struct ReqwestExchange {
    client: reqwest::Client,
    max_body: usize,
}

/// Describes a [`ReqwestExchange`].
#[must_use = "a builder does nothing until it is built"]
pub struct ReqwestExchangeBuilder {
    max_body: usize,
    connect_timeout: Duration,
    idle_timeout: Duration,
    proxy: Proxy,
    backend: Option<TlsBackend>,
    #[cfg(feature = "rustls-no-provider")]
    rustls: Option<std::sync::Arc<rustls::ClientConfig>>,
}

enum Proxy {
    Environment,
    None,
    At(String),
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
            proxy: Proxy::Environment,
            backend: None,
            #[cfg(feature = "rustls-no-provider")]
            rustls: None,
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

    /// Connects through this HTTP proxy, whatever the environment says. User name and password may stand in it.
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.proxy = Proxy::At(url.into());
        self
    }

    /// Connects directly, whatever the environment says.
    pub fn no_proxy(mut self) -> Self {
        self.proxy = Proxy::None;
        self
    }

    /// Chooses the library that speaks TLS. Default rustls where it is compiled in.
    pub fn backend(mut self, backend: TlsBackend) -> Self {
        self.backend = Some(backend);
        self
    }

    /// Uses rustls with this configuration, for roots or client certificates of your own.
    #[cfg(feature = "rustls-no-provider")]
    pub fn rustls_config(mut self, config: std::sync::Arc<rustls::ClientConfig>) -> Self {
        self.backend = Some(TlsBackend::Rustls);
        self.rustls = Some(config);
        self
    }

    /// The exchange.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Tls`] when TLS cannot be set up; [`ErrorKind::InvalidUrl`] for a proxy that is no URL.
    pub fn build(self) -> Result<ReqwestExchange> {
        const OP: &str = "build HTTP client";
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .http1_only()
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(self.idle_timeout)
            .tcp_nodelay(true);
        builder = match &self.proxy {
            Proxy::Environment => builder,
            Proxy::None => builder.no_proxy(),
            Proxy::At(url) => match reqwest::Proxy::all(url) {
                Ok(proxy) => builder.no_proxy().proxy(proxy),
                // The URL may hold a password: it is not shown.
                Err(_) => {
                    return Err(Error::new(ErrorKind::InvalidUrl, OP, "the proxy's address is not a URL"));
                }
            },
        };
        #[cfg(feature = "rustls-no-provider")]
        let builder = super::tls::apply(builder, self.backend, self.rustls)?;
        #[cfg(not(feature = "rustls-no-provider"))]
        let builder = super::tls::apply(builder, self.backend);
        let client = builder.build().map_err(|cause| {
            Error::new(ErrorKind::Tls, OP, "the HTTP client cannot be set up")
                .with_source(cause.without_url())
        })?;
        Ok(ReqwestExchange { client, max_body: self.max_body })
    }
}

#[async_trait]
impl HttpExchange for ReqwestExchange {
    async fn exchange(&self, request: Request) -> Result<Response, ExchangeError> {
        let Request { method, url, headers, body, deadline } = request;
        let mut sending = self.client.request(method, url).headers(headers).timeout(deadline);
        if !body.is_empty() {
            sending = sending.body(body);
        }
        let mut answer = sending.send().await.map_err(failed)?;
        let (status, headers) = (answer.status(), std::mem::take(answer.headers_mut()));
        let body = self.body(answer).await?;
        Ok(Response::new(status, headers, body))
    }
}

impl ReqwestExchange {
    /// Reads a body, up to the limit.
    async fn body(&self, mut answer: reqwest::Response) -> Result<Bytes, ExchangeError> {
        let too_large = || {
            let message = format!("the answer is larger than the {} bytes allowed", self.max_body);
            ExchangeError::new(ExchangeErrorKind::TooLarge, message)
        };
        let Some(first) = answer.chunk().await.map_err(failed)? else { return Ok(Bytes::new()) };
        let mut length = first.len();
        if length > self.max_body {
            return Err(too_large());
        }
        let mut chunks = vec![first];
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
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

/// An error of reqwest in our words. Its URL is left out; the causes say what happened.
fn failed(error: reqwest::Error) -> ExchangeError {
    let error = error.without_url();
    let mut cause = String::new();
    let mut next = error.source();
    while let Some(source) = next {
        cause = source.to_string();
        next = source.source();
    }
    let (kind, what) = if error.is_builder() {
        (ExchangeErrorKind::InvalidRequest, "the request cannot be sent as it is")
    } else if error.is_timeout() && error.is_connect() {
        (ExchangeErrorKind::Connect, "no connection in time")
    } else if error.is_timeout() {
        (ExchangeErrorKind::Timeout, "no answer in time")
    } else if error.is_connect() && super::tls::is_refusal(&error) {
        (ExchangeErrorKind::Tls, "no TLS connection; check the server's certificate")
    } else if error.is_connect() {
        (ExchangeErrorKind::Connect, "no connection")
    } else if is_malformed(&error) {
        (ExchangeErrorKind::Protocol, "what came is not HTTP")
    } else {
        (ExchangeErrorKind::Broken, "the connection broke off")
    };
    let message = if cause.is_empty() { what.to_owned() } else { format!("{what}: {cause}") };
    ExchangeError::new(kind, message).with_source(error)
}

/// hyper's parse errors carry no type that is visible here, only words.
fn is_malformed(error: &reqwest::Error) -> bool {
    let mut next = error.source();
    while let Some(source) = next {
        if source.to_string().starts_with("invalid HTTP") {
            return true;
        }
        next = source.source();
    }
    false
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
