//! TLS over a dialled stream, by whichever library the crate was built with.

use std::fmt;

use event_core::{Error, ErrorKind, Result};
use tokio::net::TcpStream;

use super::{BoxedIo, Endpoint, OP};

/// The library that speaks TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsBackend {
    /// rustls, verifying by the platform's certificate store. The default where it is compiled in.
    #[cfg(feature = "rustls-no-provider")]
    Rustls,
    /// The platform's own library.
    #[cfg(feature = "native-tls")]
    NativeTls,
}

/// How TLS is spoken.
///
/// With both libraries compiled in, rustls is used unless [`Tls::backend`] says otherwise.
#[derive(Clone, Default)]
pub struct Tls {
    backend: Option<TlsBackend>,
    #[cfg(feature = "rustls-no-provider")]
    rustls: Option<std::sync::Arc<rustls::ClientConfig>>,
}

impl Tls {
    /// Chooses the library.
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

    /// Speaks TLS over a stream.
    #[cfg_attr(
        not(any(feature = "native-tls", feature = "rustls-no-provider")),
        expect(clippy::unused_async, reason = "there is nothing to await without TLS")
    )]
    pub(super) async fn wrap(&self, endpoint: &Endpoint, stream: TcpStream) -> Result<BoxedIo> {
        match self.backend.or(DEFAULT_BACKEND) {
            #[cfg(feature = "rustls-no-provider")]
            Some(TlsBackend::Rustls) => self.wrap_rustls(endpoint, stream).await,
            #[cfg(feature = "native-tls")]
            Some(TlsBackend::NativeTls) => wrap_native(endpoint, stream).await,
            None => {
                drop(stream);
                let message = format!(
                    "{endpoint} needs TLS, and this program was built without the features `rustls` and `native-tls`; enable one"
                );
                Err(Error::new(ErrorKind::Unsupported, OP, message))
            }
        }
    }

    #[cfg(feature = "rustls-no-provider")]
    async fn wrap_rustls(&self, endpoint: &Endpoint, stream: TcpStream) -> Result<BoxedIo> {
        let config = match &self.rustls {
            Some(config) => std::sync::Arc::clone(config),
            None => platform_config()?,
        };
        let name = rustls::pki_types::ServerName::try_from(endpoint.host().to_owned()).map_err(|cause| {
            let message = format!(
                "\"{}\" is not a host name that a certificate can be checked against",
                endpoint.host()
            );
            Error::new(ErrorKind::Tls, OP, message).with_source(cause)
        })?;
        match tokio_rustls::TlsConnector::from(config).connect(name, stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(cause) => Err(failed(endpoint, &cause.to_string(), cutoff(&cause)).with_source(cause)),
        }
    }
}

/// rustls if it is compiled in, else the platform's library, else none.
const DEFAULT_BACKEND: Option<TlsBackend> = {
    #[cfg(feature = "rustls-no-provider")]
    {
        Some(TlsBackend::Rustls)
    }
    #[cfg(all(feature = "native-tls", not(feature = "rustls-no-provider")))]
    {
        Some(TlsBackend::NativeTls)
    }
    #[cfg(not(any(feature = "native-tls", feature = "rustls-no-provider")))]
    None
};

/// The platform's verifier, with the provider of the process, or ring where it is compiled in.
#[cfg(feature = "rustls-no-provider")]
fn platform_config() -> Result<std::sync::Arc<rustls::ClientConfig>> {
    use rustls_platform_verifier::BuilderVerifierExt;

    let provider = rustls::crypto::CryptoProvider::get_default().cloned();
    #[cfg(feature = "rustls")]
    let provider = provider.or_else(|| Some(std::sync::Arc::new(rustls::crypto::ring::default_provider())));
    let Some(provider) = provider else {
        let message = "rustls has no crypto provider; install one as the process default, or enable the feature `rustls`";
        return Err(Error::new(ErrorKind::Tls, OP, message));
    };
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(BuilderVerifierExt::with_platform_verifier)
        .map_err(|cause| {
            Error::new(ErrorKind::Tls, OP, "the platform's certificate store cannot be used")
                .with_source(cause)
        })?;
    Ok(std::sync::Arc::new(config.with_no_client_auth()))
}

#[cfg(feature = "native-tls")]
async fn wrap_native(endpoint: &Endpoint, stream: TcpStream) -> Result<BoxedIo> {
    let connector = native_tls::TlsConnector::new().map_err(|cause| {
        Error::new(ErrorKind::Tls, OP, "the platform's TLS cannot be set up").with_source(cause)
    })?;
    match tokio_native_tls::TlsConnector::from(connector).connect(endpoint.host(), stream).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(cause) => Err(failed(endpoint, &cause.to_string(), false).with_source(cause)),
    }
}

/// Whether the peer went away in the middle, which a restart explains and another attempt may mend.
#[cfg(feature = "rustls-no-provider")]
fn cutoff(cause: &std::io::Error) -> bool {
    use std::io::ErrorKind as Io;
    matches!(cause.kind(), Io::UnexpectedEof | Io::ConnectionReset | Io::ConnectionAborted | Io::BrokenPipe)
}

#[cfg(any(feature = "native-tls", feature = "rustls-no-provider"))]
fn failed(endpoint: &Endpoint, cause: &str, cutoff: bool) -> Error {
    let message = format!(
        "no TLS with {endpoint}: {cause}; check that the server speaks https on this port and that its certificate is \
         valid for this name and trusted here"
    );
    Error::new(ErrorKind::Tls, OP, message).with_retry(if cutoff {
        event_core::Retry::Backoff
    } else {
        event_core::Retry::Never
    })
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("backend", &self.backend).finish_non_exhaustive()
    }
}
