//! Why a certificate was refused.

use std::fmt;

use crate::Error;

/// Why the certificate of a server was refused, where the TLS library says so.
///
/// It is among the sources of an [`ErrorKind::Tls`](crate::ErrorKind::Tls), whose message has what the library said:
///
/// ```
/// use event_core::network::CertificateFault;
/// use event_core::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::Tls, "connect", "no TLS with https://h").with_source(CertificateFault::Expired);
/// assert_eq!(CertificateFault::of(&error), Some(CertificateFault::Expired));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CertificateFault {
    /// It was signed by nobody who is trusted here.
    Untrusted,
    /// It is for other host names.
    WrongHost,
    /// Its time is over.
    Expired,
    /// Its time has not come yet; perhaps a clock is wrong.
    NotYetValid,
    /// It was revoked.
    Revoked,
}

impl CertificateFault {
    /// The reason in an error's causes.
    pub fn of(error: &Error) -> Option<Self> {
        let mut cause = std::error::Error::source(error);
        while let Some(source) = cause {
            if let Some(fault) = source.downcast_ref() {
                return Some(*fault);
            }
            cause = source.source();
        }
        None
    }

    /// The reason in the words of a library that gives no other: OpenSSL, SChannel, Apple's. `None` where they do not
    /// tell.
    pub fn in_words(words: &str) -> Option<Self> {
        let words = words.to_ascii_lowercase();
        let known = [
            ("has expired", Self::Expired),
            ("validity period", Self::Expired),
            ("not yet valid", Self::NotYetValid),
            ("mismatch", Self::WrongHost),
            ("name does not match", Self::WrongHost),
            ("revoked", Self::Revoked),
            ("local issuer", Self::Untrusted),
            ("issuer certificate", Self::Untrusted),
            ("self-signed", Self::Untrusted),
            ("self signed", Self::Untrusted),
            ("verify the first certificate", Self::Untrusted),
            ("certificate signature failure", Self::Untrusted),
            ("not trusted", Self::Untrusted),
        ];
        known.into_iter().find(|(part, _)| words.contains(part)).map(|(_, fault)| fault)
    }

    /// What to do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Untrusted => "add the root certificate of whoever signed it",
            Self::WrongHost => "use the name that the certificate is for",
            Self::Expired => "have the server's certificate renewed",
            Self::NotYetValid => "check the clocks of both machines",
            Self::Revoked => "have the server's certificate replaced",
        }
    }
}

impl fmt::Display for CertificateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Untrusted => "the certificate is signed by nobody who is trusted here",
            Self::WrongHost => "the certificate is for another host",
            Self::Expired => "the certificate has expired",
            Self::NotYetValid => "the certificate is not valid yet",
            Self::Revoked => "the certificate was revoked",
        })
    }
}

impl std::error::Error for CertificateFault {}
