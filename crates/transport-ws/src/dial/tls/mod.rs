//! TLS over a dialled stream, by whichever library the crate was built with.

#[cfg(feature = "native-tls")]
mod native;
mod roots;
#[cfg(feature = "rustls-no-provider")]
mod with_rustls;

use std::fmt;

use event_core::{Error, ErrorKind, Result};
use tokio::net::TcpStream;

use self::roots::Roots;
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
/// With both libraries compiled in, rustls is used unless [`Tls::backend`] says otherwise. Servers are trusted as the
/// platform's certificate store says; more roots can be added, whichever library is used:
///
/// ```no_run
/// # fn example() -> std::io::Result<()> {
/// let tls = transport_ws::Tls::default().add_root_certificate_pem(std::fs::read("/etc/studio/ca.pem")?);
/// # Ok(()) }
/// ```
#[derive(Clone, Default)]
pub struct Tls {
    backend: Option<TlsBackend>,
    roots: Roots,
    #[cfg(feature = "rustls-no-provider")]
    rustls: Option<std::sync::Arc<rustls::ClientConfig>>,
}

impl Tls {
    /// Chooses the library.
    pub fn backend(mut self, backend: TlsBackend) -> Self {
        self.backend = Some(backend);
        self
    }

    /// Trusts these root certificates too, besides the platform's: one or several in PEM. Where they cannot be read,
    /// connecting fails with [`ErrorKind::Tls`].
    pub fn add_root_certificate_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots.add_pem(pem.into());
        self
    }

    /// The same for one certificate in DER.
    pub fn add_root_certificate_der(mut self, der: impl Into<Vec<u8>>) -> Self {
        self.roots.add_der(der.into());
        self
    }

    /// Uses rustls with this configuration, for client certificates or rules of your own. Roots are those of the
    /// configuration alone.
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
            Some(TlsBackend::Rustls) => {
                let config = match &self.rustls {
                    Some(config) => std::sync::Arc::clone(config),
                    None => with_rustls::config(&self.roots)?,
                };
                with_rustls::wrap(config, endpoint, stream).await
            }
            #[cfg(feature = "native-tls")]
            Some(TlsBackend::NativeTls) => native::wrap(&self.roots, endpoint, stream).await,
            None => {
                drop(stream);
                let message = format!(
                    "{endpoint} needs TLS, and this program was built without the features `rustls` and `native-tls`; enable one"
                );
                Err(Error::new(ErrorKind::Unsupported, OP, message))
            }
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

/// A handshake that failed: what the library said, and what that means if it is known. A peer that went away in the
/// middle is explained by a restart, and another attempt may mend it.
#[cfg(any(feature = "native-tls", feature = "rustls-no-provider"))]
fn failed(
    endpoint: &Endpoint,
    cause: impl std::error::Error + Send + Sync + 'static,
    fault: Option<event_core::network::CertificateFault>,
    cutoff: bool,
) -> Error {
    let Some(fault) = fault else {
        let message = format!(
            "no TLS with {endpoint}: {cause}; check that the server speaks https on this port and that its certificate \
             is valid for this name and trusted here"
        );
        let retry = if cutoff { event_core::Retry::Backoff } else { event_core::Retry::Never };
        return Error::new(ErrorKind::Tls, OP, message).with_retry(retry).with_source(cause);
    };
    let message = format!("no TLS with {endpoint}: {fault} ({cause}); {}", fault.advice());
    Error::new(ErrorKind::Tls, OP, message).with_source(fault)
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("backend", &self.backend)
            .field("roots", &self.roots)
            .finish_non_exhaustive()
    }
}
