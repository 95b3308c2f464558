//! Which library speaks TLS.

use std::error::Error as _;

use reqwest::ClientBuilder;

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

/// rustls if it is compiled in and nothing else is wanted.
#[cfg(feature = "rustls-no-provider")]
pub(super) fn apply(
    builder: ClientBuilder,
    backend: Option<TlsBackend>,
    config: Option<std::sync::Arc<rustls::ClientConfig>>,
) -> event_core::Result<ClientBuilder> {
    match backend {
        #[cfg(feature = "native-tls")]
        Some(TlsBackend::NativeTls) => Ok(builder.tls_backend_native()),
        Some(TlsBackend::Rustls) | None => {
            let mut config = match config {
                Some(config) => std::sync::Arc::unwrap_or_clone(config),
                None => platform_config()?,
            };
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            Ok(builder.tls_backend_preconfigured(config))
        }
    }
}

/// The platform's library, or plain HTTP only.
#[cfg(not(feature = "rustls-no-provider"))]
pub(super) fn apply(builder: ClientBuilder, backend: Option<TlsBackend>) -> ClientBuilder {
    match backend {
        #[cfg(feature = "native-tls")]
        Some(TlsBackend::NativeTls) => builder.tls_backend_native(),
        None => builder,
        #[cfg(not(feature = "native-tls"))]
        Some(nothing) => match nothing {},
    }
}

/// The platform's verifier, with the provider of the process, or ring where it is compiled in.
#[cfg(feature = "rustls-no-provider")]
fn platform_config() -> event_core::Result<rustls::ClientConfig> {
    use event_core::{Error, ErrorKind};
    use rustls_platform_verifier::BuilderVerifierExt;

    const OP: &str = "build HTTP client";
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
    Ok(config.with_no_client_auth())
}

/// Whether a connection failed because one side refused the other's TLS, which will stay so; a peer that went away
/// in the middle is no refusal.
pub(super) fn is_refusal(error: &reqwest::Error) -> bool {
    let mut next = error.source();
    while let Some(source) = next {
        #[cfg(feature = "rustls-no-provider")]
        if source.downcast_ref::<rustls::Error>().is_some() {
            return true;
        }
        let io = source.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::InvalidData) {
            return true;
        }
        let words = source.to_string();
        if words.contains("certificate") || words.contains("scheme is not http") {
            return true;
        }
        next = source.source();
    }
    false
}
