//! What every client of this crate is told about its service: where it is, as whom, through what, for how long.
#![expect(clippy::disallowed_methods, reason = "a shell: names the system's clock as the default")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use event_core::network::{Proxy, ProxySetting};
use event_core::{Error, Result};
use transport_longpoll::HttpExchange;
use transport_longpoll::exchange::{ReqwestExchange, Tls};

use crate::environment::Environment;
use crate::service::Service;
use crate::token::{Access, AccessTokenProvider};

/// How a service is reached.
pub(crate) struct Reach {
    pub(crate) environment: Environment,
    provider: Arc<dyn AccessTokenProvider>,
    /// What speaks HTTP, instead of what follows.
    pub(crate) exchange: Option<Arc<dyn HttpExchange>>,
    pub(crate) tls: Tls,
    /// Which proxy leads to the service; not said: what the environment says when the client is built.
    pub(crate) proxy: Option<Result<ProxySetting>>,
    /// How long a call may take.
    pub(crate) request_timeout: Duration,
    /// By what tokens expire.
    pub(crate) wall_clock: fn() -> SystemTime,
}

impl Reach {
    pub(crate) fn new(environment: Environment, provider: impl AccessTokenProvider) -> Self {
        Self {
            environment,
            provider: Arc::new(provider),
            exchange: None,
            tls: Tls::default(),
            proxy: None,
            request_timeout: Duration::from_secs(25),
            wall_clock: SystemTime::now,
        }
    }

    /// Through this proxy, whatever the environment says. An address that cannot be used is told by
    /// [`Reach::service`].
    pub(crate) fn through<P>(&mut self, proxy: P)
    where
        P: TryInto<Proxy>,
        Error: From<P::Error>,
    {
        self.proxy = Some(proxy.try_into().map(ProxySetting::through).map_err(Error::from));
    }

    /// The service's REST side, at `base`.
    pub(crate) fn service(self, base: String) -> Result<Service> {
        let exchange = if let Some(exchange) = self.exchange {
            exchange
        } else {
            let proxy = self.proxy.transpose()?.unwrap_or_default();
            Arc::new(ReqwestExchange::builder().tls(self.tls).proxy_setting(proxy).build()?)
        };
        Ok(Service::new(base, exchange, Access(self.provider), self.request_timeout, self.wall_clock))
    }
}
