//! Whether the platform sent a body: HMAC-SHA256 over its bytes, with the webhook's secret as key. Pure.

use std::fmt;

use data_encoding::HEXLOWER_PERMISSIVE;
use event_core::{Error, ErrorKind, Result, Secret};
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use http::header::HeaderName;
use sha2::Sha256;

/// The header with the signature: `sha256=` and 64 hexadecimal digits.
pub const SIGNATURE: HeaderName = HeaderName::from_static("signature");

/// The most secrets that are tried.
const MOST: usize = 16;

/// The secrets of one or more webhooks, ready for use.
///
/// A secret is used as the text that it is, not decoded. Signatures are compared by [`Mac::verify_slice`] of the crate
/// `hmac`, which takes the same time wherever they differ; and every secret is tried, whichever fits.
///
/// ```
/// use imodelhub_events::webhooks::{SIGNATURE, SigningKeys};
///
/// let keys = SigningKeys::new(["at least 32 characters, as one text"])?;
/// let body = br#"{"eventType":"iModels.iModelDeleted.v1"}"#;
/// let mut headers = http::HeaderMap::new();
/// headers.insert(SIGNATURE, keys.sign(body).parse()?);
/// assert!(keys.verify(&headers, body).is_ok());
/// assert!(keys.verify(&headers, b"another body").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SigningKeys(Vec<Hmac<Sha256>>);

/// Why a body is not taken for the platform's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignatureError {
    /// There is no signature.
    Missing,
    /// There are several, or it is not `sha256=` with 64 hexadecimal digits.
    Malformed,
    /// It is the signature of another body, or with another secret.
    Wrong,
}

impl SigningKeys {
    /// Takes secrets: one, or several while a webhook's secret changes, or when webhooks share a receiver. The most is
    /// 16.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for none, too many, or an empty one.
    pub fn new<S: Into<Secret>>(secrets: impl IntoIterator<Item = S>) -> Result<Self> {
        let keys: Vec<_> = secrets.into_iter().map(|secret| key(&secret.into())).collect::<Result<_>>()?;
        if keys.is_empty() || keys.len() > MOST {
            return Err(invalid("give one secret at least, and 16 at most"));
        }
        Ok(Self(keys))
    }

    /// Whether a body has been signed with one of the secrets. `body` is every byte of it, as it came.
    ///
    /// # Errors
    ///
    /// [`SignatureError`].
    pub fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), SignatureError> {
        let mut values = headers.get_all(&SIGNATURE).into_iter();
        let given = values.next().ok_or(SignatureError::Missing)?;
        if values.next().is_some() {
            return Err(SignatureError::Malformed);
        }
        let given = tag(given.as_bytes()).ok_or(SignatureError::Malformed)?;
        let mut fits = false;
        for key in &self.0 {
            fits |= key.clone().chain_update(body).verify_slice(&given).is_ok();
        }
        if fits { Ok(()) } else { Err(SignatureError::Wrong) }
    }

    /// The value of the header for a body, with the first secret: for tests, and for whoever passes events on.
    pub fn sign(&self, body: &[u8]) -> String {
        let signature = self.0.first().map(|key| key.clone().chain_update(body).finalize().into_bytes());
        format!("sha256={}", HEXLOWER_PERMISSIVE.encode(&signature.unwrap_or_default()))
    }
}

fn key(secret: &Secret) -> Result<Hmac<Sha256>> {
    if secret.is_empty() {
        return Err(invalid("a secret is empty; every body could be signed with it"));
    }
    // Keys of every length are taken.
    Hmac::new_from_slice(secret.expose().as_bytes())
        .map_err(|_| invalid("a secret has a length that cannot be used"))
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, "read webhook secrets", message)
}

/// The 32 bytes in `sha256=<hex>`, in any case.
fn tag(value: &[u8]) -> Option<[u8; 32]> {
    let (name, digits) = value.trim_ascii().split_at_checked(7)?;
    if !name.eq_ignore_ascii_case(b"sha256=") {
        return None;
    }
    HEXLOWER_PERMISSIVE.decode(digits).ok()?.try_into().ok()
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKeys({} secret(s))", self.0.len())
    }
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "there is no signature",
            Self::Malformed => "the signature is not sha256= with 64 hexadecimal digits",
            Self::Wrong => "the signature is another body's, or made with another secret",
        })
    }
}

impl std::error::Error for SignatureError {}
