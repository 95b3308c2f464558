//! Which library speaks TLS, and whom it trusts.

use std::error::Error as _;
use std::fmt;

use event_core::network::CertificateFault;
use reqwest::ClientBuilder;

#[cfg(any(feature = "native-tls", feature = "rustls-no-provider"))]
const OP: &str = "build HTTP client";

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
/// platform's certificate store says; more roots can be added, whichever library is used.
#[derive(Clone, Default)]
pub struct Tls {
    backend: Option<TlsBackend>,
    roots: Vec<Root>,
    #[cfg(feature = "rustls-no-provider")]
    rustls: Option<std::sync::Arc<rustls::ClientConfig>>,
}

/// As it was given.
#[derive(Clone)]
#[cfg_attr(
    not(any(feature = "native-tls", feature = "rustls-no-provider")),
    expect(dead_code, reason = "nothing reads them without TLS")
)]
enum Root {
    /// One or several.
    Pem(Vec<u8>),
    Der(Vec<u8>),
}

impl Tls {
    /// Chooses the library.
    pub fn backend(mut self, backend: TlsBackend) -> Self {
        self.backend = Some(backend);
        self
    }

    /// Trusts these root certificates too, besides the platform's: one or several in PEM. Where they cannot be read,
    /// building the client fails with [`ErrorKind::Tls`](event_core::ErrorKind::Tls).
    pub fn add_root_certificate_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots.push(Root::Pem(pem.into()));
        self
    }

    /// The same for one certificate in DER.
    pub fn add_root_certificate_der(mut self, der: impl Into<Vec<u8>>) -> Self {
        self.roots.push(Root::Der(der.into()));
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

    /// rustls if it is compiled in and nothing else is wanted; else the platform's library, or plain HTTP only.
    #[cfg_attr(
        not(any(feature = "native-tls", feature = "rustls-no-provider")),
        expect(clippy::unnecessary_wraps, reason = "nothing can fail without TLS")
    )]
    pub(super) fn apply(self, builder: ClientBuilder) -> event_core::Result<ClientBuilder> {
        match self.backend {
            #[cfg(feature = "native-tls")]
            Some(TlsBackend::NativeTls) => self.apply_native(builder),
            #[cfg(feature = "rustls-no-provider")]
            Some(TlsBackend::Rustls) | None => {
                let mut config = match self.rustls {
                    Some(config) => std::sync::Arc::unwrap_or_clone(config),
                    None => with_rustls::config(&self.roots)?,
                };
                config.alpn_protocols = vec![b"http/1.1".to_vec()];
                Ok(builder.tls_backend_preconfigured(config))
            }
            #[cfg(all(feature = "native-tls", not(feature = "rustls-no-provider")))]
            None => self.apply_native(builder),
            #[cfg(not(any(feature = "native-tls", feature = "rustls-no-provider")))]
            None => Ok(builder),
            #[cfg(not(any(feature = "native-tls", feature = "rustls-no-provider")))]
            Some(nothing) => match nothing {},
        }
    }

    #[cfg(feature = "native-tls")]
    fn apply_native(self, builder: ClientBuilder) -> event_core::Result<ClientBuilder> {
        use reqwest::Certificate;

        let mut certificates = Vec::new();
        for root in &self.roots {
            let read = match root {
                Root::Der(der) => Certificate::from_der(der).map(|certificate| vec![certificate]),
                Root::Pem(pem) => Certificate::from_pem_bundle(pem),
            };
            let read = read.map_err(|cause| unreadable(Some(cause.into())))?;
            if read.is_empty() {
                return Err(unreadable(None));
            }
            certificates.extend(read);
        }
        Ok(builder.tls_backend_native().tls_certs_merge(certificates))
    }
}

/// A root certificate that the library cannot read.
#[cfg(any(feature = "native-tls", feature = "rustls-no-provider"))]
fn unreadable(cause: Option<Box<dyn std::error::Error + Send + Sync>>) -> event_core::Error {
    let message =
        "a root certificate that was added cannot be read; give it in PEM or DER as its method says";
    let error = event_core::Error::new(event_core::ErrorKind::Tls, OP, message);
    match cause {
        Some(cause) => error.with_source(cause),
        None => error,
    }
}

#[cfg(feature = "rustls-no-provider")]
mod with_rustls {
    use std::sync::Arc;

    use event_core::{Error, ErrorKind, Result};
    use rustls::ClientConfig;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    use rustls_platform_verifier::{BuilderVerifierExt, Verifier};

    use super::{OP, Root, unreadable};

    /// The platform's verifier with these roots besides, and the provider of the process, or ring where it is
    /// compiled in.
    pub(super) fn config(roots: &[Root]) -> Result<ClientConfig> {
        let provider = rustls::crypto::CryptoProvider::get_default().cloned();
        #[cfg(feature = "rustls")]
        let provider = provider.or_else(|| Some(Arc::new(rustls::crypto::ring::default_provider())));
        let Some(provider) = provider else {
            let message = "rustls has no crypto provider; install one as the process default, or enable the feature `rustls`";
            return Err(Error::new(ErrorKind::Tls, OP, message));
        };
        let unusable = |cause: rustls::Error| {
            Error::new(ErrorKind::Tls, OP, "the platform's certificate store cannot be used")
                .with_source(cause)
        };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?;
        let roots = read(roots)?;
        if roots.is_empty() {
            return Ok(builder.with_platform_verifier().map_err(unusable)?.with_no_client_auth());
        }
        let verifier = Verifier::new_with_extra_roots(roots, provider).map_err(unusable)?;
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
        Ok(builder.with_no_client_auth())
    }

    fn read(roots: &[Root]) -> Result<Vec<CertificateDer<'static>>> {
        let mut read = Vec::new();
        for root in roots {
            match root {
                Root::Der(der) => read.push(CertificateDer::from(der.clone())),
                Root::Pem(pem) => {
                    let before = read.len();
                    for certificate in CertificateDer::pem_slice_iter(pem) {
                        read.push(certificate.map_err(|cause| unreadable(Some(cause.into())))?);
                    }
                    if read.len() == before {
                        return Err(unreadable(None));
                    }
                }
            }
        }
        // The verifier would blame the platform's.
        let mut checked = rustls::RootCertStore::empty();
        for certificate in &read {
            checked.add(certificate.clone()).map_err(|cause| unreadable(Some(cause.into())))?;
        }
        Ok(read)
    }
}

/// Why the server's certificate was refused, if that is what failed.
pub(super) fn fault(error: &reqwest::Error, words: &str) -> Option<CertificateFault> {
    if !is_refusal(error) {
        return None;
    }
    #[cfg(feature = "rustls-no-provider")]
    if let Some(cause) = rustls_error(error) {
        use rustls::CertificateError as Cause;
        let rustls::Error::InvalidCertificate(cause) = cause else { return None };
        return match cause {
            Cause::Expired | Cause::ExpiredContext { .. } => Some(CertificateFault::Expired),
            Cause::NotValidYet | Cause::NotValidYetContext { .. } => Some(CertificateFault::NotYetValid),
            Cause::NotValidForName | Cause::NotValidForNameContext { .. } => {
                Some(CertificateFault::WrongHost)
            }
            Cause::Revoked => Some(CertificateFault::Revoked),
            Cause::UnknownIssuer | Cause::BadSignature => Some(CertificateFault::Untrusted),
            // The platform's verifiers of macOS and Windows have words only.
            other => CertificateFault::in_words(&other.to_string()),
        };
    }
    CertificateFault::in_words(words)
}

/// rustls's error, which may be inside an error of I/O, or of two. Such a one gives its content's source as its own.
#[cfg(feature = "rustls-no-provider")]
fn rustls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut next = error.source();
    while let Some(source) = next {
        let mut inside = Some(source);
        while let Some(error) = inside {
            if let Some(found) = error.downcast_ref() {
                return Some(found);
            }
            let content = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
            inside = content.map(|content| content as _);
        }
        next = source.source();
    }
    None
}

/// Whether a connection failed because one side refused the other's TLS, which will stay so; a peer that went away
/// in the middle is no refusal.
pub(super) fn is_refusal(error: &reqwest::Error) -> bool {
    #[cfg(feature = "rustls-no-provider")]
    if rustls_error(error).is_some() {
        return true;
    }
    let mut next = error.source();
    while let Some(source) = next {
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

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("backend", &self.backend)
            .field("roots", &self.roots.len())
            .finish_non_exhaustive()
    }
}
