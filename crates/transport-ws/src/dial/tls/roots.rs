//! Root certificates of the caller's, as they were given.

use std::fmt;

/// Kept as they are until a library reads them.
#[derive(Clone, Default)]
pub(super) struct Roots(Vec<Root>);

#[derive(Clone)]
#[cfg_attr(
    not(any(feature = "native-tls", feature = "rustls-no-provider")),
    expect(dead_code, reason = "nothing reads them without TLS")
)]
pub(super) enum Root {
    /// One or several.
    Pem(Vec<u8>),
    Der(Vec<u8>),
}

impl Roots {
    pub(super) fn add_pem(&mut self, pem: Vec<u8>) {
        self.0.push(Root::Pem(pem));
    }

    pub(super) fn add_der(&mut self, der: Vec<u8>) {
        self.0.push(Root::Der(der));
    }

    #[cfg(any(feature = "native-tls", feature = "rustls-no-provider"))]
    pub(super) fn iter(&self) -> impl Iterator<Item = &Root> {
        self.0.iter()
    }
}

/// One that a library cannot read.
#[cfg(any(feature = "native-tls", feature = "rustls-no-provider"))]
pub(super) fn unreadable(cause: Option<Box<dyn std::error::Error + Send + Sync>>) -> event_core::Error {
    let message =
        "a root certificate that was added cannot be read; give it in PEM or DER as its method says";
    let error = event_core::Error::new(event_core::ErrorKind::Tls, super::OP, message);
    match cause {
        Some(cause) => error.with_source(cause),
        None => error,
    }
}

/// How many there are.
impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.len().fmt(f)
    }
}
