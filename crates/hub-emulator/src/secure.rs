//! TLS for both services: certificates made at the start, by an authority made for them.

use std::io;
use std::sync::Arc;

use data_encoding::BASE64;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::error::{Error, ErrorKind};

/// What the certificate of an emulator is like. It is made at the start, and signed by an authority of the emulator's
/// own, which clients are to trust: [`Emulator::root_certificate_pem`](crate::Emulator::root_certificate_pem).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsCertificate {
    hosts: Vec<String>,
    time: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Time {
    Now,
    Past,
    Future,
}

impl TlsCertificate {
    /// A good one, for `localhost`, `127.0.0.1` and `::1`.
    pub fn valid() -> Self {
        let hosts = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
        Self { hosts, time: Time::Now }
    }

    /// One that ended in 2001.
    pub fn expired() -> Self {
        Self { time: Time::Past, ..Self::valid() }
    }

    /// One that begins in 3000.
    pub fn not_yet_valid() -> Self {
        Self { time: Time::Future, ..Self::valid() }
    }

    /// One for `wrong.invalid`, where nobody is.
    pub fn wrong_host() -> Self {
        Self { hosts: vec!["wrong.invalid".to_owned()], time: Time::Now }
    }

    /// Is good for this host too: a name or an IP address. Repeat it for several.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.hosts.push(host.into());
        self
    }

    /// Makes authority and certificate.
    pub(crate) fn issue(&self) -> Result<Identity, Error> {
        self.made().map_err(|cause| {
            Error::new(ErrorKind::InvalidSetting, format!("the certificate cannot be made: {cause}"))
        })
    }

    fn made(&self) -> Result<Identity, Box<dyn std::error::Error>> {
        let mut authority = CertificateParams::new([])?;
        authority.distinguished_name.push(DnType::CommonName, "hub-emulator");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate()?;
        let root = authority.self_signed(&authority_key)?.der().to_vec();
        let issuer = Issuer::new(authority, authority_key);
        let mut params = CertificateParams::new(self.hosts.clone())?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        match self.time {
            Time::Now => {}
            Time::Past => params.not_after = rcgen::date_time_ymd(2001, 1, 1),
            Time::Future => params.not_before = rcgen::date_time_ymd(3000, 1, 1),
        }
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der())?,
            )?;
        Ok(Identity { root, acceptor: TlsAcceptor::from(Arc::new(config)) })
    }
}

impl Default for TlsCertificate {
    /// [`TlsCertificate::valid`].
    fn default() -> Self {
        Self::valid()
    }
}

/// What a server shows, and who signed it.
#[derive(Clone)]
pub(crate) struct Identity {
    /// In DER.
    pub(crate) root: Vec<u8>,
    acceptor: TlsAcceptor,
}

impl Identity {
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.acceptor.accept(stream).await
    }

    /// The authority's certificate.
    pub(crate) fn root_pem(&self) -> String {
        let text = BASE64.encode(&self.root);
        let lines: Vec<String> =
            text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}
