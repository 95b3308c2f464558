//! TLS by rustls.

use std::io;
use std::sync::Arc;

use event_core::network::CertificateFault;
use event_core::{Error, ErrorKind, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig};
use rustls_platform_verifier::{BuilderVerifierExt, Verifier};
use tokio::net::TcpStream;

use super::roots::{Root, Roots, unreadable};
use super::{BoxedIo, Endpoint, OP, failed};

pub(super) async fn wrap(
    config: Arc<ClientConfig>,
    endpoint: &Endpoint,
    stream: TcpStream,
) -> Result<BoxedIo> {
    let name = ServerName::try_from(endpoint.host().to_owned()).map_err(|cause| {
        let message =
            format!("\"{}\" is not a host name that a certificate can be checked against", endpoint.host());
        Error::new(ErrorKind::Tls, OP, message).with_source(cause)
    })?;
    match tokio_rustls::TlsConnector::from(config).connect(name, stream).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(cause) => {
            let (fault, cutoff) = (fault(&cause), is_cutoff(&cause));
            Err(failed(endpoint, cause, fault, cutoff))
        }
    }
}

/// The platform's verifier with these roots besides, and the provider of the process, or ring where it is compiled in.
pub(super) fn config(roots: &Roots) -> Result<Arc<ClientConfig>> {
    let provider = rustls::crypto::CryptoProvider::get_default().cloned();
    #[cfg(feature = "rustls")]
    let provider = provider.or_else(|| Some(Arc::new(rustls::crypto::ring::default_provider())));
    let Some(provider) = provider else {
        let message = "rustls has no crypto provider; install one as the process default, or enable the feature `rustls`";
        return Err(Error::new(ErrorKind::Tls, OP, message));
    };
    let unusable = |cause: rustls::Error| {
        Error::new(ErrorKind::Tls, OP, "the platform's certificate store cannot be used").with_source(cause)
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let roots = read(roots)?;
    if roots.is_empty() {
        return Ok(Arc::new(builder.with_platform_verifier().map_err(unusable)?.with_no_client_auth()));
    }
    let verifier = Verifier::new_with_extra_roots(roots, provider).map_err(unusable)?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    Ok(Arc::new(builder.with_no_client_auth()))
}

fn read(roots: &Roots) -> Result<Vec<CertificateDer<'static>>> {
    let mut read = Vec::new();
    for root in roots.iter() {
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

fn fault(cause: &io::Error) -> Option<CertificateFault> {
    match cause.get_ref()?.downcast_ref()? {
        rustls::Error::InvalidCertificate(cause) => match cause {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                Some(CertificateFault::Expired)
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Some(CertificateFault::NotYetValid)
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Some(CertificateFault::WrongHost)
            }
            CertificateError::Revoked => Some(CertificateFault::Revoked),
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                Some(CertificateFault::Untrusted)
            }
            // The platform's verifiers of macOS and Windows have words only.
            other => CertificateFault::in_words(&other.to_string()),
        },
        _ => None,
    }
}

/// Whether the peer went away in the middle.
fn is_cutoff(cause: &io::Error) -> bool {
    use io::ErrorKind as Io;
    matches!(cause.kind(), Io::UnexpectedEof | Io::ConnectionReset | Io::ConnectionAborted | Io::BrokenPipe)
}
