//! What the handshake is made with: headers that hold credentials, asked for at every attempt.

use std::fmt;

use async_trait::async_trait;
use event_core::{Error, ErrorKind, Result};
use http::header::{HeaderMap, HeaderName, HeaderValue};

/// Gives the headers that hold the credentials of a handshake. Asked at every connect attempt, so that a key that
/// was replaced meanwhile is used at the next one.
#[async_trait]
pub trait HandshakeCredentials: Send + Sync + 'static {
    /// The headers for the attempt that is about to be made. `refused` says that the server has just refused the
    /// last ones: then others are wanted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unauthenticated`] when there are no others; a transient error to be asked again.
    ///
    /// # Cancel safety
    ///
    /// The future may be dropped at any time; the next attempt asks anew.
    async fn headers(&self, refused: bool) -> Result<SecretHeaders>;
}

/// Headers whose values are shown nowhere.
#[derive(Clone, Default)]
pub struct SecretHeaders(HeaderMap);

impl SecretHeaders {
    /// No header yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same and one more.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidCredentials`] for a name or value that HTTP does not allow. The value is not shown.
    pub fn with(mut self, name: &str, value: &str) -> Result<Self> {
        let (name, value) = parse(name, value, ErrorKind::InvalidCredentials, "authenticate")?;
        self.0.append(name, value);
        Ok(self)
    }

    pub(crate) fn into_map(self) -> HeaderMap {
        self.0
    }
}

impl fmt::Debug for SecretHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A header marked as sensitive; or an error of this kind, without the value, which may be a secret.
pub(crate) fn parse(
    name: &str,
    value: &str,
    kind: ErrorKind,
    op: &'static str,
) -> Result<(HeaderName, HeaderValue)> {
    let parsed = HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(value).ok());
    let Some((name, mut value)) = parsed else {
        let message =
            format!("the header \"{}\" has characters that HTTP does not allow", name.escape_debug());
        return Err(Error::new(kind, op, message));
    };
    value.set_sensitive(true);
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_shown_neither_when_it_is_kept_nor_when_it_cannot_be_sent() {
        let headers = SecretHeaders::new().with("a-key", "marked-4711").unwrap();
        assert_eq!(format!("{headers:?}"), r#"{"a-key"}"#);
        let error = headers.with("a-key", "marked-4711\n").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidCredentials);
        assert!(!format!("{error:?}").contains("4711"));
    }
}
