//! TLS by the platform's library.

use event_core::network::CertificateFault;
use event_core::{Error, ErrorKind, Result};
use native_tls::Certificate;
use tokio::net::TcpStream;

use super::roots::{Root, Roots, unreadable};
use super::{BoxedIo, Endpoint, OP, failed};

pub(super) async fn wrap(roots: &Roots, endpoint: &Endpoint, stream: TcpStream) -> Result<BoxedIo> {
    let connector = tokio_native_tls::TlsConnector::from(connector(roots)?);
    match connector.connect(endpoint.host(), stream).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(cause) => {
            let words = cause.to_string();
            let (fault, cutoff) = (CertificateFault::in_words(&words), is_cutoff(&words));
            Err(failed(endpoint, cause, fault, cutoff))
        }
    }
}

fn connector(roots: &Roots) -> Result<native_tls::TlsConnector> {
    let mut builder = native_tls::TlsConnector::builder();
    for root in roots.iter() {
        let certificates = match root {
            Root::Der(der) => Certificate::from_der(der).map(|certificate| vec![certificate]),
            Root::Pem(pem) => Certificate::stack_from_pem(pem),
        };
        let certificates = certificates.map_err(|cause| unreadable(Some(cause.into())))?;
        if certificates.is_empty() {
            return Err(unreadable(None));
        }
        for certificate in certificates {
            builder.add_root_certificate(certificate);
        }
    }
    builder.build().map_err(|cause| {
        Error::new(ErrorKind::Tls, OP, "the platform's TLS cannot be set up").with_source(cause)
    })
}

/// Whether the peer went away in the middle; there are words only.
fn is_cutoff(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    ["unexpected eof", "connection reset", "connection aborted", "broken pipe", "connection closed"]
        .iter()
        .any(|part| words.contains(part))
}
