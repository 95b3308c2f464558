//! TLS, by rustls.

use std::fmt;
use std::sync::Arc;

use event_core::{Error, ErrorKind, Result};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::{BuilderVerifierExt, Verifier};

const OP: &str = "connect";

/// How TLS is spoken: by rustls, with the crypto provider of the process, or ring where none is installed. Servers are
/// trusted as the platform's certificate store says; more roots can be added.
#[derive(Clone, Default)]
#[must_use]
pub struct Tls {
    roots: Vec<Vec<u8>>,
    config: Option<Arc<ClientConfig>>,
}

impl Tls {
    /// Trusts these root certificates too, besides the platform's: one or several in PEM. Where they cannot be read,
    /// connecting fails with [`ErrorKind::Tls`].
    pub fn add_root_certificate_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots.push(pem.into());
        self
    }

    /// Uses this configuration, for client certificates or rules of your own. Roots are those of the configuration
    /// alone.
    pub fn rustls_config(mut self, config: Arc<ClientConfig>) -> Self {
        self.config = Some(config);
        self
    }

    /// The configuration.
    pub(crate) fn config(&self) -> Result<ClientConfig> {
        if let Some(config) = &self.config {
            return Ok(ClientConfig::clone(config));
        }
        let provider = provider();
        let unusable = |cause: rustls::Error| {
            Error::new(ErrorKind::Tls, OP, "the platform's certificate store cannot be used")
                .with_source(cause)
        };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?;
        let roots = self.read()?;
        if roots.is_empty() {
            return Ok(builder.with_platform_verifier().map_err(unusable)?.with_no_client_auth());
        }
        let verifier = Verifier::new_with_extra_roots(roots, provider).map_err(unusable)?;
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
        Ok(builder.with_no_client_auth())
    }

    fn read(&self) -> Result<Vec<CertificateDer<'static>>> {
        let unreadable = || {
            let message = "a root certificate that was added cannot be read; give it in PEM";
            Error::new(ErrorKind::Tls, OP, message)
        };
        let mut read = Vec::new();
        for pem in &self.roots {
            let before = read.len();
            for certificate in CertificateDer::pem_slice_iter(pem) {
                read.push(certificate.map_err(|cause| unreadable().with_source(cause))?);
            }
            if read.len() == before {
                return Err(unreadable());
            }
        }
        // The verifier would blame the platform's.
        let mut checked = RootCertStore::empty();
        for certificate in &read {
            checked.add(certificate.clone()).map_err(|cause| unreadable().with_source(cause))?;
        }
        Ok(read)
    }
}

/// A configuration that trusts nobody, for addresses that did not ask for TLS: a server that insists on it is not
/// trusted, and the error says how to ask.
pub(crate) fn trusting_nobody() -> Result<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|cause| Error::new(ErrorKind::Tls, OP, "TLS cannot be set up").with_source(cause))?;
    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    rustls::crypto::CryptoProvider::get_default()
        .cloned()
        .unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()))
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("roots", &self.roots.len()).finish_non_exhaustive()
    }
}
